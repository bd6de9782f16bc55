"""Runs one delivered job: claims its execution, works under the lease, and writes how it ended.

A job is only a hint: what cannot be claimed was delivered twice, is done by somebody else, or is not due.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

import structlog

from domain.clock import Clock
from domain.database import Database
from domain.execution import rules
from domain.execution.lease import service as leases
from domain.execution.lease.ends.store import Ending
from domain.execution.lease.store import Progress
from domain.execution.model import Counts, ExecutionState, Failure, Operation
from domain.execution.ports import ObjectStore
from domain.execution.report import CONTENT_TYPE, missing_report, report, report_key
from domain.execution.run import CancelRequested, LeaseLost, Run
from domain.execution.trace import trace_of
from domain.ids import ExecutionId
from tasks.ends import Ends
from tasks.gate import Gate
from tasks.loops import end

_log = structlog.get_logger(__name__)
_WRITE_AGAIN_SECONDS = 0.2
_SHORT_SECONDS = 0.05
_STOP_AGAIN_SECONDS = 1.5  # longer than it takes to give back
_REPORT_SECONDS = 10.0
NOTHING_YET = Progress(Counts(), ())

Work = Callable[[Run], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations in seconds: how long a claim holds, how often it is renewed, how soon progress is written."""

    lease: float
    heartbeat: float
    progress: float = 0.25


class Executor:
    """The worker's side of executions; one per process."""

    def __init__(
        self,
        database: Database,
        reports: ObjectStore,
        work: Mapping[Operation, Work],
        domains: Mapping[Operation, str],
        *,
        owner: str,
        pace: Pace,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        """`owner` names this process; `jitter` gives numbers in 0..1."""
        self._database = database
        self._reports = reports
        self._work = work
        self._known = {operation.value: operation for operation in work}
        self._domains = domains
        self._pace = pace
        self._clock = clock
        self._jitter = jitter
        self._gate = Gate(patience=pace.lease)
        self._running: set[asyncio.Task[None]] = set()
        self._ends = Ends(database, owner=owner, lease_seconds=pace.lease)

    async def deliver(self, job: Mapping[str, Any]) -> None:
        """Do what a job message asks for, unless it is done or being done."""
        name = str(job.get("jobType"))
        keys = {"requestId": job.get("requestId"), "executionId": job.get("executionId"), "jobId": job.get("jobId")}
        with structlog.contextvars.bound_contextvars(domain="execution", operation=name, **keys):
            operation = self._known.get(name)
            if operation is None:
                # Stays queued, and is sent again until a newer worker knows it.
                _log.warning("job_unknown")
                return
            with structlog.contextvars.bound_contextvars(domain=self._domains[operation]):
                await self._tracked(self._through_the_gate(job))

    async def stop(self) -> None:
        """Give back what is still running, for other workers."""
        await end(self._running, again_after=_STOP_AGAIN_SECONDS)

    async def _tracked(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        try:
            await asyncio.shield(task)
        finally:
            task.add_done_callback(self._running.discard)

    async def _through_the_gate(self, job: Mapping[str, Any]) -> None:
        """What may have ended its last worker runs alone: if it did, nobody else loses a try by it again."""
        execution_id, job_id = ExecutionId(UUID(str(job["executionId"]))), _id_of(job)
        is_suspect = job.get("attempt") != 1 and await leases.lost_its_worker(self._database, execution_id)
        async with self._gate.alone() if is_suspect else self._gate.together():
            await self._claim_and_run(execution_id, job_id)

    async def _claim_and_run(self, execution_id: ExecutionId, job_id: UUID | None) -> None:
        execution = await self._ends.claim(execution_id, job_id)
        if execution is None:
            _log.debug("job_skipped")
            return
        run = Run(execution, self._database, self._clock)
        try:
            failure = await self._under_lease(run, self._work[execution.operation](run))
            await self._end(run, failure)
        except LeaseLost:
            _log.warning("lease_lost", attempt=execution.attempt)
        except asyncio.CancelledError:
            await self._ends.give_back(run.claim)
            raise

    async def _under_lease(self, run: Run, work: Awaitable[Any]) -> BaseException | None:
        """Wait until work ends; the answer is what it raised. Raises LeaseLost when the lease is lost before."""
        handler = asyncio.ensure_future(work)
        try:
            await asyncio.wait({handler}, timeout=_SHORT_SECONDS)  # most are over by then
            if not handler.done():
                await self._keep_until_over(run, handler)
        finally:
            if not handler.done():
                handler.cancel()
                await asyncio.gather(handler, return_exceptions=True)
        if handler.cancelled():
            raise asyncio.CancelledError
        error = handler.exception()
        if isinstance(error, LeaseLost):
            raise error
        return error

    async def _keep_until_over(self, run: Run, handler: asyncio.Future[Any]) -> None:
        """Renew the lease and tell progress while work goes on. Raises LeaseLost, also when nobody can be asked."""
        over = asyncio.Event()
        keeper = asyncio.create_task(self._keep(run, over))
        try:
            await asyncio.wait({handler, keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.set()
            if not handler.done():
                handler.cancel()
            await asyncio.gather(handler, keeper, return_exceptions=True)
        if not keeper.cancelled() and (problem := keeper.exception()) is not None:
            raise problem

    async def _keep(self, run: Run, over: asyncio.Event) -> None:
        told = NOTHING_YET
        renewed = monotonic() - _SHORT_SECONDS
        while not await _is_set_within(over, min(self._pace.progress, self._pace.heartbeat)):
            progress = run.progress()
            if progress == told and monotonic() - renewed < self._pace.heartbeat:
                continue
            asked = monotonic()
            try:
                changed = None if progress == told else progress
                execution = await leases.keep(self._database, run.claim, changed, lease_seconds=self._pace.lease)
            except LeaseLost:
                raise
            except Exception as error:
                _log.warning("heartbeat_failed", error=repr(error))
                if monotonic() - renewed > self._pace.lease:
                    raise LeaseLost from error
                continue
            told, renewed = progress, asked
            run.notice(execution)

    async def _end(self, run: Run, error: BaseException | None) -> None:
        execution = run.execution
        if error is None:
            await self._finish(run, ExecutionState.COMPLETED, None)
        elif isinstance(error, CancelRequested):
            await self._finish(run, ExecutionState.CANCELLED, None)
        else:
            failure = rules.failure_of(error, execution.request_id)
            policy = rules.POLICIES[execution.operation]
            again = rules.may_retry(policy, failure, execution.attempt, execution.max_attempts)
            self._log_failure(run, failure, error, again=again)
            if run.is_to_be_cancelled:
                await self._finish(run, ExecutionState.CANCELLED, failure)
            elif again:
                delay = rules.retry_delay(policy, execution.attempt, self._jitter())
                await self._written(
                    lambda: leases.retry_later(self._database, run.claim, run.progress(), failure=failure, delay=delay)
                )
            else:
                await self._finish(run, ExecutionState.FAILED, failure, trace_of(error))

    async def _finish(self, run: Run, state: ExecutionState, failure: Failure | None, trace: str | None = None) -> None:
        # A store may be slow: it must not cost the lease, or the whole try would be done again.
        keeping = asyncio.ensure_future(self._kept_report(run, state, failure))
        await self._under_lease(run, keeping)
        ending = Ending(run.claim, state, run.progress(), keeping.result(), failure)
        await self._written(lambda: self._ends.finish(ending, trace=trace))
        _log.info("execution_ended", state=state.value, attempt=run.execution.attempt)

    async def _kept_report(self, run: Run, state: ExecutionState, failure: Failure | None) -> str | None:
        """The key of the report; None when it could not be kept, which a step tells and which changes nothing else."""
        key = report_key(run.execution, run.claim.fence)
        content = report(
            run.execution,
            state,
            run.progress().steps,
            run.rejected(),
            failure,
            at=self._clock(),
            details=run.details,
        )
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                await self._reports.put(key, content, content_type=CONTENT_TYPE)
        except Exception as error:  # noqa: BLE001 an edge: whatever is wrong with the store
            _log.warning("report_not_kept", error=repr(error))
            run.add(missing_report(len(run.progress().steps) + 1, error, at=self._clock()))
            return None
        return key

    async def _written(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write how a try ended; while the database is away, as long as the lease may hold. Raises LeaseLost."""
        give_up = monotonic() + self._pace.lease
        while True:
            try:
                return await write()
            except LeaseLost:
                raise
            except Exception as error:
                _log.warning("outcome_not_written", error=repr(error))
                if monotonic() > give_up:
                    raise LeaseLost from error
            await asyncio.sleep(_WRITE_AGAIN_SECONDS)

    def _log_failure(self, run: Run, failure: Failure, error: BaseException, *, again: bool) -> None:
        """An error, whatever it was, only if the execution has failed by it for good."""
        is_expected = failure.message == str(error)
        _log.log(
            logging.WARNING if again or run.is_to_be_cancelled else logging.ERROR,
            "execution_failed",
            code=failure.code.value,
            attempt=run.execution.attempt,
            again=again,
            reason=failure.message,
            exc_info=None if is_expected else error,
        )


def _id_of(job: Mapping[str, Any]) -> UUID | None:
    try:
        return UUID(str(job.get("jobId")))
    except ValueError:
        return None


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
