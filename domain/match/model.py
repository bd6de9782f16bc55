"""Matches and their results. A part of a score that is unknown is None, never 0."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from domain.ids import MatchId, RoundId, TeamId, TournamentId


class Goals(NamedTuple):
    home: int
    away: int


class MatchStatus(StrEnum):
    NOT_STARTED = "NOT_STARTED"
    IN_PLAY = "IN_PLAY"
    ENDED = "ENDED"
    POSTPONED = "POSTPONED"
    CANCELLED = "CANCELLED"
    ABANDONED = "ABANDONED"


class KickOffPrecision(StrEnum):
    EXACT = "EXACT"
    DATE = "DATE"
    UNKNOWN = "UNKNOWN"


class ResultKind(StrEnum):
    PLAYED = "PLAYED"
    AWARDED = "AWARDED"
    VOID = "VOID"


class ResultState(StrEnum):
    """What may be said of a match's result. NONE: there is none yet."""

    NONE = "NONE"
    PROVISIONAL = "PROVISIONAL"
    AWAITING_CONFIRMATION = "AWAITING_CONFIRMATION"
    FINAL = "FINAL"
    VOID = "VOID"


@dataclass(frozen=True, slots=True)
class Match:
    id: MatchId
    tournament_id: TournamentId
    round_id: RoundId
    home_team_id: TeamId | None
    away_team_id: TeamId | None
    home_label: str
    away_label: str
    kick_off: datetime | None
    kick_off_precision: KickOffPrecision
    lock_at: datetime | None
    is_locked: bool
    """Whether the lock had passed by the database clock when this was read."""
    status: MatchStatus
    minute: int | None
    goals: Goals | None
    """Score to show: running, or final with extra time and without shoot-out."""
    regulation: Goals | None
    after_extra_time: Goals | None
    shoot_out: Goals | None
    result_state: ResultState
    result_kind: ResultKind
    result_revision: int
    """Accepted results so far; 0 while there is none."""
    hold_reason: str | None
    data_warning: str | None
    version: int
    stadium: str | None
    last_checked_at: datetime | None
    is_settled: bool
    is_paused: bool
    """Whether guesses are PAUSED: void, postponed, without a date, or on its day without a time."""
