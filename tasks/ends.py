"""The two ends of a try, as a worker writes them: together with those of other executions where it can."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import structlog

from domain.database import Database
from domain.execution.lease import service as leases
from domain.execution.lease.ends.store import Ending
from domain.execution.lease.store import Claim
from domain.execution.model import Execution, ExecutionState
from domain.ids import ExecutionId
from domain.together import Left, Together

_log = structlog.get_logger(__name__)
_GIVE_BACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Job:
    """Which execution a message leads to, and the message's id where it has one."""

    execution_id: ExecutionId
    id: UUID | None


class Ends:
    """One per worker process, which is the `owner` of what it claims."""

    def __init__(self, database: Database, *, owner: str, lease_seconds: float) -> None:
        self._database = database
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._claims = Together(self._claim_many, self._claim_one)
        self._finishes = Together(self._finish_many, self._finish_one)

    async def claim(self, execution_id: ExecutionId, job_id: UUID | None) -> Execution | None:
        """Begin a try; None when there is none to be had. Cancelled, it leaves nothing claimed."""
        claiming = self._claims.write(_Job(execution_id, job_id))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with suppress(Exception):
                if (execution := await claiming) is not None:
                    await self.give_back(Claim(execution.id, execution.fence))
            raise

    async def finish(self, ending: Ending, *, trace: str | None) -> None:
        """End an execution in a final state. Raises LeaseLost. Cancelled, it may or may not be written."""
        if ending.state is ExecutionState.FAILED:
            await self._finish_one(ending, trace)
        else:
            await self._finishes.write(ending)

    async def give_back(self, claim: Claim) -> None:
        """Let another worker begin the try anew; where that fails, the lease runs out."""
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await leases.give_back(self._database, claim)
            _log.info("execution_given_back")
        except Exception as error:  # noqa: BLE001 an edge, as said
            _log.warning("execution_not_given_back", error=repr(error))

    async def _claim_many(self, jobs: Sequence[_Job]) -> list[Execution | Left | None]:
        by_id = {job.execution_id: job.id for job in jobs}
        claimed, locked = await leases.claim_many(
            self._database, by_id, owner=self._owner, lease_seconds=self._lease_seconds
        )
        # Of several messages for an execution one begins the try.
        return [Left.OUT if job.execution_id in locked else claimed.pop(job.execution_id, None) for job in jobs]

    async def _claim_one(self, job: _Job) -> Execution | None:
        return await leases.claim(
            self._database, job.execution_id, owner=self._owner, lease_seconds=self._lease_seconds, job_id=job.id
        )

    async def _finish_many(self, endings: Sequence[Ending]) -> list[bool | Left]:
        ended = await leases.finish_many(self._database, endings)
        return [True if ending.claim.id in ended else Left.OUT for ending in endings]

    async def _finish_one(self, ending: Ending, trace: str | None = None) -> bool:
        await leases.finish(
            self._database,
            ending.claim,
            ending.state,
            ending.progress,
            failure=ending.failure,
            report_key=ending.report_key,
            trace=trace,
        )
        return True
