"""Owns the streams of executions: whole objects, each version higher than the one before; the last always comes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Iterable
from time import monotonic

from domain.database import Database
from domain.errors import DomainError, NotFound, Unavailable
from domain.execution.model import LIVE, Execution
from domain.execution.service import ended_within, live_executions, read_executions
from domain.ids import ExecutionId
from live.rights import Right
from live.topics import Pace

_log = logging.getLogger(__name__)
_MOST_PENDING = 1_000
_MOST_REMEMBERED = 4_000
_MARGIN = 10.0
"""Seconds by which looks at what has ended overlap, for commits that come late."""


class Follower:
    """One stream. What it has not taken yet is kept once per execution, the newest."""

    def __init__(self, ids: Collection[ExecutionId] | None) -> None:
        self.names = None if ids is None else frozenset(ids)
        self.unfinished: set[ExecutionId] = set(self.names or ())
        self.wake = asyncio.Event()
        self.ended = asyncio.Event()
        self.error: DomainError | None = None
        self._versions: dict[ExecutionId, int] = {}
        self._pending: dict[ExecutionId, Execution] = {}

    def wants(self, execution_id: ExecutionId) -> bool:
        return self.names is None or execution_id in self.names

    def offer(self, execution: Execution) -> None:
        """Give it a reading, unless it has had this version or a later one."""
        if not self.wants(execution.id) or execution.version <= self._versions.get(execution.id, 0):
            return
        self._remember(execution)
        self._pending[execution.id] = execution
        if len(self._pending) > _MOST_PENDING:
            self.end(Unavailable("Too many changes wait for this client; subscribe anew."))
        self.wake.set()

    def pass_over(self, execution: Execution) -> None:
        """Do not show it as it is now; only a later version of it."""
        self._remember(execution)

    def take(self) -> list[Execution]:
        """What waits, in the order of its first change; the caller's from now on."""
        taken = list(self._pending.values())
        self._pending.clear()
        if not self.ended.is_set():
            self.wake.clear()
        return taken

    def end(self, error: DomainError | None) -> None:
        self.error = error
        self.ended.set()
        self.wake.set()

    def is_over(self) -> bool:
        """Whether all the named ones have ended."""
        return self.names is not None and not self.unfinished

    def _remember(self, execution: Execution) -> None:
        self._versions.pop(execution.id, None)
        self._versions[execution.id] = execution.version
        if execution.state in LIVE:
            self.unfinished.add(execution.id)
        else:
            self.unfinished.discard(execution.id)
        if len(self._versions) > _MOST_REMEMBERED:
            del self._versions[next(iter(self._versions))]


class ExecutionDesk:
    """Reads once for all followers: what a tick names, and every few seconds all that have not ended."""

    def __init__(self, database: Database, pace: Pace) -> None:
        self._database = database
        self._pace = pace
        self._followers: set[Follower] = set()
        self._ticked: set[ExecutionId] = set()
        self._wake = asyncio.Event()
        self._look_at = 0.0
        self._looked_at = monotonic()
        self._closed = False

    def tick(self, execution_id: ExecutionId) -> None:
        """An execution moved."""
        if any(follower.wants(execution_id) for follower in self._followers):
            self._ticked.add(execution_id)
            self._wake.set()

    def look(self) -> None:
        """Ticks may have been lost: read all that have not ended."""
        self._look_at = 0.0
        self._wake.set()

    async def follow(self, ids: Collection[ExecutionId] | None, right: Right) -> AsyncGenerator[Execution, None]:
        """See `Hub.executions`."""
        await right.require_soon()
        if self._closed:
            return
        follower = Follower(ids)
        if not self._some_want_all():
            self._looked_at = monotonic()
        self._followers.add(follower)
        try:
            await self._begin_soon(follower)
            await right.require_soon()
            while changed := await self._next(follower, right):
                for execution in changed:
                    yield execution
        finally:
            self._followers.discard(follower)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self._wait()
            ticked = set(self._ticked)
            self._ticked.clear()
            self._wake.clear()
            try:
                async with asyncio.timeout(self._pace.patience):
                    await self._tell(ticked)
            except Exception as error:  # noqa: BLE001 an edge: the database may be away, the next look makes it good
                _log.warning("live_executions_failed", extra={"error": repr(error)})
                self._ticked |= ticked
                self._look_at = monotonic() + self._pace.poll

    async def stop(self) -> None:
        """End every stream in good order."""
        self._closed = True
        for follower in self._followers:
            follower.end(None)

    async def _begin_soon(self, follower: Follower) -> None:
        try:
            async with asyncio.timeout(self._pace.start):
                await self._begin(follower)
        except TimeoutError:
            raise Unavailable("Executions cannot be read at the moment.") from None

    async def _begin(self, follower: Follower) -> None:
        if follower.names is None:
            for over in await self._ended_lately(2 * _MARGIN):
                follower.pass_over(over)
            executions: Iterable[Execution] = await live_executions(self._database, _MOST_PENDING)
        else:
            found = await read_executions(self._database, list(follower.names))
            if len(found) < len(follower.names):
                raise NotFound("There is no such execution.")
            executions = found.values()
        for execution in sorted(executions, key=lambda one: (one.queued_at, one.id)):
            follower.offer(execution)

    async def _next(self, follower: Follower, right: Right) -> list[Execution]:
        """The next changes; none when the stream is over."""
        while True:
            if follower.error is not None:
                raise follower.error
            changed = [] if follower.ended.is_set() else follower.take()
            if changed:
                await self._confirmed(follower, right)
                return [] if follower.ended.is_set() else changed
            if follower.ended.is_set() or follower.is_over():
                return []
            await self._wait_for(follower, right)

    async def _confirmed(self, follower: Follower, right: Right) -> None:
        """Hold what was read back until somebody can tell whether it may be seen."""
        while not await right.confirm():
            try:
                async with asyncio.timeout(self._pace.retry):
                    await follower.ended.wait()
            except TimeoutError:
                continue
            return

    async def _wait_for(self, follower: Follower, right: Right) -> None:
        try:
            async with asyncio.timeout(max(right.due_at - monotonic(), 0)):
                await follower.wake.wait()
        except TimeoutError:
            await right.confirm()

    async def _wait(self) -> None:
        if self._look_at == 0.0:
            return
        try:
            async with asyncio.timeout(max(self._look_at - monotonic(), 0)):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._pace.coalesce)

    async def _tell(self, ticked: set[ExecutionId]) -> None:
        found: dict[ExecutionId, Execution] = {}
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + self._pace.poll
            for follower in self._followers:
                ticked |= follower.unfinished
            if self._some_want_all():
                began = monotonic()
                # What was queued and over since the last look is not live, and its ticks may be lost.
                for one in [*await self._ended_lately(_MARGIN), *await live_executions(self._database, _MOST_PENDING)]:
                    found[one.id] = one
                self._looked_at = began
        if ticked:
            found.update(await read_executions(self._database, list(ticked)))
        for execution in found.values():
            for follower in list(self._followers):
                follower.offer(execution)

    def _some_want_all(self) -> bool:
        return any(follower.names is None for follower in self._followers)

    async def _ended_lately(self, margin: float) -> list[Execution]:
        """What has ended since a while before the last look, the earliest first."""
        ended = await ended_within(self._database, monotonic() - self._looked_at + margin, _MOST_PENDING)
        return ended[::-1]
