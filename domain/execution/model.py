"""Executions: one run of an operation, its states and what may follow each."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.execution.effect import Effect
from domain.ids import ExecutionId, MatchId, MemberId, RoundId, ScheduleId, TournamentId


class Operation(StrEnum):
    INGEST_TOURNAMENT = "INGEST_TOURNAMENT"
    INGEST_ROUNDS = "INGEST_ROUNDS"
    INGEST_TEAMS = "INGEST_TEAMS"
    INGEST_MATCHES = "INGEST_MATCHES"
    INGEST_ROUND_MATCHES = "INGEST_ROUND_MATCHES"
    INGEST_MATCH = "INGEST_MATCH"
    INGEST_STANDINGS = "INGEST_STANDINGS"
    INGEST_KNOCKOUT_ROUNDS = "INGEST_KNOCKOUT_ROUNDS"
    SYNC_CURRENT_ROUND = "SYNC_CURRENT_ROUND"
    POLL_OPEN_MATCHES = "POLL_OPEN_MATCHES"
    SETTLE_MATCH = "SETTLE_MATCH"
    SETTLE_PENDING = "SETTLE_PENDING"
    REBUILD_PROJECTION = "REBUILD_PROJECTION"
    VERIFY_PROJECTION = "VERIFY_PROJECTION"
    PRUNE_HISTORY = "PRUNE_HISTORY"
    CORRECT_RESULT = "CORRECT_RESULT"
    REPLAY_SETTLEMENT = "REPLAY_SETTLEMENT"
    EXPORT_LEADERBOARD = "EXPORT_LEADERBOARD"
    ERASE_MEMBER = "ERASE_MEMBER"


class ExecutionState(StrEnum):
    """Each state says who sets it; `TRANSITIONS` says what may follow."""

    QUEUED = "QUEUED"
    """Set on acceptance, and again for a retry: waits for a worker, or for `not_before`."""
    IN_PROGRESS = "IN_PROGRESS"
    """Set by the worker that claimed it, which holds a lease and a fencing token."""
    COMPLETED = "COMPLETED"
    """Set by that worker: over, and all of it done."""
    FAILED = "FAILED"
    """Set by the worker or the sweeper: over, out of tries."""
    CANCELLED = "CANCELLED"
    """Set by an admin while queued, afterwards by the worker between two steps, or when the try ends otherwise."""


TRANSITIONS: dict[ExecutionState, frozenset[ExecutionState]] = {
    ExecutionState.QUEUED: frozenset({ExecutionState.IN_PROGRESS, ExecutionState.CANCELLED}),
    ExecutionState.IN_PROGRESS: frozenset(
        {ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.CANCELLED, ExecutionState.QUEUED}
    ),
    ExecutionState.COMPLETED: frozenset(),
    ExecutionState.FAILED: frozenset(),
    ExecutionState.CANCELLED: frozenset(),
}
LIVE = (ExecutionState.QUEUED, ExecutionState.IN_PROGRESS)


class ExecutionTrigger(StrEnum):
    ADMIN = "ADMIN"
    SCHEDULE = "SCHEDULE"
    SYSTEM = "SYSTEM"
    MEMBER = "MEMBER"


class ExecutionErrorCode(StrEnum):
    PROVIDER_BLOCKED = "PROVIDER_BLOCKED"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    PROVIDER_NOT_FOUND = "PROVIDER_NOT_FOUND"
    PROVIDER_BAD_DATA = "PROVIDER_BAD_DATA"
    PREREQUISITE_MISSING = "PREREQUISITE_MISSING"
    RESULT_INCOMPLETE = "RESULT_INCOMPLETE"
    STALE_PREVIEW = "STALE_PREVIEW"
    WORKER_LOST = "WORKER_LOST"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Counts:
    """What was done to records. `total` is what was expected in all; None while unknown."""

    total: int | None = None
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """What an execution is about; all None means all active tournaments."""

    tournament_id: TournamentId | None = None
    round_id: RoundId | None = None
    match_id: MatchId | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """An operation to run on a target. `params` are JSON values and part of what makes two commands equal."""

    operation: Operation
    target: Target
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Execution:
    id: ExecutionId
    version: int
    operation: Operation
    target: Target
    params: dict[str, Any]
    state: ExecutionState
    dry_run: bool
    trigger: ExecutionTrigger
    schedule_id: ScheduleId | None
    actor_id: MemberId | None
    reason: str | None
    request_id: str
    retry_of: ExecutionId | None
    attempt: int
    max_attempts: int
    not_before: datetime
    fence: int
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    error_code: ExecutionErrorCode | None
    error_message: str | None
    counts: Counts
    report_key: str | None
    effect: Effect | None = None
    losses: int = 0
    """Tries that ended with the loss of their worker."""


@dataclass(frozen=True, slots=True)
class ExecutionStep:
    position: int
    name: str
    state: ExecutionState
    counts: Counts
    note: str | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions; an empty tuple and None mean all. `queued_before` is exclusive."""

    operations: tuple[Operation, ...] = ()
    states: tuple[ExecutionState, ...] = ()
    tournament_id: TournamentId | None = None
    schedule_id: ScheduleId | None = None
    queued_since: datetime | None = None
    queued_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try failed, in words for people."""

    code: ExecutionErrorCode
    message: str
    is_final: bool = False
    """Whether no other try follows, whatever the operation's policy says of the code."""
