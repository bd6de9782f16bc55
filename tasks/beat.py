"""Lets the others know that a process is alive: it is heard of every few seconds until it leaves."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog

from domain.database import Database
from domain.execution.status import service
from domain.execution.status.model import Process

_log = structlog.get_logger(__name__)
_LEAVE_SECONDS = 0.5


class Beat:
    """The heartbeat of a process, at most once in `every` seconds."""

    def __init__(self, database: Database, process: Process, *, every: float) -> None:
        self._database = database
        self._process = process
        self._every = every
        self._due_at = 0.0

    async def once(self) -> bool:
        """Be heard of; False, for there is no hurry."""
        await service.beat(self._database, self._process)
        self._due_at = monotonic() + self._every
        return False

    def after(self, work: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
        """That work, which makes the process heard of when it has been done: what is stuck is not heard of."""

        async def work_and_beat() -> bool:
            more = await work()
            if monotonic() >= self._due_at:
                await self.once()
            return more

        return work_and_beat

    async def leave(self) -> None:
        """End in good order. Where that fails the silence tells it, a minute later."""
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await service.leave(self._database, self._process)
        except Exception as error:  # noqa: BLE001 an edge: the process ends all the same
            _log.warning("leave_failed", error=repr(error))
