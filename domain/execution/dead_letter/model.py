"""A dead letter: what was to be run, why and where it failed, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.execution.model import Failure, Operation
from domain.ids import DeadLetterId, ExecutionId, MemberId


class DeadLetterResolution(StrEnum):
    REPLAYED = "REPLAYED"
    """A new execution does its work: a replay, or a retry of its execution."""
    DISCARDED = "DISCARDED"
    """Closed without running it again."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    id: DeadLetterId
    execution_id: ExecutionId
    operation: Operation
    message: dict[str, Any]
    """The job message of the last try, as it was sent."""
    attempts: int
    failure: Failure
    trace: str | None
    """Where in our code the last try failed; None when its process died."""
    died_at: datetime
    resolution: DeadLetterResolution | None
    """None while it is open."""
    resolved_by: MemberId | None
    """None while it is open, and when an operator resolved it at the command line, as the audit log tells."""
    resolved_at: datetime | None
    reason: str | None
