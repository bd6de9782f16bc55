"""The circuit breaker of a provider: whether it is asked at present, and when it is tried again."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.execution.model import ExecutionErrorCode
from domain.tournament.model import Provider


class BreakerState(StrEnum):
    CLOSED = "CLOSED"
    """All well: everybody may ask."""
    OPEN = "OPEN"
    """Nobody asks before `retry_at`."""
    HALF_OPEN = "HALF_OPEN"
    """One request is under way to see; nobody else asks before `retry_at`, when it counts as lost."""


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What is known of a provider. `reason` and `retry_at` are None while the breaker is closed."""

    provider: Provider
    breaker: BreakerState = BreakerState.CLOSED
    reason: ExecutionErrorCode | None = None
    retry_at: datetime | None = None
    last_good_at: datetime | None = None
    failures: int = 0
    """Answers in a row that did not come, while closed."""
    openings: int = 0
    """How often it opened without having closed in between: each time it waits longer."""
