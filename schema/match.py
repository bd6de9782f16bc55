"""Matches, their results and settlements."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from domain.errors import InvalidInput
from domain.ids import TeamId
from domain.match import model as domain
from domain.match.form.model import FormResult
from domain.match.model import KickOffPrecision, MatchStatus, ResultKind, ResultState
from domain.match.rules import MatchScope
from domain.settlement.model import Settlement as SettledResult
from domain.settlement.rules import AcceptedResult
from resolvers import guess as guesses
from resolvers import match as matches
from resolvers.pages import Page
from schema import guess as guess_types
from schema import ids
from schema import tournament as tournament_types
from schema.context import Info
from schema.describe import describe
from schema.ids import global_id, optional_id, required
from schema.references import GuessConnectionRef, GuessRef, RoundRef, TeamRef, TournamentRef
from schema.shared import Goals, Node, PageInfo, given, goals, there

describe(
    KickOffPrecision,
    "How exactly a kick-off is known.",
    EXACT="To the minute.",
    DATE="Only the day: not locked, and PAUSED on that day until the time is known.",
    UNKNOWN="Not at all.",
)


describe(
    MatchStatus,
    "Where a match stands.",
    NOT_STARTED="Not kicked off.",
    IN_PLAY="Being played, breaks and interruptions included.",
    ENDED="Over.",
    POSTPONED="Put off; guesses stand.",
    CANCELLED="Will not be played; pays nobody.",
    ABANDONED="Broken off for good; pays nobody.",
)


describe(
    ResultState,
    "What may be said of a result.",
    PROVISIONAL="The match is being played.",
    AWAITING_CONFIRMATION="Ended, not yet plausible and stable enough to settle.",
    FINAL="Final; a later change is a correction.",
    VOID="Pays nobody.",
)


describe(
    ResultKind,
    "How a result came about.",
    PLAYED="On the pitch.",
    AWARDED="By decision; counts as given.",
    VOID="Cancelled, abandoned or annulled.",
)


describe(FormResult, "A team's result in one match.", WIN="Won.", DRAW="Drawn.", LOSS="Lost.")


@strawberry.type(description="One of the two sides of a match.")
class MatchSide:
    source: strawberry.Private[domain.Match]
    team_id: strawberry.Private[TeamId | None]
    team: TeamRef | None = strawberry.field(description="The team; null until the draw.")
    label: str = strawberry.field(description="The team's short name, or the placeholder: `Winner Group A`.")

    @strawberry.field(
        description="The team's last results in this tournament before this match, oldest first; at most 5."
    )
    async def form(self, info: Info) -> list[FormResult]:
        return await matches.form(info.context, self.source.tournament_id, self.team_id, before=self.source.kick_off)


@strawberry.type(description="How often one score was guessed.")
class ScorelineCount:
    goals: Goals = strawberry.field(description="The score.")
    count: int = strawberry.field(description="Members who guessed it.")


@strawberry.type(description="The score of a match, its parts kept apart. A part that is unknown is null, never 0.")
class MatchResult:
    state: ResultState = strawberry.field(description="What may be said of it.")
    kind: ResultKind = strawberry.field(description="How it came about.")
    revision: int = strawberry.field(description="Counts accepted results of the match from 1; 0 while provisional.")
    goals: Goals | None = strawberry.field(
        description="Score to show: running, or final with extra time and without shoot-out."
    )
    regulation: Goals | None = strawberry.field(description="After 90 minutes.")
    after_extra_time: Goals | None = strawberry.field(
        description="After extra time, goals of the 90 minutes included; null when there was none."
    )
    shoot_out: Goals | None = strawberry.field(description="Shoot-out alone; never counts for points.")
    hold_reason: str | None = strawberry.field(
        description=(
            "Why a match that has ended is not settled, or not for boards of one score basis, for "
            "people; null when nothing holds it."
        )
    )

    @classmethod
    def from_domain(cls, match: domain.Match) -> Self:
        """Shape the score of a match that has one."""
        return cls(
            state=match.result_state,
            kind=match.result_kind,
            revision=match.result_revision,
            goals=goals(match.goals),
            regulation=goals(match.regulation),
            after_extra_time=goals(match.after_extra_time),
            shoot_out=goals(match.shoot_out),
            hold_reason=match.hold_reason,
        )

    @classmethod
    def from_revision(cls, result: AcceptedResult) -> Self:
        """Shape an accepted result as it was."""
        return cls(
            state=ResultState.VOID if result.kind is ResultKind.VOID else ResultState.FINAL,
            kind=result.kind,
            revision=result.revision,
            goals=goals(result.after_extra_time or result.regulation),
            regulation=goals(result.regulation),
            after_extra_time=goals(result.after_extra_time),
            shoot_out=goals(result.shoot_out),
            hold_reason=None,
        )


@strawberry.type(description="Turning one accepted result of one match into points, exactly once.")
class Settlement:
    revision: int = strawberry.field(description="Result that was settled: `MatchResult.revision`.")
    settled_version: int = strawberry.field(description="Tournament version that it made.")
    settled_at: datetime = strawberry.field(description="When.")
    guesses: int = strawberry.field(description="Guesses that it judged.")
    members_changed: int = strawberry.field(description="Members whose scores it changed.")
    effect_digest: str = strawberry.field(
        description=("SHA-256 over scorelines, facts and counts, in hex: equal inputs give an equal digest.")
    )

    @classmethod
    def from_domain(cls, settlement: SettledResult) -> Self:
        """Shape a settlement."""
        return cls(
            revision=settlement.revision,
            settled_version=settlement.version,
            settled_at=settlement.applied_at,
            guesses=settlement.guesses,
            members_changed=settlement.members_changed,
            effect_digest=settlement.effect_digest,
        )


@strawberry.type(description="Two teams, once.")
class Match(Node):
    source: strawberry.Private[domain.Match]
    id: strawberry.ID = strawberry.field(description="Opaque id; survives a change of id at the provider.")
    version: int = strawberry.field(
        description="Rises with every change of this match: keep the higher when two sources meet."
    )
    kick_off: datetime | None = strawberry.field(description="Null while no date is known.")
    kick_off_precision: KickOffPrecision = strawberry.field(description="How exactly it is known.")
    lock_at: datetime | None = strawberry.field(
        description=(
            "From when guesses are closed and visible; moves with kick-off until it has passed. "
            "Null while no date is known."
        )
    )
    is_locked: bool = strawberry.field(description="Whether the lock has passed, by the database clock.")
    status: MatchStatus = strawberry.field(description="Where the match stands.")
    minute: int | None = strawberry.field(
        description="Minute of play, as the provider tells it; null unless in play and known."
    )
    result: MatchResult | None = strawberry.field(
        description="Running or final score, with what may be said of it; null before any."
    )
    stadium: str | None = strawberry.field(description="Ground; null when unknown.")
    last_checked_at: datetime | None = strawberry.field(description="When the provider was last asked about it.")

    @strawberry.field(description="Its tournament.")
    async def tournament(self, info: Info) -> TournamentRef:
        return await tournament_types.tournament_of(info, self.source.tournament_id)

    @strawberry.field(description="Its round.")
    async def round(self, info: Info) -> RoundRef:
        return await tournament_types.round_of(info, self.source.round_id)

    @strawberry.field(description="Home side.")
    async def home(self, info: Info) -> MatchSide:
        return await side(info, self.source, self.source.home_team_id, self.source.home_label)

    @strawberry.field(description="Away side.")
    async def away(self, info: Info) -> MatchSide:
        return await side(info, self.source, self.source.away_team_id, self.source.away_label)

    @strawberry.field(description="Points paid for it; null until settled.")
    async def settlement(self, info: Info) -> Settlement | None:
        found = await info.context.loaders.settlement.load(self.source.id) if self.source.is_settled else None
        return Settlement.from_domain(found) if found else None

    @strawberry.field(
        description=(
            "Everyone's given guesses, by nick name: empty until the lock has passed, for everybody. Members; "
            "null otherwise."
        )
    )
    async def guesses(
        self,
        info: Info,
        first: int = 50,
        after: str | None = strawberry.UNSET,
        league_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description=(
                    "Only members of this league, which the viewer must be in; default all who joined the tournament."
                )
            ),
        ] = strawberry.UNSET,
    ) -> GuessConnectionRef | None:
        page = await guesses.page_of_match(
            info.context,
            self.source.id,
            league_id=optional_id(league_id, ids.league_id, "league", "leagueId"),
            first=first,
            after=given(after),
        )
        return guess_types.GuessConnection.from_page(page) if page else None

    @strawberry.field(
        description=(
            "How often each score was guessed, most frequent first, at most 100; null until the lock has passed, and "
            "when nobody is signed in."
        )
    )
    async def guess_counts(self, info: Info) -> list[ScorelineCount] | None:
        counts = await info.context.loaders.scoreline_counts.load(self.source.id)
        if counts is None:
            return None
        return [ScorelineCount(goals=Goals.from_domain(each.goals), count=each.count) for each in counts]

    @strawberry.field(description="The viewer's guess, given or not; null unless the viewer joined the tournament.")
    async def viewer_guess(self, info: Info) -> GuessRef | None:
        found = await guesses.own(info.context, self.source.id)
        return guess_types.Guess.from_domain(found) if found else None

    @classmethod
    def from_domain(cls, match: domain.Match) -> Self:
        """Shape a match."""
        return cls(
            source=match,
            id=global_id("Match", match.id),
            version=match.version,
            kick_off=match.kick_off,
            kick_off_precision=match.kick_off_precision,
            lock_at=match.lock_at,
            is_locked=match.is_locked,
            status=match.status,
            minute=match.minute,
            result=MatchResult.from_domain(match) if match.result_state is not ResultState.NONE else None,
            stadium=match.stadium,
            last_checked_at=match.last_checked_at,
        )


@strawberry.type(description="A match in a page.")
class MatchEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: Match = strawberry.field(description="The match.")


@strawberry.type(description="A page of matches.")
class MatchConnection:
    edges: list[MatchEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    total_count: int = strawberry.field(description="Matches in all.")

    @classmethod
    def from_page(cls, page: Page[domain.Match]) -> Self:
        """Shape a page."""
        edges = [
            MatchEdge(cursor=cursor, node=Match.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page), total_count=page.total)


@strawberry.input(one_of=True, description="Which matches to follow.")
class MatchScopeInput:
    round_id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="All matches of a round.")
    live_of_tournament_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="The matches of a tournament that are in play; they enter and leave."
    )
    match_ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="These matches, at most 100."
    )

    def scope(self) -> MatchScope:
        """The matches that it names.

        Raises:
            InvalidInput: more than 100 matches, or none.
            NotFound: an id in it is not one.
        """
        if given(self.round_id) is not None:
            return MatchScope(round_id=optional_id(self.round_id, ids.round_id, "round", "scope", "roundId"))
        if given(self.live_of_tournament_id) is not None:
            found = optional_id(
                self.live_of_tournament_id, ids.tournament_id, "tournament", "scope", "liveOfTournamentId"
            )
            return MatchScope(live_of_tournament_id=found)
        named = given(self.match_ids) or []
        if not 1 <= len(named) <= 100:
            raise InvalidInput("Name 1 to 100 matches.", field=("scope", "matchIds"))
        return MatchScope(
            match_ids=tuple(
                required(ids.match_id(text), "match", "scope", "matchIds", str(index))
                for index, text in enumerate(named)
            )
        )


async def side(info: Info, match: domain.Match, team_id: TeamId | None, placeholder: str) -> MatchSide:
    """One of the two sides: a team, or what stands for it until the draw."""
    if team_id is None:
        return MatchSide(source=match, team_id=None, team=None, label=placeholder)
    team = tournament_types.Team.from_domain(there(await info.context.loaders.team.load(team_id)))
    return MatchSide(source=match, team_id=team_id, team=team, label=team.short_name)
