"""Leagues, their members, tournaments and invites."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from domain.ids import LeagueId
from domain.leaderboard.model import BoardKey
from domain.league import model as domain
from domain.league.model import LeaguePermission, LeagueRole, LeagueTournamentStatus
from domain.league.rules import permissions
from resolvers import leaderboard as leaderboards
from resolvers import league as resolvers
from resolvers.pages import Page
from schema import ids
from schema import leaderboard as leaderboard_types
from schema import tournament as tournament_types
from schema.context import Info
from schema.describe import describe
from schema.ids import global_id, optional_id
from schema.member import Member
from schema.moments import AsOf, SettledOnly, moment_of
from schema.references import LeaderboardRef, TournamentRef
from schema.ruleset import Ruleset
from schema.shared import Node, PageInfo, given, there

describe(
    LeagueRole,
    "Role in a league.",
    ADMIN="Plays, and runs the league.",
    MEMBER="Plays.",
    VIEWER="Watches; is not ranked.",
)


describe(
    LeaguePermission,
    "Something that a league's member may or may not do.",
    EDIT="`updateLeague`.",
    INVITE="`createLeagueInvite`, `revokeLeagueInvite`.",
    MANAGE_MEMBERS="`removeLeagueMember`, `changeLeagueRole`.",
    MANAGE_TOURNAMENTS="`addLeagueTournament`, `updateLeagueTournament`, `removeLeagueTournament`.",
    TRANSFER="`transferLeague`.",
    DELETE="`deleteLeague`.",
    LEAVE="`leaveLeague`.",
)


describe(
    LeagueTournamentStatus,
    "Status of a tournament in a league.",
    UPCOMING="Adds nothing yet.",
    ACTIVE="Adds to the total.",
    COMPLETED="Over; still adds to the total.",
)


@strawberry.type(description="A member in a league.")
class LeagueMembership(Node):
    source: strawberry.Private[domain.LeagueMembership]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    role: LeagueRole = strawberry.field(description="Role in the league.")
    joined_at: datetime = strawberry.field(description="When the member joined, for the latest time.")

    @strawberry.field(description="The member.")
    async def member(self, info: Info) -> Member:
        return Member.from_domain(there(await info.context.loaders.member.load(self.source.member_id)))

    @classmethod
    def from_domain(cls, membership: domain.LeagueMembership) -> Self:
        """Shape a membership."""
        return cls(
            source=membership,
            id=global_id("LeagueMembership", membership.league_id, membership.id),
            role=membership.role,
            joined_at=membership.joined_at,
        )


@strawberry.type(description="A membership in a page.")
class LeagueMembershipEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: LeagueMembership = strawberry.field(description="The membership.")


@strawberry.type(description="A page of memberships.")
class LeagueMembershipConnection:
    edges: list[LeagueMembershipEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    total_count: int = strawberry.field(description="Members in all.")

    @classmethod
    def from_page(cls, page: Page[domain.LeagueMembership]) -> Self:
        """Shape a page."""
        edges = [
            LeagueMembershipEdge(cursor=cursor, node=LeagueMembership.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page), total_count=page.total)


@strawberry.type(description="A tournament in a league.")
class LeagueTournament(Node):
    source: strawberry.Private[domain.LeagueTournament]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    status: LeagueTournamentStatus = strawberry.field(
        description="Whether it counts: ACTIVE and COMPLETED ones add to the league's total."
    )
    ruleset_frozen: bool = strawberry.field(description="Whether the ruleset can no longer change.")

    @strawberry.field(description="The tournament.")
    async def tournament(self, info: Info) -> TournamentRef:
        return await tournament_types.tournament_of(info, self.source.tournament_id)

    @strawberry.field(description="Ruleset that the league plays it under.")
    async def ruleset(self, info: Info) -> Ruleset:
        return Ruleset.from_domain(there(await info.context.loaders.ruleset.load(self.source.ruleset_id)))

    @classmethod
    def from_domain(cls, link: domain.LeagueTournament) -> Self:
        """Shape what a league plays."""
        return cls(
            source=link,
            id=global_id("LeagueTournament", link.league_id, link.tournament_id),
            status=link.status,
            ruleset_frozen=link.ruleset_frozen,
        )


@strawberry.type(description="A code that lets people join a league.")
class LeagueInvite(Node):
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    code: str = strawberry.field(description="What `joinLeague` takes.")
    url: str = strawberry.field(description="Page that takes the code.")
    role: LeagueRole = strawberry.field(description="Role of those who join by it.")
    uses: int = strawberry.field(description="How many have joined by it.")
    max_uses: int | None = strawberry.field(description="How many may; null without limit.")
    expires_at: datetime | None = strawberry.field(description="Until when; null without limit.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null while it was not.")

    @classmethod
    def from_domain(cls, invite: domain.LeagueInvite, public_url: str) -> Self:
        """Shape an invite."""
        return cls(
            id=global_id("LeagueInvite", invite.league_id, invite.id),
            code=invite.code,
            url=f"{public_url.rstrip('/')}/join/{invite.code}",
            role=invite.role,
            uses=invite.uses,
            max_uses=invite.max_uses,
            expires_at=invite.expires_at,
            revoked_at=invite.revoked_at,
        )


@strawberry.type(description="An invite in a page.")
class LeagueInviteEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: LeagueInvite = strawberry.field(description="The invite.")


@strawberry.type(description="A page of invites.")
class LeagueInviteConnection:
    edges: list[LeagueInviteEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.LeagueInvite], public_url: str) -> Self:
        """Shape a page."""
        edges = [
            LeagueInviteEdge(cursor=cursor, node=LeagueInvite.from_domain(item, public_url))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.type(description="A private group of members who guess together. Only its members can see it.")
class League(Node):
    source: strawberry.Private[domain.League]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    name: str = strawberry.field(description="Name.")
    description: str | None = strawberry.field(description="Description; null when there is none.")
    created_at: datetime = strawberry.field(description="When it was created.")
    viewer_role: LeagueRole = strawberry.field(description="The viewer's role.")

    @strawberry.field(description="Who owns it: its creator, until transferred.")
    async def founder(self, info: Info) -> Member:
        return Member.from_domain(there(await info.context.loaders.member.load(self.source.founder_id)))

    @strawberry.field(description="Members by role, then nick name.")
    async def members(
        self, info: Info, first: int = 50, after: str | None = strawberry.UNSET
    ) -> LeagueMembershipConnection:
        page = await resolvers.members_page(info.context, self.source, first=first, after=given(after))
        return LeagueMembershipConnection.from_page(page)

    @strawberry.field(description="Tournaments that it plays, completed ones too; at most 20.")
    async def tournaments(self, info: Info) -> list[LeagueTournament]:
        links = await info.context.loaders.league_tournaments.load(self.source.id) or ()
        return [LeagueTournament.from_domain(link) for link in links]

    @strawberry.field(
        description=(
            "Its board: total, of one tournament, or of one round. Null with error NOT_FOUND when the league "
            "does not play it."
        )
    )
    async def leaderboard(
        self,
        info: Info,
        tournament_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only the points of this tournament; default the total."),
        ] = strawberry.UNSET,
        round_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only the points of this round.")
        ] = strawberry.UNSET,
        as_of: AsOf = strawberry.UNSET,
        settled_only: SettledOnly = False,
    ) -> LeaderboardRef | None:
        key = BoardKey(
            league_id=self.source.id,
            tournament_id=optional_id(tournament_id, ids.tournament_id, "tournament", "tournamentId"),
            round_id=optional_id(round_id, ids.round_id, "round", "roundId"),
        )
        board = await leaderboards.open_board(info.context, key=key, as_of=moment_of(as_of), settled_only=settled_only)
        return leaderboard_types.Leaderboard.from_domain(board)

    @strawberry.field(description="What the viewer may do.")
    def viewer_permissions(self, info: Info) -> list[LeaguePermission]:
        return permissions(self.source, info.context.member_id)

    @strawberry.field(description="Usable invites, latest first; null unless the viewer may invite.")
    async def viewer_invites(
        self, info: Info, first: int = 25, after: str | None = strawberry.UNSET
    ) -> LeagueInviteConnection | None:
        page = await resolvers.invites_page(info.context, self.source, first=first, after=given(after))
        return LeagueInviteConnection.from_page(page, info.context.services.public_url) if page else None

    @classmethod
    def from_domain(cls, league: domain.League) -> Self:
        """Shape a league for one of its members."""
        return cls(
            source=league,
            id=global_id("League", league.id),
            name=league.name,
            description=league.description,
            created_at=league.created_at,
            viewer_role=league.viewer_role,
        )


@strawberry.type(description="A league in a page.")
class LeagueEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: League = strawberry.field(description="The league.")


@strawberry.type(description="A page of leagues.")
class LeagueConnection:
    edges: list[LeagueEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.League]) -> Self:
        """Shape a page."""
        edges = [
            LeagueEdge(cursor=cursor, node=League.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.type(description="A league as shown to a person who holds an invite.")
class LeagueInvitePreview:
    league_name: str = strawberry.field(description="Name of the league.")
    description: str | None = strawberry.field(description="Description of the league.")
    founder_nick_name: str = strawberry.field(description="Nick name of its founder.")
    member_count: int = strawberry.field(description="How many members it has.")

    @classmethod
    def from_domain(cls, preview: domain.LeagueInvitePreview) -> Self:
        """Shape what a code shows."""
        return cls(
            league_name=preview.league_name,
            description=preview.description,
            founder_nick_name=preview.founder_nick_name,
            member_count=preview.member_count,
        )


async def league_of(info: Info, league_id: LeagueId) -> League | None:
    """A league; None to whoever is not in it."""
    found = await info.context.loaders.league.load(league_id)
    return League.from_domain(found) if found else None
