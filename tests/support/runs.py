"""Runs a handler as a worker would: a real execution, claimed with a real lease, on the real database."""

from collections.abc import Awaitable, Callable
from typing import Any

from domain.clock import utc_now
from domain.execution import service
from domain.execution.lease import service as lease
from domain.execution.model import Command, ExecutionState, ExecutionTrigger, Operation, Target
from domain.execution.run import Run, Step
from runtime.database import PostgresDatabase


async def run_now(
    database: PostgresDatabase,
    operation: Operation,
    handler: Callable[[Run], Awaitable[None]],
    target: Target | None = None,
    params: dict[str, Any] | None = None,
) -> Run:
    """The run after its handler came back; what the handler raises is raised."""
    command = Command(operation, target or Target(), params or {})
    async with database.begin() as connection:
        accepted = await service.accept(connection, command, trigger=ExecutionTrigger.SYSTEM, request_id="test")
    claimed = await lease.claim(database, accepted.execution.id, owner="test", lease_seconds=60)
    assert claimed is not None, "another worker has the execution"
    run = Run(claimed, database, utc_now)
    try:
        await handler(run)
    finally:
        await _give_up(database, run)
    return run


async def _give_up(database: PostgresDatabase, run: Run) -> None:
    await lease.finish(database, run.claim, ExecutionState.CANCELLED, run.progress(), failure=None, report_key=None)


def last_step(run: Run) -> Step:
    return run._steps[-1]
