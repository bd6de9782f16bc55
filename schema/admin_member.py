"""Members, as platform admins see them."""

from datetime import datetime
from typing import Self

import strawberry

from domain.member import model as domain
from domain.member.model import PlatformRole
from resolvers.pages import Page
from schema.ids import global_id
from schema.member import Member
from schema.shared import Node, PageInfo, UserError


@strawberry.type(description="A member as platform admins see one. The e-mail is not shown to them either.")
class AdminMember(Node):
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    member: Member = strawberry.field(description="As others see the member.")
    platform_role: PlatformRole = strawberry.field(description="Role on the platform.")
    created_at: datetime = strawberry.field(description="When the account was created.")

    @classmethod
    def from_domain(cls, found: domain.ManagedMember) -> Self:
        """Shape a member for admins."""
        return cls(
            id=global_id("AdminMember", found.id),
            member=Member.from_domain(domain.Member(found.id, found.nick_name)),
            platform_role=found.platform_role,
            created_at=found.created_at,
        )


@strawberry.type(description="A member in a page.")
class AdminMemberEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: AdminMember = strawberry.field(description="The member.")


@strawberry.type(description="A page of members.")
class AdminMemberConnection:
    edges: list[AdminMemberEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.ManagedMember]) -> Self:
        """Shape a page."""
        edges = [
            AdminMemberEdge(cursor=cursor, node=AdminMember.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.input(description="Input of `changePlatformRole`.")
class ChangePlatformRoleInput:
    member_id: strawberry.ID = strawberry.field(description="Which member.")
    role: PlatformRole = strawberry.field(description="New role.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")


@strawberry.type(description="Result of `changePlatformRole`.")
class AdminMemberPayload:
    admin_member: AdminMember | None = strawberry.field(description="Null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")
