"""Boards and their rows. Points order members; exact scores, goal differences and outcomes break ties."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ids import LeagueId, MemberId, RoundId, TournamentId


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
class RankedRow:
    """A member's place. Points and counters are settled ones."""

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
    computed_at: datetime
    source: BoardSource
    staleness_ms: int
    members: int


@dataclass(frozen=True, slots=True)
class RowPage:
    rows: tuple[RankedRow, ...]
    total: int
    has_next: bool
    has_previous: bool
    board_moved: bool
