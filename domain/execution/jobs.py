"""The job message: how a worker hears of an execution. It carries ids only; what counts is read from the database."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.execution.model import Execution
from domain.execution.rules import entity_of
from domain.ids import new_id
from domain.outbox import store as outbox
from domain.outbox.model import TickKind, Topic

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

VERSION = 1


def job_message(execution: Execution, *, job_id: UUID | None, enqueued_at: datetime) -> dict[str, Any]:
    """The seven fields of a job, and the version of this form. `entityId` is None for all active tournaments."""
    entity = entity_of(execution.target)
    return {
        "v": VERSION,
        "jobId": None if job_id is None else str(job_id),
        "executionId": str(execution.id),
        "requestId": execution.request_id,
        "jobType": execution.operation.value,
        "entityId": None if entity is None else str(entity),
        "attempt": execution.attempt + 1,
        "enqueuedAt": enqueued_at.isoformat(),
    }


def message_of_try(execution: Execution, job_id: UUID | None) -> dict[str, Any]:
    """The message as it was sent that brought the present try to its worker."""
    before = replace(execution, attempt=execution.attempt - 1)
    return job_message(before, job_id=job_id, enqueued_at=execution.not_before)


async def announce(connection: "AsyncConnection", queued: Sequence[Execution]) -> None:
    """Send a job for each newly queued execution, and tell its followers, after the commit."""
    jobs = [(Topic.JOB, _message(execution, execution.queued_at)) for execution in queued]
    ticks = [(Topic.TICK, {"kind": TickKind.EXECUTION.value, "id": str(execution.id)}) for execution in queued]
    await outbox.put_many(connection, [*jobs, *ticks])


async def announce_again(connection: "AsyncConnection", execution: Execution) -> None:
    """Send a job for an execution that waits for another try, when it is due."""
    message = _message(execution, execution.not_before)
    await outbox.put(connection, Topic.JOB, message, not_before=execution.not_before)
    await tell(connection, execution)


async def send_again(connection: "AsyncConnection", forgotten: Sequence[Execution]) -> None:
    """Send a job once more for executions that nobody took up; nothing about them has changed."""
    await outbox.put_many(
        connection, [(Topic.JOB, _message(execution, execution.not_before)) for execution in forgotten]
    )


async def tell(connection: "AsyncConnection", execution: Execution) -> None:
    """Tell the followers of an execution that it has a new version."""
    await outbox.tick(connection, TickKind.EXECUTION, execution.id)


def _message(execution: Execution, enqueued_at: datetime) -> dict[str, Any]:
    return job_message(execution, job_id=new_id(), enqueued_at=enqueued_at)
