"""SQL of dead letters: written when an execution fails, resolved once, read."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, or_, select, true, update

from domain.execution.dead_letter.model import DeadLetter, DeadLetterResolution
from domain.execution.dead_letter.tables import dead_letters
from domain.execution.model import Execution, ExecutionErrorCode, Failure, Operation
from domain.ids import DeadLetterId, ExecutionId, MemberId, new_id
from domain.tables import among

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def write(
    connection: "AsyncConnection", execution: Execution, message: dict[str, Any], trace: str | None
) -> None:
    """Write the dead letter of an execution that has failed in this transaction."""
    await connection.execute(
        insert(dead_letters).values(
            id=new_id(),
            execution_id=execution.id,
            operation=execution.operation,
            message=message,
            attempts=execution.attempt,
            error_code=execution.error_code,
            error_message=execution.error_message or "",
            trace=trace,
        )
    )


async def read(connection: "AsyncConnection", ids: Iterable[DeadLetterId]) -> list[DeadLetter]:
    rows = await connection.execute(select(dead_letters).where(among(dead_letters.c.id, ids)))
    return [_to_dead_letter(row) for row in rows]


async def page(
    connection: "AsyncConnection", *, include_resolved: bool, limit: int, after: tuple[datetime, DeadLetterId] | None
) -> list[DeadLetter]:
    """Latest first, then by id, starting behind `after`."""
    columns = dead_letters.c
    statement = select(dead_letters).where(true() if include_resolved else columns.resolution.is_(None))
    if after is not None:
        died_at, last = after
        statement = statement.where(columns.died_at <= died_at, or_(columns.died_at < died_at, columns.id > last))
    rows = await connection.execute(statement.order_by(columns.died_at.desc(), columns.id).limit(limit))
    return [_to_dead_letter(row) for row in rows]


async def of_execution(connection: "AsyncConnection", execution_id: ExecutionId) -> DeadLetter | None:
    """The dead letter of an execution; None when it has none."""
    statement = select(dead_letters).where(dead_letters.c.execution_id == execution_id)
    row = (await connection.execute(statement)).first()
    return None if row is None else _to_dead_letter(row)


async def resolve(
    connection: "AsyncConnection",
    dead_letter_id: DeadLetterId,
    resolution: DeadLetterResolution,
    *,
    by: MemberId | None,
    reason: str,
) -> DeadLetter:
    """Close an open dead letter; the caller has its execution for update, so that nobody else does it meanwhile."""
    statement = (
        update(dead_letters)
        .where(dead_letters.c.id == dead_letter_id, dead_letters.c.resolution.is_(None))
        .values(resolution=resolution, resolved_by=by, resolved_at=func.clock_timestamp(), reason=reason)
        .returning(dead_letters)
    )
    return _to_dead_letter((await connection.execute(statement)).one())


def _to_dead_letter(row: Any) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        execution_id=row.execution_id,
        operation=Operation(row.operation),
        message=row.message,
        attempts=row.attempts,
        failure=Failure(ExecutionErrorCode(row.error_code), row.error_message),
        trace=row.trace,
        died_at=row.died_at,
        resolution=DeadLetterResolution(row.resolution) if row.resolution else None,
        resolved_by=row.resolved_by,
        resolved_at=row.resolved_at,
        reason=row.reason,
    )
