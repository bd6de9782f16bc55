"""Streams on a source that the test turns by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from live.events import Heartbeat, StreamPosition
from live.feeds import Feed
from live.rights import Right
from live.ring import Missed
from live.streams import Stream
from live.topics import Pace
from live.watch import Watch

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TICK = UUID(int=1)
ROW = UUID(int=2)
CALM = Pace(poll=60, coalesce=0.005, heartbeat=60, recheck=60, retry=0.05)


@dataclass(frozen=True)
class Reading:
    epoch: str
    version: int
    value: str


@dataclass(frozen=True)
class Shown:
    version: int
    value: str


@dataclass(frozen=True)
class Changed:
    from_version: int
    version: int
    value: str


@dataclass
class Source(Feed[str, Reading, Shown, Changed]):
    """One value for each key, changed by the test; it counts what is asked of it."""

    state: Reading | None = field(default_factory=lambda: Reading("e", 1, "a"))
    private: bool = False
    away: bool = False
    is_telling: bool = True
    """Whether the versions that ticks tell are those of its values."""
    loads: int = 0
    broken_deltas: int = 0
    """So many of the next ones cannot be made."""
    load_gate: asyncio.Event = field(default_factory=asyncio.Event)
    compared: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.load_gate.set()

    def show(self, version: int, value: str, epoch: str = "e") -> None:
        self.state = Reading(epoch, version, value)

    def concerns(self, key: str, kind: str, entity_id: UUID) -> bool:  # noqa: ARG002
        return kind == "board"

    def told(self, latest: Reading, entity_id: UUID, version: int) -> int | None:  # noqa: ARG002
        return version if self.is_telling else None

    async def versions(self, keys: Collection[str]) -> Mapping[str, int]:
        self.compared.set()
        if self.away:
            raise ConnectionError("away")
        return {} if self.state is None else dict.fromkeys(keys, self.state.version)

    async def epoch(self) -> str:
        return self.state.epoch if self.state is not None else "e"

    async def load(self, *_: object) -> Reading | None:
        self.loads += 1
        state = self.state
        await self.load_gate.wait()
        if self.away:
            raise ConnectionError("away")
        return state

    def snapshot(self, state: Reading) -> Shown:
        return Shown(state.version, state.value)

    def delta(self, before: Reading, after: Reading) -> Changed | None:
        if self.broken_deltas:
            self.broken_deltas -= 1
            raise ArithmeticError("broken")
        return None if before.value == after.value else Changed(before.version, after.version, after.value)

    def rebased(self, delta: Changed, from_version: int) -> Changed:
        return replace(delta, from_version=from_version)

    def missed(self, before: Reading, delta: Changed) -> Missed:  # noqa: ARG002
        return Missed(frozenset({ROW}), frozenset())

    def merged(self, state: Reading, from_version: int, missed: Missed) -> Changed:
        assert missed.changed == {ROW}
        return Changed(from_version, state.version, state.value)

    def is_private(self, key: str) -> bool:  # noqa: ARG002
        return self.private


async def until(condition: Callable[[], bool]) -> None:
    """Wait, at most 5 seconds, for what no event tells."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Rig:
    """A watch on a source, and streams on it."""

    def __init__(self, source: Source, pace: Pace) -> None:
        self.source = source
        self.pace = pace
        self.watch = Watch(source, pace, asyncio.Semaphore(4))
        self.code: str | None = None
        self.unknown = False
        self.silent = False
        self.asked = 0

    async def allowed(self) -> str | None:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.unknown:
            raise ConnectionError("away")
        return self.code

    def stream(self, after: StreamPosition | None = None) -> "AsyncIterator[Any]":
        return self.asked_for(after).events()

    def asked_for(self, after: StreamPosition | None = None) -> "Stream[str, Reading, Shown, Changed]":
        """A stream that has not begun."""
        right = Right(self.allowed, self.pace.recheck)
        beat = lambda epoch, version, fails_since: Heartbeat(epoch, version, NOW, 7 if fails_since is None else 8)  # noqa: E731
        return Stream(self.watch, "board", after, right, self.pace, beat)

    async def begun(self, count: int = 1) -> "list[AsyncIterator[Any]]":
        """Streams that have had their first event."""
        streams = [self.stream() for _ in range(count)]
        for stream in streams:
            await anext(stream)
        return streams

    async def turn(self, version: int, value: str, epoch: str = "e") -> None:
        """Change the source, tick, and wait until every mailbox knows."""
        self.source.show(version, value, epoch)
        self.watch.tick("board", TICK)
        topic = self.watch.topics["board"]
        await until(lambda: topic.latest == self.source.state)

    async def loaded(self, times: int) -> None:
        """Wait until that many readings have begun."""
        await until(lambda: self.source.loads >= times)


@asynccontextmanager
async def rig(pace: Pace = CALM, **source: Any) -> AsyncIterator[Rig]:
    made = Rig(Source(**source), pace)
    runner = asyncio.create_task(made.watch.run())
    try:
        yield made
    finally:
        await made.watch.stop()
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
