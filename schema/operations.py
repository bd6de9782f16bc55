"""The state of operations, for platform admins."""

from datetime import datetime
from typing import Self

import strawberry

from domain.execution.model import ExecutionErrorCode, Operation
from domain.execution.status import model as domain
from domain.ingestion.breaker.model import BreakerState, ProviderState
from domain.tournament.model import Provider
from schema.describe import describe

describe(
    BreakerState,
    "State of a circuit breaker.",
    CLOSED="All well.",
    OPEN="Not asked for now.",
    HALF_OPEN="One request is let through to see.",
)


@strawberry.type(description="Load of one operation.")
class QueueStatus:
    operation: Operation = strawberry.field(description="Which.")
    queued: int = strawberry.field(description="Executions queued and due.")
    waiting: int = strawberry.field(description="Executions waiting for a retry.")
    in_progress: int = strawberry.field(description="Executions in progress.")
    oldest_seconds: int | None = strawberry.field(
        description="Age of the oldest queued and due one, in seconds; null when there is none."
    )
    dead_letters: int = strawberry.field(description="Open dead letters.")

    @classmethod
    def from_domain(cls, queue: domain.QueueStatus) -> Self:
        """Shape the load of an operation."""
        return cls(
            operation=queue.operation,
            queued=queue.queued,
            waiting=queue.waiting,
            in_progress=queue.in_progress,
            oldest_seconds=queue.oldest_seconds,
            dead_letters=queue.dead_letters,
        )


@strawberry.type(description="How a provider treats us.")
class ProviderStatus:
    provider: Provider = strawberry.field(description="Which.")
    breaker: BreakerState = strawberry.field(description="State of the circuit breaker.")
    reason: ExecutionErrorCode | None = strawberry.field(description="Why it is not closed; null when it is.")
    retry_at: datetime | None = strawberry.field(description="When it is tried again; null when closed.")
    last_good_at: datetime | None = strawberry.field(description="When it last gave good data.")

    @classmethod
    def from_domain(cls, state: ProviderState) -> Self:
        """Shape what is known of a provider."""
        return cls(
            provider=state.provider,
            breaker=state.breaker,
            reason=state.reason,
            retry_at=state.retry_at,
            last_good_at=state.last_good_at,
        )


@strawberry.type(description="Queues, providers and processes at one moment.")
class OperationsStatus:
    at: datetime = strawberry.field(description="When this was read.")
    queues: list[QueueStatus] = strawberry.field(description="One for each operation.")
    providers: list[ProviderStatus] = strawberry.field(description="One for each provider.")
    outbox_backlog: int = strawberry.field(description="Messages committed and not sent to a queue yet.")
    scheduler_seen_at: datetime | None = strawberry.field(
        description="When the scheduler last looked for due slots; null when it never did."
    )
    workers: int = strawberry.field(description="Workers heard of in the last minute.")
    settlement_lag_seconds: int | None = strawberry.field(
        description="Age of the oldest match that has ended and is not settled, in seconds; null when there is none."
    )

    @classmethod
    def from_domain(cls, status: domain.OperationsStatus) -> Self:
        """Shape the state of operations."""
        return cls(
            at=status.at,
            queues=[QueueStatus.from_domain(queue) for queue in status.queues],
            providers=[ProviderStatus.from_domain(state) for state in status.providers],
            outbox_backlog=status.outbox_backlog,
            scheduler_seen_at=status.scheduler_seen_at,
            workers=status.workers,
            settlement_lag_seconds=status.settlement_lag_seconds,
        )
