"""The root of reads."""

from typing import Annotated

import strawberry

from domain.tournament.model import TournamentStatus
from resolvers import (
    execution as executions,
)
from resolvers import (
    league as leagues,
)
from resolvers import (
    match as matches,
)
from resolvers import (
    member as members,
)
from resolvers import (
    ruleset as rulesets,
)
from resolvers import (
    tournament as tournaments,
)
from schema import ids
from schema.admin import Admin
from schema.context import Info
from schema.league import League, LeagueInvitePreview
from schema.match import Match
from schema.nodes import find_node
from schema.ruleset import RulesetConnection
from schema.shared import Node, given
from schema.tournament import Tournament, TournamentConnection
from schema.viewer import Viewer


@strawberry.type(description="Reads. Every screen is one of these with nested fields.")
class Query:
    @strawberry.field(
        description=(
            "Any object by its opaque id; null when it does not exist or the viewer may not see it (the two "
            "are not told apart)."
        )
    )
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        return await find_node(info, id)

    @strawberry.field(description="The signed-in member's own view; null when nobody is signed in.")
    async def viewer(self, info: Info) -> Viewer | None:
        account = await members.viewer(info.context)
        return Viewer.from_domain(account) if account else None

    @strawberry.field(
        description="All tournaments but cancelled ones, active first, then upcoming, then completed. Open to anyone."
    )
    async def tournaments(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description="Page size, 1 to 100.")] = 25,
        after: Annotated[
            str | None, strawberry.argument(description="Cursor after which the page begins.")
        ] = strawberry.UNSET,
        statuses: Annotated[
            list[TournamentStatus] | None,
            strawberry.argument(description="Only these statuses; the one way to list cancelled ones."),
        ] = strawberry.UNSET,
        joined: Annotated[
            bool | None,
            strawberry.argument(
                description="Only those that the viewer has joined (true) or not joined (false); needs sign-in."
            ),
        ] = strawberry.UNSET,
    ) -> TournamentConnection:
        page = await tournaments.page(
            info.context, statuses=given(statuses), joined=given(joined), first=first, after=given(after)
        )
        return TournamentConnection.from_page(page)

    @strawberry.field(description="One tournament. Open to anyone.")
    async def tournament(self, info: Info, id: strawberry.ID) -> Tournament | None:
        tournament_id = ids.tournament_id(id)
        found = await tournaments.read(info.context, tournament_id=tournament_id) if tournament_id else None
        return Tournament.from_domain(found) if found else None

    @strawberry.field(description="One match. Open to anyone.")
    async def match(self, info: Info, id: strawberry.ID) -> Match | None:
        match_id = ids.match_id(id)
        found = await matches.read(info.context, match_id=match_id) if match_id else None
        return Match.from_domain(found) if found else None

    @strawberry.field(description="One league; null unless the viewer is a member of it.")
    async def league(self, info: Info, id: strawberry.ID) -> League | None:
        league_id = ids.league_id(id)
        found = await leagues.read(info.context, league_id=league_id) if league_id else None
        return League.from_domain(found) if found else None

    @strawberry.field(
        description=(
            "What a person who holds an invite code may see before joining; null when the code cannot be "
            "used. Open to anyone, rate limited."
        )
    )
    async def league_invite(self, info: Info, code: str) -> LeagueInvitePreview | None:
        preview = await leagues.invite_preview(info.context, code=code)
        return LeagueInvitePreview.from_domain(preview) if preview else None

    @strawberry.field(description="The rulesets on offer, latest version of each. Open to anyone.")
    async def rulesets(self, info: Info, first: int = 25, after: str | None = strawberry.UNSET) -> RulesetConnection:
        page = await rulesets.page(info.context, first=first, after=given(after))
        return RulesetConnection.from_page(page)

    @strawberry.field(
        description="Operations of the platform; null with error FORBIDDEN unless the viewer is a platform admin."
    )
    async def admin(self, info: Info) -> Admin | None:
        await executions.admin(info.context)
        return Admin()
