"""Boards and their rows. Points order members; exact scores, goal differences and outcomes break ties."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from domain.ids import LeagueId, MatchId, MemberId, RoundId, TeamId, TournamentId
from domain.match.model import Goals
from domain.scoring.model import ScoreBasis, Weights


class RankCriterion(StrEnum):
    POINTS = "POINTS"
    EXACT_SCORES = "EXACT_SCORES"
    GOAL_DIFFERENCES = "GOAL_DIFFERENCES"
    OUTCOMES = "OUTCOMES"


class BoardSource(StrEnum):
    PROJECTION = "PROJECTION"
    DATABASE = "DATABASE"


@dataclass(frozen=True, slots=True)
class BoardKey:
    """Which board: a tournament's, a league's total, a league's in one tournament, or a round's."""

    league_id: LeagueId | None = None
    tournament_id: TournamentId | None = None
    round_id: RoundId | None = None


@dataclass(frozen=True, slots=True)
class AtVersion:
    """As a tournament's board stood at a version of its settled scores; 0 is before any settlement."""

    version: int


@dataclass(frozen=True, slots=True)
class AtTime:
    """As it stood at an instant."""

    time: datetime


@dataclass(frozen=True, slots=True)
class AfterRound:
    """As it stood when the round after this one became the current round, or now for the latest one."""

    round_id: RoundId


Moment = AtVersion | AtTime | AfterRound


@dataclass(frozen=True, slots=True)
class Baseline:
    """A tournament's scores when a round first began, or when the present one became the current one."""

    version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class LiveMatch:
    """A match that pays provisional points: in play, or over and not settled."""

    id: MatchId
    home_team_id: TeamId | None
    lock_at: datetime
    scores: Mapping[ScoreBasis, Goals]
    """The score that counts for now under each basis that has one."""


Span = tuple[datetime, datetime | None]
"""Since when, and until when; None: still."""


@dataclass(frozen=True, slots=True)
class Part:
    """A tournament on a board, and the ruleset that it counts under there."""

    tournament_id: TournamentId
    settled_version: int
    board_version: int
    basis: ScoreBasis
    """The stored basis that holds the ruleset's facts."""
    bases: tuple[ScoreBasis, ...]
    weights: Weights
    counts_in_total: bool
    """Whether its status in the league is one that counts."""
    played: tuple[Span, ...]
    """When the league has played it, in order; empty on a tournament's own board."""
    baseline: Baseline | None
    """What movement compares with: of when its current round became that."""
    settled_matches: int
    matches: int
    pending_matches: int
    live: tuple[LiveMatch, ...] = ()
    """Matches of the board that pay provisional points under any basis."""
    lacks_since: datetime | None = None
    """When the oldest settlement was made that the board waits with, for it counts a score that is not known."""
    removals: int = 0
    """How many members were taken off its boards of all moments."""
    is_changing: bool = field(default=False, compare=False)
    """Whether somebody has joined or has another nick name, and no version tells so yet."""

    @property
    def live_matches(self) -> int:
        """How many pay provisional points under the part's own basis."""
        return sum(self.basis in match.scores for match in self.live)


@dataclass(frozen=True)
class BoardState:
    """What a board depends on, read at one moment."""

    key: BoardKey
    epoch: str
    league_version: int
    read_at: datetime
    parts: tuple[Part, ...]
    past_at: datetime | None = None
    """Of a past board: the moment whose members it has. Its parts have the versions and the matches of then."""

    @property
    def version(self) -> int:
        """Stream version; counters of links that no longer count stay in it, so it never falls."""
        return self.league_version + sum(part.board_version for part in self.parts)

    @cached_property
    def counted(self) -> tuple[Part, ...]:
        """The tournaments whose points are on the board."""
        is_total = self.key.tournament_id is None
        return tuple(part for part in self.parts if not is_total or _is_linked(part, self.past_at))

    @property
    def is_changing(self) -> bool:
        """Whether something of it has changed that no version tells yet: see `Part.is_changing`."""
        return any(part.is_changing for part in self.parts)

    def staleness_ms(self, at: datetime) -> int:
        """Age at an instant of the oldest settled change that the board does not show; 0 when it shows all."""
        since = [part.lacks_since for part in self.counted if part.lacks_since is not None]
        return max(int((at - min(since)).total_seconds() * 1000), 0) if since else 0

    @property
    def count_regulation(self) -> list[TournamentId]:
        """The tournaments in which the board counts the score after 90 minutes apart from that after extra time."""
        return [part.tournament_id for part in self.parts if part.basis is ScoreBasis.REGULATION]


def _is_linked(part: Part, at: datetime | None) -> bool:
    """Whether a league's total counts a tournament now, or did at an instant."""
    return part.counts_in_total and any(
        until is None if at is None else since <= at and (until is None or until > at) for since, until in part.played
    )


@dataclass(frozen=True, slots=True)
class RankedRow:
    """A member's place. Points and counters are settled and provisional ones together, unless told apart."""

    member_id: MemberId
    position: int
    rank: int
    dense_rank: int
    tied: int
    separated_by: RankCriterion | None
    points: int
    exact_scores: int
    goal_differences: int
    outcomes: int
    settled_rank: int
    settled_points: int


@dataclass(frozen=True, slots=True)
class PastRound:
    """A member's place after a round."""

    round_id: RoundId
    rank: int | None
    """None when not ranked then."""
    points: int
    round_points: int
    """Of the round's matches, settled up to the moment of the board."""


@dataclass(frozen=True, slots=True)
class BoardHead:
    """What a board says of itself, without its rows."""

    key: BoardKey
    epoch: str
    version: int
    """Stream version: the sum of the database counters that the board depends on."""
    settled_version: int | None
    """Tournament version that it shows; None for a league's total."""
    settled_matches: int
    matches: int
    pending_matches: int
    live_matches: int
    """Matches whose provisional points are in it."""
    computed_at: datetime
    source: BoardSource
    staleness_ms: int = field(compare=False)
    """Age of the oldest settled change that is not in it, when it was opened."""
    members: int
    as_of: Moment | None = None
    """None for the present board."""
    settled_only: bool = False

    @property
    def is_streamed(self) -> bool:
        """Whether streams show this board: the present one, with all that counts for now."""
        return self.as_of is None and not self.settled_only


@dataclass(frozen=True, slots=True)
class RowPage:
    rows: tuple[RankedRow, ...]
    total: int
    has_next: bool
    has_previous: bool
    board_moved: bool
