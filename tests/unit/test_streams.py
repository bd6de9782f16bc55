"""The rules of streams (contract/README.md, Streams) on a source that the test turns by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.errors import DomainError, Forbidden, NotFound, Unauthenticated, Unavailable
from live.events import Heartbeat, Resync, ResyncReason, StreamPosition
from live.feeds import Feed
from live.rights import Right
from live.ring import Missed
from live.streams import Stream
from live.topics import Pace
from live.watch import Watch

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_TICK = UUID(int=1)
_ROW = UUID(int=2)
_CALM = Pace(poll=60, coalesce=0.005, heartbeat=60, recheck=60, retry=0.05)


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
    loads: int = 0
    load_gate: asyncio.Event = field(default_factory=asyncio.Event)
    compared: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.load_gate.set()

    def show(self, version: int, value: str, epoch: str = "e") -> None:
        self.state = Reading(epoch, version, value)

    def concerns(self, key: str, kind: str, entity_id: UUID) -> bool:  # noqa: ARG002
        return kind == "board"

    async def versions(self, keys: Collection[str]) -> Mapping[str, int]:
        self.compared.set()
        if self.away:
            raise ConnectionError("away")
        return {} if self.state is None else dict.fromkeys(keys, self.state.version)

    async def load(self, key: str) -> Reading | None:  # noqa: ARG002
        self.loads += 1
        state = self.state
        await self.load_gate.wait()
        if self.away:
            raise ConnectionError("away")
        return state

    def snapshot(self, state: Reading) -> Shown:
        return Shown(state.version, state.value)

    def delta(self, before: Reading, after: Reading) -> Changed | None:
        return None if before.value == after.value else Changed(before.version, after.version, after.value)

    def rebased(self, delta: Changed, from_version: int) -> Changed:
        return replace(delta, from_version=from_version)

    def missed(self, delta: Changed) -> Missed:  # noqa: ARG002
        return Missed(frozenset({_ROW}), frozenset())

    def merged(self, state: Reading, from_version: int, missed: Missed) -> Changed:
        assert missed.changed == {_ROW}
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
        self.asked = 0

    async def allowed(self) -> str | None:
        self.asked += 1
        if self.unknown:
            raise ConnectionError("away")
        return self.code

    def stream(self, after: StreamPosition | None = None) -> "AsyncIterator[Any]":
        right = Right(self.allowed, self.pace.recheck)
        beat = lambda epoch, version: Heartbeat(epoch, version, _NOW, 7)  # noqa: E731
        return Stream(self.watch, "board", after, right, self.pace, beat).events()

    async def begun(self, count: int = 1) -> "list[AsyncIterator[Any]]":
        """Streams that have had their first event."""
        streams = [self.stream() for _ in range(count)]
        for stream in streams:
            await anext(stream)
        return streams

    async def turn(self, version: int, value: str, epoch: str = "e") -> None:
        """Change the source, tick, and wait until every mailbox knows."""
        self.source.show(version, value, epoch)
        self.watch.tick("board", _TICK)
        topic = self.watch.topics["board"]
        await until(lambda: topic.latest == self.source.state)

    async def loaded(self, times: int) -> None:
        """Wait until that many readings have begun."""
        await until(lambda: self.source.loads >= times)


@asynccontextmanager
async def rig(pace: Pace = _CALM, **source: Any) -> AsyncIterator[Rig]:
    made = Rig(Source(**source), pace)
    runner = asyncio.create_task(made.watch.run())
    try:
        yield made
    finally:
        await made.watch.stop()
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)


async def test_a_stream_begins_with_a_snapshot_and_goes_on_with_deltas() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        await made.turn(2, "b")
        assert await anext(stream) == Changed(1, 2, "b")
        await made.turn(6, "c")
        assert await anext(stream) == Changed(2, 6, "c")


async def test_a_thousand_streams_share_one_reading_and_one_delta_a_version() -> None:
    async with rig() as made:
        streams = [made.stream() for _ in range(1_000)]
        first = await asyncio.gather(*(anext(stream) for stream in streams))
        assert first[0] == Shown(1, "a")
        assert len({id(event) for event in first}) == 1
        assert made.source.loads == 1
        for version in (2, 3):
            await made.turn(version, f"value {version}")
            events = await asyncio.gather(*(anext(stream) for stream in streams))
            assert events[0] == Changed(version - 1, version, f"value {version}")
            assert len({id(event) for event in events}) == 1
            assert made.source.loads == version


async def test_ticks_without_a_new_version_read_nothing() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        made.source.compared.clear()
        made.watch.tick("board", _TICK)
        await asyncio.wait_for(made.source.compared.wait(), 5)
        await made.turn(2, "b")
        assert await anext(stream) == Changed(1, 2, "b")
        assert made.source.loads == 2


async def test_a_version_that_shows_nothing_new_sends_nothing_and_the_next_delta_builds_on_what_was_sent() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        await made.turn(2, "a")
        await made.turn(3, "b")
        assert await anext(stream) == Changed(1, 3, "b")


async def test_who_joins_gets_the_version_last_sent_so_that_the_next_delta_is_one_for_all() -> None:
    async with rig() as made:
        (early,) = await made.begun()
        await made.turn(2, "a")
        late = made.stream()
        assert await anext(late) == Shown(1, "a")
        await made.turn(3, "b")
        assert await anext(early) is await anext(late)


@pytest.mark.parametrize("version", [1, 2])
async def test_a_client_that_is_current_gets_a_heartbeat_and_a_delta_that_fits(version: int) -> None:
    async with rig() as made:
        await made.begun()
        keeper = made.stream()
        await anext(keeper)
        await made.turn(2, "a")
        stream = made.stream(StreamPosition("e", version))
        assert await anext(stream) == Heartbeat("e", version, _NOW, 7)
        await made.turn(4, "b")
        assert await anext(stream) == Changed(version, 4, "b")


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (StreamPosition("e", 2), ResyncReason.TOO_OLD),
        (StreamPosition("e", 99), ResyncReason.TOO_OLD),
        (StreamPosition("other", 3), ResyncReason.UNKNOWN_EPOCH),
    ],
)
async def test_any_other_position_gets_a_resync_and_a_snapshot(after: StreamPosition, reason: ResyncReason) -> None:
    async with rig() as made:
        made.source.show(3, "c")
        stream = made.stream(after)
        assert await anext(stream) == Resync("e", 3, reason)
        assert await anext(stream) == Shown(3, "c")


async def test_a_client_from_a_server_that_knows_more_makes_this_one_read_again() -> None:
    async with rig() as made:
        (early,) = await made.begun()
        made.source.show(5, "b")
        stream = made.stream(StreamPosition("e", 5))
        assert await anext(stream) == Heartbeat("e", 5, _NOW, 7)
        assert await anext(early) == Changed(1, 5, "b")


async def test_a_client_ahead_of_what_was_sent_never_goes_back() -> None:
    async with rig() as made:
        keeper, _ = await made.begun(2)
        await made.turn(9, "a")
        stream = made.stream(StreamPosition("e", 4))
        assert await anext(stream) == Resync("e", 9, ResyncReason.TOO_OLD)
        assert await anext(stream) == Shown(9, "a")
        await made.turn(10, "b")
        assert await anext(stream) == Changed(9, 10, "b")
        assert await anext(keeper) == Changed(1, 10, "b")


async def test_a_slow_client_gets_a_snapshot_in_place_of_what_it_missed() -> None:
    async with rig() as made:
        slow, quick = await made.begun(2)
        for version in range(2, 12):
            await made.turn(version, f"value {version}")
            assert (await anext(quick)).version == version
        assert await anext(slow) == Resync("e", 11, ResyncReason.SLOW_CLIENT)
        await made.turn(12, "after")
        assert await anext(slow) == Shown(11, "value 11")
        assert await anext(slow) == Changed(11, 12, "after")


async def test_a_lost_tick_is_made_good_by_the_next_comparison() -> None:
    async with rig(replace(_CALM, poll=0.05)) as made:
        (stream,) = await made.begun()
        made.source.show(2, "b")
        assert await asyncio.wait_for(anext(stream), 5) == Changed(1, 2, "b")
        assert made.source.loads == 2


async def test_a_change_while_the_first_reading_is_under_way_is_not_missed() -> None:
    async with rig() as made:
        made.source.load_gate.clear()
        begin = asyncio.ensure_future(anext(made.stream()))
        stream = made.stream()
        other = asyncio.ensure_future(anext(stream))
        await made.loaded(1)
        made.source.show(2, "b")
        made.watch.tick("board", _TICK)
        await asyncio.wait_for(made.source.compared.wait(), 5)
        made.source.load_gate.set()
        await begin
        assert await other in (Shown(1, "a"), Shown(2, "b"))
        if other.result() == Shown(1, "a"):
            assert await asyncio.wait_for(anext(stream), 5) == Changed(1, 2, "b")


async def test_an_outage_ends_in_a_fresh_snapshot_and_heartbeats_go_on_meanwhile() -> None:
    async with rig(replace(_CALM, poll=0.03, heartbeat=0.1)) as made:
        (stream,) = await made.begun()
        made.source.away = True
        made.source.compared.clear()
        await asyncio.wait_for(made.source.compared.wait(), 5)
        assert await asyncio.wait_for(anext(stream), 5) == Heartbeat("e", 1, _NOW, 7)
        made.source.show(2, "b")
        made.source.away = False
        events = [await asyncio.wait_for(anext(stream), 5)]
        while isinstance(events[-1], Heartbeat):
            events.append(await asyncio.wait_for(anext(stream), 5))
        assert events[-1] == Resync("e", 2, ResyncReason.SOURCE_RESTORED)
        assert await anext(stream) == Shown(2, "b")


async def test_a_reading_that_fails_is_tried_again() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        made.source.show(2, "b")
        made.source.load_gate.clear()
        made.watch.tick("board", _TICK)
        await made.loaded(2)
        made.source.away = True
        made.source.load_gate.set()
        await made.loaded(4)
        made.source.away = False
        assert await asyncio.wait_for(anext(stream), 5) == Changed(1, 2, "b")


async def test_a_stream_that_cannot_begin_is_refused_as_unavailable() -> None:
    async with rig(replace(_CALM, start=0.1)) as made:
        made.source.away = True
        with pytest.raises(Unavailable):
            await anext(made.stream())
        assert made.watch.topics == {}


async def test_a_restored_database_is_another_epoch_for_every_stream() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        await made.turn(9, "b")
        await anext(stream)
        await made.turn(3, "old", epoch="restored")
        assert await anext(stream) == Resync("restored", 3, ResyncReason.UNKNOWN_EPOCH)
        assert await anext(stream) == Shown(3, "old")
        await made.turn(4, "new", epoch="restored")
        assert await anext(stream) == Changed(3, 4, "new")


async def test_what_does_not_exist_is_not_found_at_first_and_later() -> None:
    async with rig(state=None) as made:
        with pytest.raises(NotFound):
            await anext(made.stream())
        made.source.show(1, "a")
        (stream,) = await made.begun()
        made.source.state = None
        made.watch.tick("board", _TICK)
        with pytest.raises(NotFound):
            await asyncio.wait_for(anext(stream), 5)
        assert made.watch.topics == {}


@pytest.mark.parametrize(("code", "error"), [("FORBIDDEN", Forbidden), ("UNAUTHENTICATED", Unauthenticated)])
async def test_who_may_not_see_it_gets_no_first_event_and_has_nothing_read(code: str, error: type[DomainError]) -> None:
    async with rig() as made:
        made.code = code
        with pytest.raises(error):
            await anext(made.stream())
        assert made.source.loads == 0


async def test_no_frame_of_a_private_board_goes_out_after_the_right_is_lost() -> None:
    async with rig(private=True) as made:
        (stream,) = await made.begun()
        made.code = "NOT_FOUND"
        await made.turn(2, "b")
        with pytest.raises(NotFound):
            await anext(stream)


async def test_an_idle_stream_loses_its_right_by_the_clock() -> None:
    async with rig(replace(_CALM, recheck=0.05)) as made:
        (stream,) = await made.begun()
        made.code = "UNAUTHENTICATED"
        with pytest.raises(Unauthenticated):
            await asyncio.wait_for(anext(stream), 5)


async def test_a_private_frame_waits_until_somebody_can_tell_whether_it_may_be_seen() -> None:
    async with rig(replace(_CALM, recheck=0.05), private=True) as made:
        (stream,) = await made.begun()
        made.unknown = True
        await made.turn(2, "b")
        waiting = asyncio.ensure_future(anext(stream))
        asked = made.asked
        await until(lambda: made.asked >= asked + 3)
        assert not waiting.done()
        made.unknown = False
        assert await asyncio.wait_for(waiting, 5) == Resync("e", 2, ResyncReason.SOURCE_RESTORED)
        assert await anext(stream) == Shown(2, "b")


async def test_a_public_stream_goes_on_while_nobody_can_tell() -> None:
    async with rig(replace(_CALM, recheck=0.01)) as made:
        (stream,) = await made.begun()
        made.unknown = True
        await made.turn(2, "b")
        assert await asyncio.wait_for(anext(stream), 5) == Changed(1, 2, "b")


async def test_stopping_ends_every_stream_in_good_order_and_begins_none() -> None:
    async with rig() as made:
        streams = await made.begun(3)
        waiting = [asyncio.ensure_future(anext(stream, None)) for stream in streams]
        await asyncio.sleep(0)
        await made.watch.stop()
        assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [None, None, None]
        assert await anext(made.stream(), None) is None
        assert made.watch.topics == {}


async def test_the_last_stream_takes_the_topic_with_it() -> None:
    async with rig() as made:
        first, second = await made.begun(2)
        await first.aclose()  # type: ignore[attr-defined]
        assert list(made.watch.topics) == ["board"]
        await second.aclose()  # type: ignore[attr-defined]
        assert made.watch.topics == {}


async def test_who_comes_back_within_the_ring_gets_one_merged_delta() -> None:
    async with rig() as made:
        (keeper,) = await made.begun()
        for version, value in ((2, "b"), (5, "c"), (6, "c"), (9, "d")):
            await made.turn(version, value)
        for version in (1, 2, 5, 6):
            stream = made.stream(StreamPosition("e", version))
            assert await anext(stream) == Changed(version, 9, "d")
        for unknown in (3, 4, 7, 8):
            stream = made.stream(StreamPosition("e", unknown))
            assert await anext(stream) == Resync("e", 9, ResyncReason.TOO_OLD)
            assert await anext(stream) == Shown(9, "d")
        back = made.stream(StreamPosition("e", 5))
        await anext(back)
        await made.turn(10, "e")
        assert await anext(back) == Changed(9, 10, "e")
        assert await anext(keeper) == Resync("e", 10, ResyncReason.SLOW_CLIENT)


async def test_all_who_come_back_from_one_version_share_one_object() -> None:
    async with rig() as made:
        await made.begun()
        keeper = made.stream()
        await anext(keeper)
        await made.turn(2, "b")
        back = [made.stream(StreamPosition("e", 1)) for _ in range(50)]
        events = [await anext(stream) for stream in back]
        assert events[0] == Changed(1, 2, "b")
        assert len({id(event) for event in events}) == 1
        assert made.source.loads == 2


async def test_after_an_outage_who_was_away_meanwhile_still_gets_a_delta() -> None:
    async with rig() as made:
        await made.begun()
        keeper = made.stream()
        await anext(keeper)
        made.source.show(2, "b")
        made.watch.restore()
        assert await anext(keeper) == Resync("e", 2, ResyncReason.SOURCE_RESTORED)
        assert await anext(made.stream(StreamPosition("e", 1))) == Changed(1, 2, "b")
