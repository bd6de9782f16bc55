"""Sessions, as their own member sees them."""

from datetime import datetime
from typing import Self

import strawberry

from domain.ids import SessionId
from domain.member import model as domain
from resolvers.pages import Page
from schema.context import Info
from schema.ids import global_id
from schema.shared import Node, PageInfo


@strawberry.type(description="One sign-in of the viewer on one device.")
class Session(Node):
    session_id: strawberry.Private[SessionId]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    user_agent: str | None = strawberry.field(description="Browser or client, as it named itself.")
    created_at: datetime = strawberry.field(description="When it began.")
    last_seen_at: datetime = strawberry.field(description="When it was last used, to the minute.")
    expires_at: datetime = strawberry.field(description="When it ends by itself.")

    @strawberry.field(description="Whether this request came with it.")
    def viewer_is_using(self, info: Info) -> bool:
        viewer = info.context.viewer
        return viewer is not None and viewer.session.id == self.session_id

    @classmethod
    def from_domain(cls, session: domain.Session) -> Self:
        """Shape a session of the viewer."""
        return cls(
            session_id=session.id,
            id=global_id("Session", session.id),
            user_agent=session.user_agent,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
        )


@strawberry.type(description="A session in a page.")
class SessionEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: Session = strawberry.field(description="The session.")


@strawberry.type(description="A page of sessions.")
class SessionConnection:
    edges: list[SessionEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.Session]) -> Self:
        """Shape a page."""
        edges = [
            SessionEdge(cursor=cursor, node=Session.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))
