"""How the platform is at this moment, and which processes are alive."""

from dataclasses import replace

from domain.database import Database
from domain.execution.model import Operation
from domain.execution.status import store
from domain.execution.status.model import OperationsStatus, Process, QueueStatus, RecentlyEnded
from domain.ingestion.breaker import store as breakers
from domain.ingestion.breaker.model import ProviderState
from domain.tournament.model import Provider


async def read_status(database: Database) -> OperationsStatus:
    """Queues, providers and processes now; four statements, however much is queued."""
    async with database.read() as connection:
        queues = await store.queues(connection)
        letters = await store.open_dead_letters(connection)
        providers = {state.provider: state for state in await breakers.read_all(connection)}
        figures = await store.figures(connection)
    return OperationsStatus(
        at=figures.at,
        queues=tuple(
            replace(queues.get(operation, QueueStatus(operation)), dead_letters=letters.get(operation, 0))
            for operation in Operation
        ),
        providers=tuple(providers.get(provider, ProviderState(provider)) for provider in Provider),
        outbox_backlog=figures.outbox_backlog,
        scheduler_seen_at=figures.scheduler_seen_at,
        workers=figures.workers,
        settlement_lag_seconds=figures.settlement_lag_seconds,
    )


async def recently_ended(database: Database) -> list[RecentlyEnded]:
    """Executions that ended within the last hour, by operation and state; what is not there is none."""
    async with database.read() as connection:
        return await store.recently_ended(connection)


async def beat(database: Database, process: Process) -> None:
    """Let a process be heard of, and forget those that were silent for an hour."""
    async with database.begin() as connection:
        await store.beat(connection, process)
        await store.forget_silent(connection)


async def leave(database: Database, process: Process) -> None:
    """A process ends in good order: it is not counted any more."""
    async with database.begin() as connection:
        await store.forget(connection, process)
