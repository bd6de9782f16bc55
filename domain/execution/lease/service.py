"""The life of a try: claimed, kept, ended, or lost with its worker. Each function is one commit."""

from domain.clock import Clock
from domain.database import Database
from domain.execution import jobs, rules
from domain.execution import store as executions
from domain.execution.lease import store
from domain.execution.lease.store import Claim, Progress
from domain.execution.model import Execution, ExecutionErrorCode, ExecutionState, Failure
from domain.execution.ports import ObjectStore
from domain.execution.report import CONTENT_TYPE, report, report_key
from domain.execution.run import LeaseLost
from domain.ids import ExecutionId

_BATCH = 100


async def claim(database: Database, execution_id: ExecutionId, *, owner: str, lease_seconds: float) -> Execution | None:
    """Begin a try; None when the execution is not to be had: taken, over, not due, or unknown."""
    async with database.begin() as connection:
        execution = await store.claim(connection, execution_id, owner=owner, lease_seconds=lease_seconds)
        if execution is not None:
            await jobs.tell(connection, execution)
    return execution


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
) -> None:
    """End the execution in a final state. Raises LeaseLost."""
    async with database.begin() as connection:
        ended = await store.finish(connection, claim, state, progress, failure=failure, report_key=report_key)
        await jobs.tell(connection, _ours(ended))


async def retry_later(database: Database, claim: Claim, progress: Progress, *, failure: Failure, delay: float) -> None:
    """Have another try begin after `delay` seconds. Raises LeaseLost."""
    async with database.begin() as connection:
        queued = await store.requeue(connection, claim, progress, failure=failure, delay=delay)
        await jobs.announce_again(connection, _ours(queued))


async def give_back(database: Database, claim: Claim) -> None:
    """Let another worker begin the try anew at once; it does not count. Raises LeaseLost."""
    async with database.begin() as connection:
        await jobs.announce_again(connection, _ours(await store.give_back(connection, claim)))


async def take_from_lost_workers(database: Database, reports: ObjectStore, clock: Clock) -> list[Execution]:
    """Queue again, or fail after their last try, executions whose lease ran out; the answer is how they are now."""
    async with database.begin() as connection:
        taken = []
        for execution in await store.take_abandoned(connection, _BATCH):
            failure = rules.lost_worker(execution.attempt)
            policy = rules.POLICIES[execution.operation]
            again = rules.may_retry(policy, failure, execution.attempt, execution.max_attempts)
            key = None if again else await _keep_report(reports, execution, failure, clock)
            ended = await store.end_abandoned(
                connection, execution, failure=failure, delay=0 if again else None, report_key=key
            )
            if ended is not None:
                await (jobs.announce_again if again else jobs.tell)(connection, ended)
                taken.append(ended)
    return taken


async def send_forgotten(database: Database, *, after_seconds: float) -> int:
    """Send a job again for executions that have been due for so long and that no worker took up; how many."""
    async with database.begin() as connection:
        forgotten = await store.take_forgotten(connection, after_seconds=after_seconds, limit=_BATCH)
        await jobs.send_again(connection, forgotten)
    return len(forgotten)


async def send_all_waiting(database: Database) -> int:
    """Send a job again for every execution that is due, because the queue has lost what it held; how many."""
    total = 0
    async with database.read() as connection:
        lost_at = await store.now(connection)
    while True:
        async with database.begin() as connection:
            waiting = await store.take_sent_before(connection, lost_at, limit=_BATCH)
            await jobs.send_again(connection, waiting)
        total += len(waiting)
        if len(waiting) < _BATCH:
            return total


def _ours(execution: Execution | None) -> Execution:
    if execution is None:
        raise LeaseLost
    return execution


async def _keep_report(reports: ObjectStore, execution: Execution, failure: Failure, clock: Clock) -> str | None:
    key = report_key(execution, execution.fence + 1)
    content = report(execution, ExecutionState.FAILED, (), {}, failure, at=clock())
    try:
        await reports.put(key, content, content_type=CONTENT_TYPE)
    except OSError:
        return None
    return key
