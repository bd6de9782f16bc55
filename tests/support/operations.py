"""Puts executions, dead letters and processes into every state that the status tells of."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, text, update

from domain.execution.dead_letter.tables import dead_letters
from domain.execution.model import ExecutionState, Operation, Target
from domain.execution.status.model import OperationsStatus, ProcessKind, QueueStatus
from domain.execution.status.tables import processes
from domain.execution.tables import executions
from domain.ids import ExecutionId, new_id
from tests.support.executions import queue

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


def ago(seconds: float) -> Any:
    """An instant of the database's clock; of the future when negative."""
    return func.clock_timestamp() - text("make_interval(secs => :seconds)").bindparams(seconds=float(seconds))


def of(status: OperationsStatus, operation: Operation) -> QueueStatus:
    """The load of one operation."""
    return next(found for found in status.queues if found.operation is operation)


async def put_queued(
    database: "PostgresDatabase", operation: Operation, target: Target | None = None, *, due: float = 0
) -> ExecutionId:
    """An execution that has been due for so many seconds; of later when negative."""
    queued = (await queue(database, operation=operation, target=target)).execution.id
    await change(database, queued, not_before=ago(due))
    return queued


async def put_running(database: "PostgresDatabase", operation: Operation, target: Target | None = None) -> ExecutionId:
    queued = await put_queued(database, operation, target)
    await change(database, queued, state=ExecutionState.IN_PROGRESS, attempt=1, fence=1, lease_until=ago(-60))
    return queued


async def put_ended(
    database: "PostgresDatabase",
    operation: Operation,
    state: ExecutionState = ExecutionState.COMPLETED,
    *,
    tries: int = 1,
    seconds_ago: float = 0,
) -> ExecutionId:
    """An execution that ended so long ago, after so many tries."""
    running = await put_running(database, operation)
    error = "INTERNAL" if state is ExecutionState.FAILED else None
    ending = {"state": state, "lease_until": None, "finished_at": ago(seconds_ago), "error_code": error}
    await change(database, running, attempt=tries, **ending)
    return running


async def put_dead_letter(database: "PostgresDatabase", operation: Operation, *, is_open: bool = True) -> None:
    """A dead letter with its execution."""
    failed = await put_ended(database, operation, ExecutionState.FAILED)
    resolved = {} if is_open else {"resolution": "DISCARDED", "resolved_at": ago(0), "reason": "tested"}
    values = {"id": new_id(), "execution_id": failed, "operation": operation, "message": {}, "attempts": 1}
    values |= {"error_code": "INTERNAL", "error_message": "no", **resolved}
    async with database.begin() as connection:
        await connection.execute(insert(dead_letters).values(values))


async def put_process(database: "PostgresDatabase", kind: ProcessKind, *, silent: float, name: str = "") -> str:
    """A process that has been silent for so many seconds."""
    found = name or f"{kind}:{new_id()}"
    async with database.begin() as connection:
        await connection.execute(insert(processes).values(name=found, kind=kind, seen_at=ago(silent)))
    return found


async def change(database: "PostgresDatabase", execution_id: ExecutionId, **values: Any) -> None:
    """Change an execution, whoever has it."""
    async with database.begin() as connection:
        await connection.execute(update(executions).where(executions.c.id == execution_id).values(values))
