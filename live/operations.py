"""Owns the streams of the state of operations: one reading for all who watch, and none while nobody does."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from dataclasses import replace
from time import monotonic

from domain.database import Database
from domain.errors import Unavailable
from domain.execution.status.model import OperationsStatus
from domain.execution.status.service import read_status
from live.rights import Right
from live.topics import Pace

_log = logging.getLogger(__name__)
_SHORTEST_PAUSE = 1.0
"""Seconds from the end of a reading to the next, so that no two events are nearer, however long a reading takes."""


class Watcher:
    """One stream: the newest status that it has not taken. It never holds more than one."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.ended = False
        self._waiting: OperationsStatus | None = None
        self._known: OperationsStatus | None = None

    def offer(self, status: OperationsStatus) -> None:
        """Give it a reading, unless it differs from the one before in its instant alone."""
        if self._known is not None and replace(self._known, at=status.at) == status:
            return
        self._known = self._waiting = status
        self.wake.set()

    def forget(self) -> None:
        """What it was given last was not shown: any reading is new to it."""
        self._known = None

    def take(self) -> OperationsStatus | None:
        taken, self._waiting = self._waiting, None
        if not self.ended:
            self.wake.clear()
        return taken

    def end(self) -> None:
        self.ended = True
        self.wake.set()


class OperationsDesk:
    """Reads the status for all watchers: soon after a tick, and every few seconds, since a tick may be lost."""

    def __init__(self, database: Database, pace: Pace) -> None:
        self._database = database
        self._pace = pace
        self._pause = min(_SHORTEST_PAUSE, pace.poll)
        self._watchers: set[Watcher] = set()
        self._latest: OperationsStatus | None = None
        self._latest_at = self._read_at = -math.inf
        self._wake = asyncio.Event()
        self._closed = False

    def tick(self) -> None:
        """Something moved that the status may show."""
        if self._watchers:
            self._wake.set()

    async def follow(self, right: Right) -> AsyncGenerator[OperationsStatus, None]:
        """See `Hub.operations`."""
        await right.require_soon()
        if self._closed:
            return
        watcher = Watcher()
        self._watchers.add(watcher)
        self._begin(watcher)
        try:
            status = await self._first(watcher, right)
            while status is not None:
                yield status
                status = await self._next(watcher, right)
        finally:
            self._watchers.discard(watcher)

    async def run(self) -> None:
        """Read until cancelled, whenever somebody watches."""
        while True:
            await self._wait()
            self._wake.clear()
            if not self._watchers:
                continue
            began = monotonic()
            try:
                async with asyncio.timeout(self._pace.patience):
                    status = await read_status(self._database)
            except Exception as error:  # noqa: BLE001 an edge: the database may be away, the streams stay
                _log.warning("live_operations_failed", extra={"error": repr(error)})
                continue
            finally:
                self._read_at = monotonic()
            self._latest, self._latest_at = status, began
            for watcher in self._watchers:
                watcher.offer(status)

    async def stop(self) -> None:
        """End every stream in good order."""
        self._closed = True
        for watcher in self._watchers:
            watcher.end()

    def _begin(self, watcher: Watcher) -> None:
        """Give it the latest reading if it is fresh; else have one made now."""
        if self._latest is not None and monotonic() < self._latest_at + self._pause:
            watcher.offer(self._latest)
        else:
            self._wake.set()

    async def _first(self, watcher: Watcher, right: Right) -> OperationsStatus | None:
        try:
            async with asyncio.timeout(self._pace.start):
                return await self._next(watcher, right)
        except TimeoutError:
            raise Unavailable("The state of operations cannot be read at the moment.") from None

    async def _next(self, watcher: Watcher, right: Right) -> OperationsStatus | None:
        """The next status that this client may see; None when the stream is over."""
        while not watcher.ended:
            status = watcher.take()
            if status is None:
                await self._wait_for(watcher, right)
            elif await right.confirm():
                return status
            else:  # nobody can tell: it is left out, and the next reading makes it good
                watcher.forget()
                await asyncio.sleep(min(self._pause, self._pace.recheck))
        return None

    async def _wait_for(self, watcher: Watcher, right: Right) -> None:
        try:
            async with asyncio.timeout(max(right.due_at - monotonic(), 0)):
                await watcher.wake.wait()
        except TimeoutError:
            await right.confirm()

    async def _wait(self) -> None:
        """Until somebody watches and it is time: a tick shortens the wait, but never below the pause."""
        while not self._watchers:
            self._wake.clear()
            await self._wake.wait()
        try:
            async with asyncio.timeout(max(self._read_at + self._pace.poll - monotonic(), 0)):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(self._read_at + self._pause - monotonic(), 0))
