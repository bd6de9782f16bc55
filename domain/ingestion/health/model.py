"""The state of a tournament's data."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.execution.model import Execution
from domain.ids import MatchId, TournamentId
from domain.match.model import Goals, ResultKind, ResultState
from domain.tournament.model import TournamentStatus


class HealthProblemCode(StrEnum):
    INCOMPLETE = "INCOMPLETE"
    STALE = "STALE"
    OVERDUE_MATCH = "OVERDUE_MATCH"
    HELD_RESULT = "HELD_RESULT"
    RESULT_DIFFERS = "RESULT_DIFFERS"
    MISSING_MATCH = "MISSING_MATCH"
    QUARANTINED_RECORD = "QUARANTINED_RECORD"
    UNKNOWN_STATUS = "UNKNOWN_STATUS"
    IMPOSSIBLE_SCORE = "IMPOSSIBLE_SCORE"


@dataclass(frozen=True, slots=True)
class HealthProblem:
    """Something about a tournament's data that needs a look."""

    tournament_id: TournamentId
    code: HealthProblemCode
    match_id: MatchId | None
    """None for the whole tournament."""
    mark: str
    """Tells it from other problems of the code and match: it stays the same while the problem stands."""
    message: str
    """For people, with what to do."""
    pending_id: UUID | None = None
    """The result of the provider that waits beside an admin's, where it is about one."""

    @property
    def key(self) -> str:
        """Names it within its tournament."""
        return f"{self.code}:{self.match_id.hex if self.match_id else ''}:{self.mark}"


@dataclass(frozen=True, slots=True)
class TournamentHealth:
    rounds: int
    teams: int
    matches: int
    settled_matches: int
    last_executions: tuple[Execution, ...]
    """The latest of each operation."""
    problems: tuple[HealthProblem, ...]
    """Worst first, those that were dismissed left out."""


@dataclass(frozen=True, slots=True)
class StoredTournament:
    """What is stored of a tournament, in numbers."""

    id: TournamentId
    status: TournamentStatus
    rounds: int
    teams: int
    matches: int
    settled_matches: int
    read_at: datetime | None
    """When its matches were last read whole."""
    is_stale: bool
    """Whether that, or its creation, is too long ago."""


@dataclass(frozen=True, slots=True)
class DoubtfulMatch:
    """A match of which something is odd."""

    tournament_id: TournamentId
    id: MatchId
    title: str
    kick_off: datetime | None
    is_overdue: bool
    missing_since: datetime | None
    result_state: ResultState
    hold_reason: str | None
    data_warning: str | None
    held_content: str | None
    """What the provider last said of the result, where it is not believed yet."""
    pending: "Pending | None"


@dataclass(frozen=True, slots=True)
class Pending:
    """A result of the provider that waits beside an admin's."""

    id: UUID
    kind: ResultKind
    goals: Goals | None
    found_at: datetime


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    tournament_id: TournamentId
    external_id: str
    reason: str
