"""Guesses and their states."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ids import MatchId, MemberId, TournamentId
from domain.match.model import Goals


class GuessState(StrEnum):
    NOT_STARTED = "NOT_STARTED"
    WAITING = "WAITING"
    EXPIRED = "EXPIRED"
    PAUSED = "PAUSED"
    FINALIZED = "FINALIZED"


@dataclass(frozen=True, slots=True)
class Guess:
    """One member's score for one match; it exists, without goals, before anything is given."""

    tournament_id: TournamentId
    match_id: MatchId
    member_id: MemberId
    goals: Goals | None
    revision: int
    saved_at: datetime | None
    late_goals: Goals | None
    """The member's own later save that does not count, because the kick-off turned out to be earlier."""


@dataclass(frozen=True, slots=True)
class GuessInput:
    match_id: MatchId
    home: int
    away: int


@dataclass(frozen=True, slots=True)
class ScorelineCount:
    """How many members guessed one score."""

    goals: Goals
    count: int
