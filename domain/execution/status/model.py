"""Queues, providers and processes at one moment."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.execution.model import ExecutionState, Operation
from domain.ingestion.breaker.model import ProviderState


class ProcessKind(StrEnum):
    WORKER = "WORKER"
    SCHEDULER = "SCHEDULER"


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the others know it; its name is unique among all that ever ran."""

    name: str
    kind: ProcessKind


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Load of one operation; each live execution is counted once."""

    operation: Operation
    queued: int = 0
    """Queued and due."""
    waiting: int = 0
    """Queued for a later instant: for its next try."""
    in_progress: int = 0
    oldest_seconds: int | None = None
    """How long the oldest queued one has been due, in seconds; None when there is none."""
    dead_letters: int = 0
    """Open ones."""


@dataclass(frozen=True, slots=True)
class OperationsStatus:
    """All operations and all providers, whether or not there is anything to tell of them."""

    at: datetime
    queues: tuple[QueueStatus, ...]
    providers: tuple[ProviderState, ...]
    outbox_backlog: int
    """Messages that are due and not sent."""
    scheduler_seen_at: datetime | None
    """When a scheduler last looked for due slots; None when none ever did."""
    workers: int
    """Workers heard of in the last minute."""
    settlement_lag_seconds: int | None
    """Age of the oldest match that has ended and is not settled, in seconds; None when there is none."""


@dataclass(frozen=True, slots=True)
class RecentlyEnded:
    """Executions of one operation that ended in one state within the last hour."""

    operation: Operation
    state: ExecutionState
    executions: int
    retries: int
    """Their tries beyond the first."""
