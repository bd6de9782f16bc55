"""Tournaments, rounds, teams, team tables."""

from collections.abc import Hashable
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from domain.guess.model import GuessState
from domain.ids import RoundId, TeamId, TournamentId
from domain.leaderboard.model import BoardKey
from domain.match.form.model import FormResult
from domain.match.model import MatchStatus
from domain.tournament import model as domain
from domain.tournament.model import Provider, RoundKind, StandingsMode, TournamentMode, TournamentStatus
from resolvers import correction as corrections
from resolvers import guess as guesses
from resolvers import health
from resolvers import leaderboard as leaderboards
from resolvers import match as matches
from resolvers import tournament as resolvers
from resolvers.pages import Page
from schema import correction as correction_types
from schema import guess as guess_types
from schema import health as health_types
from schema import ids
from schema import leaderboard as leaderboard_types
from schema import match as match_types
from schema.context import Info
from schema.describe import describe
from schema.ids import global_id, optional_id
from schema.moments import AsOf, SettledOnly, moment_of
from schema.references import (
    CorrectionConnectionRef,
    GuessConnectionRef,
    LeaderboardRef,
    MatchConnectionRef,
    TournamentHealthRef,
)
from schema.ruleset import Ruleset
from schema.shared import Node, PageInfo, UserError, given, there
from schema.sharing import Parted

describe(
    Provider,
    "Where data come from.",
    SOFASCORE="SofaScore, read through a browser session.",
    OPENFOOTBALL="openfootball's public-domain files.",
)


describe(
    TournamentMode,
    "How a tournament is played.",
    REGULAR_SEASON="League only.",
    REGULAR_SEASON_AND_KNOCKOUT="League or groups, then knockouts.",
    KNOCKOUT="Knockouts only.",
)


describe(StandingsMode, "How the team table is cut.", SINGLE_TABLE="One table.", GROUPS="One table for each group.")


describe(
    TournamentStatus,
    "Whether a tournament is played now.",
    UPCOMING="Not begun.",
    ACTIVE="Being played.",
    COMPLETED="Over; its boards stay.",
    CANCELLED="Called off or withdrawn; left out of lists, its boards stay.",
)


describe(RoundKind, "Kind of a round.", SEASON="Part of a league or group stage.", KNOCKOUT="Losers go out.")


@strawberry.type(description="A club or national side.")
class Team(Node):
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    name: str = strawberry.field(description="Full name.")
    short_name: str = strawberry.field(
        description="Short name, for small screens; the full one when the provider has none."
    )
    badge_url: str | None = strawberry.field(description="Badge; null when none was found.")

    @classmethod
    def from_domain(cls, team: domain.Team) -> Self:
        """Shape a team."""
        return cls(
            id=global_id("Team", team.id),
            name=team.name,
            short_name=team.short_name or team.name,
            badge_url=team.badge_url,
        )


@strawberry.type(description="A team's row in a table.")
class Standing:
    tournament_id: strawberry.Private[TournamentId]
    team_id: strawberry.Private[TeamId]
    position: int = strawberry.field(description="From 1; shared by level teams in a computed table.")
    played: int = strawberry.field(description="Matches played.")
    won: int = strawberry.field(description="Matches won.")
    drawn: int = strawberry.field(description="Matches drawn.")
    lost: int = strawberry.field(description="Matches lost.")
    goals_for: int = strawberry.field(description="Goals scored.")
    goals_against: int = strawberry.field(description="Goals conceded.")
    goal_difference: int = strawberry.field(description="Scored minus conceded.")
    points: int = strawberry.field(description="Table points of the team.")

    @strawberry.field(description="The team.")
    async def team(self, info: Info) -> Team:
        return Team.from_domain(there(await info.context.loaders.team.load(self.team_id)))

    @strawberry.field(description="Last results, oldest first; at most 5.")
    async def form(self, info: Info) -> list[FormResult]:
        return await matches.form(info.context, self.tournament_id, self.team_id)

    @classmethod
    def from_domain(cls, row: domain.Standing, tournament_id: TournamentId) -> Self:
        """Shape a row of a team table."""
        return cls(
            tournament_id=tournament_id,
            team_id=row.team_id,
            position=row.position,
            played=row.played,
            won=row.won,
            drawn=row.drawn,
            lost=row.lost,
            goals_for=row.goals_for,
            goals_against=row.goals_against,
            goal_difference=row.goals_for - row.goals_against,
            points=row.points,
        )


@strawberry.type(description="One table of teams.")
class StandingsGroup:
    name: str | None = strawberry.field(description="Such as `Group A`; null for a single table.")
    is_computed: bool = strawberry.field(
        description=(
            "Whether it was computed from results, the provider having none: by points, goal "
            "difference, goals scored; level teams share a position."
        )
    )
    rows: list[Standing] = strawberry.field(description="Its rows by position; at most 64.")

    @classmethod
    def from_domain(cls, group: domain.StandingsGroup, tournament_id: TournamentId) -> Self:
        """Shape a team table."""
        rows = [Standing.from_domain(row, tournament_id) for row in group.rows]
        return cls(name=group.name, is_computed=group.is_computed, rows=rows)


@strawberry.type(description="An ordered part of a tournament.")
class Round(Node):
    source: strawberry.Private[domain.Round]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    position: int = strawberry.field(description="Order in the tournament, from 1.")
    label: str = strawberry.field(description="Name to show.")
    slug: str = strawberry.field(description="Unique in the tournament, for addresses: `17`, `round-of-16`, `final`.")
    kind: RoundKind = strawberry.field(description="League or knockout.")

    @strawberry.field(description="Its tournament.")
    async def tournament(self, info: Info) -> "Tournament":
        return await tournament_of(info, self.source.tournament_id)

    @strawberry.field(description="Whether it is the current round.")
    async def is_current(self, info: Info) -> bool:
        tournament = there(await info.context.loaders.tournament.load(self.source.tournament_id))
        return tournament.current_round_id == self.source.id

    @strawberry.field(description="Its matches, by kick-off, those without a date last.")
    async def matches(self, info: Info, first: int = 50, after: str | None = strawberry.UNSET) -> MatchConnectionRef:
        page = await matches.page_of_tournament(
            info.context, self.source.tournament_id, round_id=self.source.id, first=first, after=given(after)
        )
        return match_types.MatchConnection.from_page(page)

    @classmethod
    def from_domain(cls, found: domain.Round) -> Self:
        """Shape a round."""
        return cls(
            source=found,
            id=global_id("Round", found.id),
            position=found.position,
            label=found.label,
            slug=found.slug,
            kind=found.kind,
        )


@strawberry.type(description="One season of one competition from one provider.")
class Tournament(Parted, Node):
    source: strawberry.Private[domain.Tournament]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    label: str = strawberry.field(description="Name to show.")
    season: str = strawberry.field(description="Season to show, such as `2024/25`.")
    logo_url: str | None = strawberry.field(description="Badge; null when none was found.")
    provider: Provider = strawberry.field(description="Where its data come from.")
    mode: TournamentMode = strawberry.field(description="How it is played.")
    standings_mode: StandingsMode = strawberry.field(description="How its team table is cut.")
    status: TournamentStatus = strawberry.field(description="Whether it is played now.")
    standings_updated_at: datetime | None = strawberry.field(
        description="When the team table was last read from the provider."
    )
    settled_version: int = strawberry.field(
        description="How many times its settled scores have changed: the version for `asOf`."
    )

    @strawberry.field(description="The round played now or next; null before rounds are known.")
    async def current_round(self, info: Info) -> Round | None:
        found = await resolvers.round_by_slug(info.context, self.source, None)
        return Round.from_domain(found) if found else None

    @strawberry.field(description="All rounds, in order; at most 100.")
    async def rounds(self, info: Info) -> list[Round]:
        return [Round.from_domain(found) for found in await info.context.loaders.rounds.load(self.source.id) or ()]

    @strawberry.field(description="One round: by slug, or the current one; null when there is none such.")
    async def round(
        self,
        info: Info,
        slug: Annotated[str | None, strawberry.argument(description="Default: the current round.")] = strawberry.UNSET,
    ) -> Round | None:
        found = await resolvers.round_by_slug(info.context, self.source, given(slug))
        return Round.from_domain(found) if found else None

    @strawberry.field(description="Its matches, by kick-off, those without a date last.")
    async def matches(
        self,
        info: Info,
        first: int = 50,
        after: str | None = strawberry.UNSET,
        statuses: Annotated[
            list[MatchStatus] | None, strawberry.argument(description="Only in these statuses.")
        ] = strawberry.UNSET,
    ) -> MatchConnectionRef:
        page = await matches.page_of_tournament(
            info.context, self.source.id, statuses=given(statuses), first=first, after=given(after)
        )
        return match_types.MatchConnection.from_page(page)

    @strawberry.field(description="Team table, by group; empty for pure knockouts. At most 32 groups.")
    async def standings(self, info: Info) -> list[StandingsGroup]:
        return [
            StandingsGroup.from_domain(group, self.source.id)
            for group in await info.context.loaders.standings.load(self.source.id) or ()
        ]

    @strawberry.field(description="Ruleset of the tournament's own board.")
    async def ruleset(self, info: Info) -> Ruleset:
        return Ruleset.from_domain(there(await info.context.loaders.ruleset.load(self.source.ruleset_id)))

    def state(self) -> tuple[Hashable, UUID]:
        return self.source.ruleset_id, self.source.id  # a ruleset never changes

    @strawberry.field(
        description=(
            "Board of all its members, or of one round. Open to anyone. Null with error NOT_FOUND when the "
            "round is not of this tournament."
        )
    )
    async def leaderboard(
        self,
        info: Info,
        round_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only the points of this round.")
        ] = strawberry.UNSET,
        as_of: AsOf = strawberry.UNSET,
        settled_only: SettledOnly = False,
    ) -> LeaderboardRef | None:
        key = BoardKey(tournament_id=self.source.id, round_id=optional_id(round_id, ids.round_id, "round", "roundId"))
        board = await leaderboards.open_board(info.context, key=key, as_of=moment_of(as_of), settled_only=settled_only)
        return leaderboard_types.Leaderboard.from_domain(board)

    @strawberry.field(description="Public log of changes to results after settlement, latest first.")
    async def corrections(
        self, info: Info, first: int = 25, after: str | None = strawberry.UNSET
    ) -> CorrectionConnectionRef:
        page = await corrections.page_of_tournament(info.context, self.source.id, first=first, after=given(after))
        return correction_types.CorrectionConnection.from_page(page)

    @strawberry.field(description="Whether the viewer has joined; null when nobody is signed in.")
    async def viewer_has_joined(self, info: Info) -> bool | None:
        if info.context.viewer is None:
            return None
        return await info.context.loaders.joined.load(self.source.id)

    @strawberry.field(
        description=("The viewer's guesses, one for each match, given or not, by kick-off; null unless joined.")
    )
    async def viewer_guesses(
        self,
        info: Info,
        first: int = 50,
        after: str | None = strawberry.UNSET,
        states: Annotated[
            list[GuessState] | None, strawberry.argument(description="Only guesses in these states.")
        ] = strawberry.UNSET,
    ) -> GuessConnectionRef | None:
        page = await guesses.page_of_viewer(
            info.context, self.source.id, states=given(states), first=first, after=given(after)
        )
        return guess_types.GuessConnection.from_page(page) if page else None

    @strawberry.field(description="State of its data; null with error FORBIDDEN unless the viewer is a platform admin.")
    async def admin_health(self, info: Info) -> TournamentHealthRef | None:
        found = await health.of_tournament(info.context, tournament_id=self.source.id)
        return health_types.TournamentHealth.from_domain(found, info) if found else None

    @classmethod
    def from_domain(cls, tournament: domain.Tournament) -> Self:
        """Shape a tournament."""
        return cls(
            source=tournament,
            id=global_id("Tournament", tournament.id),
            label=tournament.label,
            season=tournament.season,
            logo_url=tournament.logo_url,
            provider=tournament.provider,
            mode=tournament.mode,
            standings_mode=tournament.standings_mode,
            status=tournament.status,
            standings_updated_at=tournament.standings_at,
            settled_version=tournament.settled_version,
        )


@strawberry.type(description="A tournament in a page.")
class TournamentEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: Tournament = strawberry.field(description="The tournament.")


@strawberry.type(description="A page of tournaments.")
class TournamentConnection:
    edges: list[TournamentEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.Tournament]) -> Self:
        """Shape a page."""
        edges = [
            TournamentEdge(cursor=cursor, node=Tournament.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.input(description="Input of `joinTournament`.")
class JoinTournamentInput:
    tournament_id: strawberry.ID = strawberry.field(description="Which.")


@strawberry.type(description="A tournament after a change.")
class TournamentPayload:
    tournament: Tournament | None = strawberry.field(description="Null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")


async def tournament_of(info: Info, tournament_id: TournamentId) -> Tournament:
    """The tournament that a foreign key names."""
    return Tournament.from_domain(there(await info.context.loaders.tournament.load(tournament_id)))


async def round_of(info: Info, round_id: RoundId) -> Round:
    """The round that a foreign key names."""
    return Round.from_domain(there(await info.context.loaders.round.load(round_id)))
