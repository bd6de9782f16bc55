"""The life of a try: claimed, kept, ended, or lost with its worker. Each function is one commit."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from domain.clock import Clock
from domain.database import Database
from domain.execution import jobs, rules
from domain.execution import store as executions
from domain.execution.dead_letter import store as dead_letters
from domain.execution.lease import store
from domain.execution.lease.ends import store as ends
from domain.execution.lease.ends.store import Ending
from domain.execution.lease.store import Claim, Progress
from domain.execution.model import Execution, ExecutionErrorCode, ExecutionState, Failure
from domain.execution.ports import ObjectStore
from domain.execution.report import CONTENT_TYPE, missing_report, report, report_key
from domain.execution.run import LeaseLost
from domain.ids import ExecutionId

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_BATCH = 100
_REPORT_SECONDS = 5.0

_KeepReport = Callable[[Execution, ExecutionState, Failure], Awaitable[str]]


async def claim(
    database: Database, execution_id: ExecutionId, *, owner: str, lease_seconds: float, job_id: UUID | None = None
) -> Execution | None:
    """Begin a try, which the job has led to; None when there is none to be had: taken, over, not due, or unknown."""
    async with database.read() as connection:  # a single statement
        return await ends.claim(connection, execution_id, job_id, owner=owner, lease_seconds=lease_seconds)


async def claim_many(
    database: Database, jobs: Mapping[ExecutionId, UUID | None], *, owner: str, lease_seconds: float
) -> tuple[dict[ExecutionId, Execution], set[ExecutionId]]:
    """The same for many in one commit. And those that somebody has locked at this moment: only `claim` awaits them."""
    async with database.read() as connection:
        return await ends.claim_many(connection, jobs, owner=owner, lease_seconds=lease_seconds)


async def lost_its_worker(database: Database, execution_id: ExecutionId) -> bool:
    """Whether the worker of its last try was lost, maybe because of it."""
    async with database.read() as connection:
        found = await executions.read(connection, [execution_id])
    return any(execution.error_code is ExecutionErrorCode.WORKER_LOST for execution in found)


async def keep(database: Database, claim: Claim, progress: Progress | None, *, lease_seconds: float) -> Execution:
    """Renew the lease, and tell how far the work is when that has changed. Raises LeaseLost."""
    async with database.begin() as connection:
        if progress is None:
            return _ours(await store.renew(connection, claim, lease_seconds=lease_seconds))
        execution = _ours(await store.write_progress(connection, claim, progress, lease_seconds=lease_seconds))
        await jobs.tell(connection, execution)
        return execution


async def finish(
    database: Database,
    claim: Claim,
    state: ExecutionState,
    progress: Progress,
    *,
    failure: Failure | None,
    report_key: str | None,
    trace: str | None = None,
) -> None:
    """End the execution in a final state; a failed one becomes a dead letter with its trace. Raises LeaseLost."""
    async with database.begin() as connection:
        ending = Ending(claim, state, progress, report_key, failure)
        if not await ends.finish(connection, [ending], waits=True):
            raise LeaseLost
        if state is ExecutionState.FAILED:
            (ended,) = await executions.read(connection, [claim.id])
            await _bury(connection, ended, trace)


async def finish_many(database: Database, endings: Sequence[Ending]) -> set[ExecutionId]:
    """End executions otherwise than as failed, in one commit; which ones.

    Left out are those whose lease is lost, and those that are locked at this moment, which only `finish` awaits.
    """
    async with database.begin() as connection:
        return await ends.finish(connection, endings, waits=False)


async def retry_later(database: Database, claim: Claim, progress: Progress, *, failure: Failure, delay: float) -> None:
    """Have another try begin after `delay` seconds, unless it is to be cancelled. Raises LeaseLost."""
    async with database.begin() as connection:
        queued = await store.requeue(connection, claim, progress, failure=failure, delay=delay)
        await _tell(connection, _ours(queued))


async def give_back(database: Database, claim: Claim) -> None:
    """Let another worker begin the try anew at once, or none if it is to be cancelled; it does not count.

    Raises LeaseLost.
    """
    async with database.begin() as connection:
        await _tell(connection, _ours(await store.give_back(connection, claim)))


async def take_from_lost_workers(database: Database, reports: ObjectStore, clock: Clock) -> list[Execution]:
    """Queue again, cancel, or fail after their last try, executions whose lease ran out; how they are now."""
    keep_report: _KeepReport = partial(_keep_report, reports, clock)
    async with database.begin() as connection:
        taken = []
        for execution in await store.take_abandoned(connection, _BATCH):
            ended, problem = await _end_lost(connection, execution, keep_report)
            if ended is not None:
                taken.append(ended)
            if problem is not None:
                keep_report = _refuse(problem)  # the store is not waited for time and again with rows locked
    return taken


async def send_forgotten(database: Database, *, after_seconds: float) -> int:
    """Send a job again for executions that have been due for so long and that no worker took up; how many."""
    async with database.begin() as connection:
        forgotten = await executions.take_forgotten(connection, after_seconds=after_seconds, limit=_BATCH)
        await jobs.send_again(connection, forgotten)
    return len(forgotten)


async def send_all_waiting(database: Database) -> int:
    """Send a job again for every execution that is due, because the queue has lost what it held; how many."""
    total = 0
    async with database.read() as connection:
        lost_at = await store.now(connection)
    while True:
        async with database.begin() as connection:
            waiting = await executions.take_sent_before(connection, lost_at, limit=_BATCH)
            await jobs.send_again(connection, waiting)
        total += len(waiting)
        if len(waiting) < _BATCH:
            return total


async def _end_lost(
    connection: "AsyncConnection", execution: Execution, keep_report: _KeepReport
) -> tuple[Execution | None, Exception | None]:
    """End a try whose worker was lost: the execution, unless somebody was quicker, and why it has no report."""
    failure = rules.lost_worker(execution.attempt)
    state = _after_loss(execution, failure)
    key, problem = None, None
    if state is not ExecutionState.QUEUED:
        try:
            key = await keep_report(execution, state, failure)
        except (OSError, TimeoutError) as error:
            problem = error
    ended = await store.end_abandoned(connection, execution, state, failure=failure, report_key=key)
    if ended is not None:
        if problem is not None and ended.finished_at is not None:
            step = missing_report(await store.next_position(connection, ended.id), problem, at=ended.finished_at)
            await store.add_step(connection, ended.id, step)
        await _tell(connection, ended)
    return ended, problem


def _ours(execution: Execution | None) -> Execution:
    if execution is None:
        raise LeaseLost
    return execution


def _after_loss(execution: Execution, failure: Failure) -> ExecutionState:
    """What follows a try that has ended with the loss of its worker."""
    if execution.cancel_requested_at is not None:
        return ExecutionState.CANCELLED
    policy = rules.POLICIES[execution.operation]
    again = rules.may_retry(policy, failure, execution.attempt, execution.max_attempts, losses=execution.losses + 1)
    return ExecutionState.QUEUED if again else ExecutionState.FAILED


async def _tell(connection: "AsyncConnection", execution: Execution) -> None:
    """Say what follows the end of a try, in its transaction: another job, a dead letter, or nothing more."""
    if execution.state is ExecutionState.QUEUED:
        await jobs.announce_again(connection, execution)
        return
    if execution.state is ExecutionState.FAILED:
        await _bury(connection, execution, None)
    await jobs.tell(connection, execution)


async def _bury(connection: "AsyncConnection", failed: Execution, trace: str | None) -> None:
    """Keep a dead letter of a failed execution."""
    job_id = await store.job_of_try(connection, failed.id)
    await dead_letters.write(connection, failed, jobs.message_of_try(failed, job_id), trace)


async def _keep_report(
    reports: ObjectStore, clock: Clock, execution: Execution, state: ExecutionState, failure: Failure
) -> str:
    """Keep the report of a lost worker's try; the answer is its key. Raises OSError."""
    key = report_key(execution, execution.fence + 1)
    content = report(execution, state, (), {}, failure, at=clock())
    async with asyncio.timeout(_REPORT_SECONDS):
        await reports.put(key, content, content_type=CONTENT_TYPE)
    return key


def _refuse(problem: Exception) -> _KeepReport:
    async def refuse(*_: object) -> str:
        raise problem

    return refuse
