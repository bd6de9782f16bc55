"""The rules of streams (contract/README.md, Streams) on a source that the test turns by hand."""

import asyncio
import weakref
from collections.abc import Collection, Mapping
from dataclasses import replace
from time import monotonic

import pytest

from domain.errors import DomainError, Forbidden, NotFound, Unauthenticated, Unavailable
from live.events import Heartbeat, Resync, ResyncReason, StreamPosition
from live.mailboxes import Mailbox
from tests.support.rig import CALM, NOW, TICK, Changed, Reading, Rig, Shown, rig, until


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
        made.watch.tick("board", TICK)
        await asyncio.wait_for(made.source.compared.wait(), 5)
        await made.turn(2, "b")
        assert await anext(stream) == Changed(1, 2, "b")
        assert made.source.loads == 2


async def test_a_version_that_is_told_is_read_without_a_comparison_and_once() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        made.source.compared.clear()
        made.source.show(3, "b")
        for told in (1, 2, 3):
            made.watch.tick("board", TICK, told)
        assert await anext(stream) == Changed(1, 3, "b")
        for told in (2, 3):  # late ones
            made.watch.tick("board", TICK, told)
        made.source.show(4, "c")
        made.watch.tick("board", TICK, 4)
        assert await anext(stream) == Changed(3, 4, "c")
        assert not made.source.compared.is_set()
        assert made.source.loads == 3


async def test_a_version_that_tells_nothing_of_a_window_is_compared() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        made.source.compared.clear()
        made.source.is_telling = False
        made.source.show(2, "b")
        made.watch.tick("board", TICK, 1)
        assert await anext(stream) == Changed(1, 2, "b")
        assert made.source.compared.is_set()


async def test_a_told_version_beside_a_tick_without_one_is_compared() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        made.source.show(2, "b")
        made.watch.tick("board", TICK, 1)
        made.watch.tick("board", TICK)
        assert await anext(stream) == Changed(1, 2, "b")


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
        assert await anext(stream) == Heartbeat("e", version, NOW, 7)
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
        assert await anext(stream) == Heartbeat("e", 5, NOW, 7)
        assert await anext(early) == Changed(1, 5, "b")


async def test_a_client_that_is_ahead_waits_for_a_reading_that_began_after_it_came() -> None:
    async with rig() as made:
        (early,) = await made.begun()
        made.source.load_gate.clear()
        made.source.show(2, "b")
        made.watch.tick("board", TICK)
        await made.loaded(2)
        made.source.show(5, "c")
        ahead = asyncio.ensure_future(anext(made.stream(StreamPosition("e", 5))))
        topic = made.watch.topics["board"]
        await until(lambda: len(topic.mailboxes) == 2)
        await asyncio.sleep(0)
        made.source.load_gate.set()
        made.source.load_gate.clear()
        await made.loaded(3)
        await asyncio.sleep(0.02)
        made.source.load_gate.set()
        assert await ahead == Heartbeat("e", 5, NOW, 7)
        del early


async def test_a_later_version_of_another_epoch_makes_nobody_read_again() -> None:
    async with rig() as made:
        (early,) = await made.begun()
        stream = made.stream(StreamPosition("other", 99))
        assert await anext(stream) == Resync("e", 1, ResyncReason.UNKNOWN_EPOCH)
        assert await anext(stream) == Shown(1, "a")
        assert made.source.loads == 1
        del early


async def test_how_long_nobody_watched_is_no_staleness() -> None:
    async with rig() as made:
        made.watch.heard_at -= 1_000
        (stream,) = await made.begun()
        assert monotonic() - made.watch.heard_at < 500
        made.watch.heard_at -= 1_000
        assert await anext(made.stream()) == Shown(1, "a")
        assert monotonic() - made.watch.heard_at > 500, "somebody watches already"
        del stream


async def test_a_source_that_answers_is_heard_each_time() -> None:
    async with rig(replace(CALM, poll=0.02)) as made:
        (stream,) = await made.begun()
        made.watch.heard_at -= 1_000
        await until(lambda: monotonic() - made.watch.heard_at < 500)
        del stream


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


@pytest.mark.parametrize("last", [3, 4, 11])
async def test_a_slow_client_gets_a_snapshot_in_place_of_what_it_missed(last: int) -> None:
    async with rig() as made:
        slow, quick = await made.begun(2)
        for version in range(2, last + 1):
            await made.turn(version, f"value {version}")
            assert (await anext(quick)).version == version
        assert await anext(slow) == Resync("e", last, ResyncReason.SLOW_CLIENT)
        await made.turn(last + 1, "after")
        assert await anext(slow) == Shown(last, f"value {last}")
        assert await anext(slow) == Changed(last, last + 1, "after")


async def test_a_lost_tick_is_made_good_by_the_next_comparison() -> None:
    async with rig(replace(CALM, poll=0.05)) as made:
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
        made.watch.tick("board", TICK)
        await asyncio.wait_for(made.source.compared.wait(), 5)
        made.source.load_gate.set()
        await begin
        assert await other in (Shown(1, "a"), Shown(2, "b"))
        if other.result() == Shown(1, "a"):
            assert await asyncio.wait_for(anext(stream), 5) == Changed(1, 2, "b")


async def test_an_outage_ends_in_a_fresh_snapshot_and_heartbeats_go_on_meanwhile() -> None:
    async with rig(replace(CALM, poll=0.03, heartbeat=0.1)) as made:
        (stream,) = await made.begun()
        made.source.away = True
        made.source.compared.clear()
        await asyncio.wait_for(made.source.compared.wait(), 5)
        assert await asyncio.wait_for(anext(stream), 5) == Heartbeat("e", 1, NOW, 7)
        made.source.show(2, "b")
        made.source.away = False
        events = [await asyncio.wait_for(anext(stream), 5)]
        while isinstance(events[-1], Heartbeat):
            events.append(await asyncio.wait_for(anext(stream), 5))
        assert events[-1] == Resync("e", 2, ResyncReason.SOURCE_RESTORED)
        assert await anext(stream) == Shown(2, "b")
        await made.turn(3, "c")
        while isinstance(event := await asyncio.wait_for(anext(stream), 5), Heartbeat):
            pass
        assert event == Changed(2, 3, "c")


async def test_a_reading_that_fails_is_tried_again() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        made.source.show(2, "b")
        made.source.load_gate.clear()
        made.watch.tick("board", TICK)
        await made.loaded(2)
        made.source.away = True
        made.source.load_gate.set()
        await made.loaded(4)
        made.source.away = False
        assert await asyncio.wait_for(anext(stream), 5) == Changed(1, 2, "b")


async def test_a_failure_after_a_reading_that_succeeded_is_made_good_as_soon_as_the_first_one() -> None:
    async with rig(replace(CALM, retry=60)) as made:
        (stream,) = await made.begun()
        made.source.away = True
        made.watch.restore()
        await made.loaded(6)  # the next pause is most of a second
        made.source.away = False
        made.source.load_gate.clear()
        await made.loaded(7)
        made.watch.restore()  # while it is read, so that it is read again at once
        await asyncio.sleep(0)
        made.source.load_gate.set()
        made.source.load_gate.clear()
        await made.loaded(8)
        made.source.away = True
        made.source.load_gate.set()
        failed_at = monotonic()
        await made.loaded(9)
        assert monotonic() - failed_at < 0.8
        made.source.away = False
        assert await anext(stream) == Resync("e", 1, ResyncReason.SOURCE_RESTORED)


async def test_a_stream_that_cannot_begin_is_refused_as_unavailable() -> None:
    async with rig(replace(CALM, start=0.1)) as made:
        made.source.away = True
        with pytest.raises(Unavailable):
            await anext(made.stream())
        assert made.watch.topics == {}


async def test_the_snapshot_after_an_outage_comes_though_its_first_reading_fails() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        load, failures = made.source.load, iter([ConnectionError("away")])

        async def failing_once(key: str, *known: object) -> Reading | None:
            if (failure := next(failures, None)) is not None:
                raise failure
            return await load(key, *known)

        made.source.load = failing_once
        made.watch.restore()
        assert await asyncio.wait_for(anext(stream), 5) == Resync("e", 1, ResyncReason.SOURCE_RESTORED)
        assert await anext(stream) == Shown(1, "a")


async def test_an_earlier_version_that_is_read_after_an_outage_is_shown_to_nobody() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        await made.turn(5, "b")
        assert await anext(stream) == Changed(1, 5, "b")
        made.source.show(4, "a")
        made.watch.restore()
        await made.loaded(4)
        made.source.show(6, "c")
        assert await anext(stream) == Resync("e", 6, ResyncReason.SOURCE_RESTORED)
        assert await anext(stream) == Shown(6, "c")


async def test_a_restored_database_is_another_epoch_for_every_stream() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        await made.turn(9, "b")
        await anext(stream)
        await made.turn(3, "old", epoch="restored")
        assert await anext(stream) == Resync("restored", 3, ResyncReason.UNKNOWN_EPOCH)
        assert await anext(stream) == Shown(3, "old")
        await until(lambda: not made.watch.is_reading)  # version 9 is waited for no longer
        of_before = made.stream(StreamPosition("restored", 1))
        assert await anext(of_before) == Resync("restored", 3, ResyncReason.TOO_OLD)
        assert await anext(made.stream(StreamPosition("restored", 3))) == Heartbeat("restored", 3, NOW, 7)
        await made.turn(4, "new", epoch="restored")
        assert await anext(stream) == Changed(3, 4, "new")


async def test_another_epoch_at_an_equal_version_is_found_out_without_a_word() -> None:
    async with rig(replace(CALM, poll=0.05)) as made:
        (stream,) = await made.begun()
        made.source.show(1, "restored", epoch="other")
        assert await asyncio.wait_for(anext(stream), 5) == Resync("other", 1, ResyncReason.UNKNOWN_EPOCH)
        assert await anext(stream) == Shown(1, "restored")


async def test_what_was_made_of_a_version_is_not_shown_for_what_has_its_number_after_a_restore() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        made.source.show(1, "restored", epoch="other")
        made.watch.restore()
        assert await anext(stream) == Resync("other", 1, ResyncReason.UNKNOWN_EPOCH)
        assert await anext(stream) == Shown(1, "restored")
        made.source.show(1, "as it is after an outage", epoch="other")
        made.watch.restore()
        assert await anext(stream) == Resync("other", 1, ResyncReason.SOURCE_RESTORED)
        assert await anext(stream) == Shown(1, "as it is after an outage")


async def test_what_was_made_of_a_version_is_let_go_with_it() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        topic = made.watch.topics["board"]
        assert topic.sent is not None
        shown = weakref.ref(topic.snapshot_of(topic.sent))
        assert shown() is not None
        await made.turn(2, "b")
        assert await anext(stream) == Changed(1, 2, "b")
        assert shown() is None


async def test_what_does_not_exist_is_not_found_at_first_and_later() -> None:
    async with rig(state=None) as made:
        with pytest.raises(NotFound):
            await anext(made.stream())
        made.source.show(1, "a")
        (stream,) = await made.begun()
        made.source.state = None
        made.watch.tick("board", TICK)
        with pytest.raises(NotFound):
            await asyncio.wait_for(anext(stream), 5)
        assert made.watch.topics == {}


async def test_who_asks_for_what_was_gone_and_is_there_again_is_shown_it() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        made.source.state = None
        made.watch.tick("board", TICK)
        await until(lambda: made.watch.topics["board"].error is not None)
        made.source.show(2, "b")
        fresh = made.stream()
        assert await anext(fresh) == Shown(2, "b")
        with pytest.raises(NotFound):
            await anext(stream)
        await made.turn(3, "c")
        assert await anext(fresh) == Changed(2, 3, "c")


async def test_what_was_private_and_is_gone_is_a_right_lost() -> None:
    async with rig(private=True) as made:
        (stream,) = await made.begun()
        made.source.state = None
        made.watch.tick("board", TICK)
        with pytest.raises(Forbidden):
            await asyncio.wait_for(anext(stream), 5)


@pytest.mark.parametrize(("code", "error"), [("FORBIDDEN", Forbidden), ("UNAUTHENTICATED", Unauthenticated)])
async def test_who_may_not_see_it_gets_no_first_event_and_has_nothing_read(code: str, error: type[DomainError]) -> None:
    async with rig() as made:
        made.code = code
        with pytest.raises(error):
            await anext(made.stream())
        assert made.source.loads == 0


async def test_who_loses_the_right_while_the_first_state_is_read_is_not_shown_it() -> None:
    async with rig(private=True) as made:
        made.source.load_gate.clear()
        first = asyncio.ensure_future(anext(made.stream()))
        await made.loaded(1)
        made.code = "FORBIDDEN"
        made.source.load_gate.set()
        with pytest.raises(Forbidden):
            await first


async def test_who_has_lost_the_right_hears_no_heartbeat() -> None:
    async with rig(replace(CALM, recheck=600, heartbeat=0.1), private=True) as made:
        (stream,) = await made.begun()
        made.code = "FORBIDDEN"
        with pytest.raises(Forbidden):
            await asyncio.wait_for(anext(stream), 5)


async def test_a_stream_whose_right_nobody_tells_is_refused_as_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("live.rights._PATIENCE", 0.05)
    async with rig() as made:
        made.silent = True
        with pytest.raises(Unavailable):
            await asyncio.wait_for(anext(made.stream()), 5)
        assert made.source.loads == 0


async def test_no_frame_of_a_private_board_goes_out_after_the_right_is_lost() -> None:
    async with rig(private=True) as made:
        (stream,) = await made.begun()
        made.code = "FORBIDDEN"
        await made.turn(2, "b")
        with pytest.raises(Forbidden):
            await anext(stream)


async def test_an_idle_stream_loses_its_right_by_the_clock() -> None:
    async with rig(replace(CALM, recheck=0.05)) as made:
        (stream,) = await made.begun()
        made.code = "UNAUTHENTICATED"
        with pytest.raises(Unauthenticated):
            await asyncio.wait_for(anext(stream), 5)


async def test_a_private_frame_waits_until_somebody_can_tell_whether_it_may_be_seen() -> None:
    async with rig(replace(CALM, recheck=0.05), private=True) as made:
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


async def test_heartbeats_go_on_while_nobody_answers_whether_it_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("live.rights._PATIENCE", 0.05)
    async with rig(replace(CALM, recheck=0.05, heartbeat=0.02), private=True) as made:
        (stream,) = await made.begun()
        made.silent = True
        asked = made.asked
        for _ in range(3):
            assert await asyncio.wait_for(anext(stream), 5) == Heartbeat("e", 1, NOW, 7)
        assert made.asked > asked


async def test_a_right_that_nobody_can_tell_is_not_asked_for_all_the_time() -> None:
    async with rig(replace(CALM, recheck=0.01, heartbeat=0.2)) as made:
        (stream,) = await made.begun()
        made.unknown = True
        asked = made.asked
        assert await asyncio.wait_for(anext(stream), 5) == Heartbeat("e", 1, NOW, 7)
        assert made.asked <= asked + 2


async def test_a_stream_that_is_never_idle_loses_its_right_by_the_clock_too() -> None:
    async with rig(replace(CALM, recheck=0.02)) as made:
        (stream,) = await made.begun()
        made.code = "UNAUTHENTICATED"
        await made.turn(2, "b")
        await asyncio.sleep(0.03)
        with pytest.raises(Unauthenticated):
            await anext(stream)


async def test_a_public_stream_goes_on_while_nobody_can_tell() -> None:
    async with rig(replace(CALM, recheck=0.01)) as made:
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


async def test_a_change_that_cannot_be_made_at_first_is_made_later_and_heartbeats_tell_of_it() -> None:
    pace = replace(CALM, heartbeat=0.02)
    async with rig(pace, broken_deltas=3) as made:
        (stream,) = await made.begun()
        made.source.show(2, "b")
        made.watch.tick("board", TICK)
        heard = [await anext(stream)]
        while not isinstance(heard[-1], Changed):
            heard.append(await anext(stream))
        assert Heartbeat("e", 1, NOW, 8) in heard
        made.source.show(3, "b")
        assert await anext(stream) == Heartbeat("e", 2, NOW, 7)


async def test_however_many_ask_there_is_one_reading_at_a_time() -> None:
    async with rig() as made:
        made.source.load_gate.clear()
        firsts = [asyncio.ensure_future(anext(made.stream())) for _ in range(5)]
        await made.loaded(1)
        topic = made.watch.topics["board"]
        await until(lambda: len(topic.mailboxes) == 5)
        made.source.show(2, "b")
        made.watch.restore()
        made.watch.tick("board", TICK)
        await asyncio.wait_for(made.source.compared.wait(), 5)
        await until(lambda: topic._wanted == 2)
        assert made.source.loads == 1
        made.source.load_gate.set()
        await asyncio.gather(*firsts)
        await until(lambda: not made.watch.is_reading)
        assert made.source.loads == 2


async def test_who_is_ahead_of_a_source_that_answers_no_more_is_shown_what_is_known() -> None:
    async with rig(replace(CALM, start=0.1)) as made:
        (early,) = await made.begun()
        made.source.load_gate.clear()
        ahead = made.stream(StreamPosition("e", 5))
        assert await asyncio.wait_for(anext(ahead), 5) == Resync("e", 1, ResyncReason.TOO_OLD)
        assert await anext(ahead) == Shown(1, "a")
        del early


def note_told(made: Rig) -> list[int | None]:
    """The versions that readings are told from now on."""
    load, told = made.source.load, list[int | None]()

    async def noting(key: str, before: Reading | None, version: int | None) -> Reading | None:
        told.append(version)
        return await load(key, before, version)

    made.source.load = noting
    return told


async def test_a_reading_is_told_the_version_that_ticks_have_told_and_no_other() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        told = note_told(made)
        made.source.show(2, "b")
        made.watch.tick("board", TICK, 2)
        assert await anext(stream) == Changed(1, 2, "b")
        await made.turn(3, "c")  # by a comparison
        assert await anext(stream) == Changed(2, 3, "c")
        made.source.show(9, "d")
        made.watch.tick("board", TICK, 9)
        assert await anext(stream) == Changed(3, 9, "d")
        assert told == [2, None, 9]
        made.source.show(4, "restored", epoch="other")
        made.watch.restore()
        assert await anext(stream) == Resync("other", 4, ResyncReason.UNKNOWN_EPOCH)
        assert await anext(stream) == Shown(4, "restored")
        await until(lambda: not made.watch.is_reading)
        made.source.show(5, "e", epoch="other")
        made.watch.tick("board", TICK, 5)
        assert await anext(stream) == Changed(4, 5, "e")
        assert told == [2, None, 9, None, 5]


async def test_who_comes_back_with_what_is_known_has_nothing_read() -> None:
    async with rig() as made:
        (early,) = await made.begun()
        assert await anext(made.stream(StreamPosition("e", 1))) == Heartbeat("e", 1, NOW, 7)
        assert made.source.loads == 1
        del early


async def test_a_reading_that_takes_too_long_is_given_up_and_tried_again() -> None:
    async with rig(replace(CALM, patience=0.05)) as made:
        (stream,) = await made.begun()
        made.source.load_gate.clear()
        made.source.show(2, "b")
        made.watch.tick("board", TICK)
        await made.loaded(4)
        made.source.load_gate.set()
        assert await asyncio.wait_for(anext(stream), 5) == Changed(1, 2, "b")


async def test_that_a_window_cannot_be_read_is_told_since_the_first_time() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        topic = made.watch.topics["board"]
        made.source.away = True
        made.watch.restore()
        await made.loaded(3)
        since = topic.fails_since
        assert since is not None
        await made.loaded(5)
        assert topic.fails_since == since
        made.source.away = False
        assert await anext(stream) == Resync("e", 1, ResyncReason.SOURCE_RESTORED)
        assert topic.fails_since is None


async def test_a_comparison_that_takes_too_long_is_an_outage() -> None:
    async with rig(replace(CALM, poll=0.02, patience=0.05)) as made:
        (stream,) = await made.begun()
        compare, asked = made.source.versions, list[object]()

        async def hanging(keys: Collection[str]) -> Mapping[str, int]:
            asked.append(keys)
            await asyncio.Event().wait()
            return {}

        made.source.versions = hanging
        await until(lambda: len(asked) >= 2)
        made.source.versions = compare
        assert await asyncio.wait_for(anext(stream), 5) == Resync("e", 1, ResyncReason.SOURCE_RESTORED)
        assert await anext(stream) == Shown(1, "a")
        await made.turn(2, "b")
        assert await anext(stream) == Changed(1, 2, "b"), "one outage is made good once"


async def test_who_does_not_tell_the_epoch_keeps_nobody_from_comparing() -> None:
    async with rig(replace(CALM, poll=0.02, patience=0.05)) as made:
        (stream,) = await made.begun()
        asked = asyncio.Event()

        async def hanging() -> str:
            asked.set()
            await asyncio.Event().wait()
            return "e"

        made.source.epoch = hanging
        await asyncio.wait_for(asked.wait(), 5)
        made.source.show(2, "b")
        assert await asyncio.wait_for(anext(stream), 5) == Changed(1, 2, "b")


async def test_many_windows_are_compared_some_at_a_time_and_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("live.watch._AT_ONCE", 2)
    async with rig() as made:
        for number in range(5):
            made.watch.join(f"board {number}", Mailbox(lambda: None))
        topics = made.watch.topics
        await until(lambda: all(topic.latest is not None for topic in topics.values()))
        compare, asked = made.source.versions, list[list[str]]()

        async def noting(keys: Collection[str]) -> Mapping[str, int]:
            asked.append(list(keys))
            return await compare(keys)

        made.source.versions = noting
        made.source.show(2, "b")
        made.watch.tick("board", TICK)
        await until(lambda: all(topic.latest == made.source.state for topic in topics.values()))
        assert asked == [["board 0", "board 1"], ["board 2", "board 3"], ["board 4"]]
        made.source.away = True
        made.watch.tick("board", TICK)
        await until(lambda: made.watch._away)
        assert len(asked) == 4, "who does not answer is asked once"


async def test_who_gives_up_while_it_is_read_leaves_nothing_running() -> None:
    async with rig() as made:
        before = asyncio.all_tasks()
        made.source.away = True
        asking = asyncio.ensure_future(anext(made.stream()))
        await made.loaded(2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert made.watch.topics == {}
        await until(lambda: not made.watch.is_reading)
        await until(lambda: asyncio.all_tasks() == before)


@pytest.mark.parametrize(("is_gathered", "at_once"), [(False, 4), (True, 9)])
async def test_what_is_read_alone_is_read_some_at_a_time(is_gathered: bool, at_once: int) -> None:
    async with rig() as made:
        made.source.is_gathered = lambda _: is_gathered
        made.source.load_gate.clear()
        topics = [made.watch.join(f"board {number}", Mailbox(lambda: None)) for number in range(9)]
        await made.loaded(at_once)
        await asyncio.sleep(0)
        assert made.source.loads == at_once
        made.source.load_gate.set()
        await until(lambda: all(topic.latest is not None for topic in topics))
        assert made.source.loads == 9


async def test_of_a_version_that_another_process_may_show_otherwise_nobody_goes_on() -> None:
    async with rig() as made:
        made.source.is_changing = lambda state: state.value == "moving"
        (stream,) = await made.begun()
        await made.turn(2, "moving")
        assert await anext(stream) == Changed(1, 2, "moving")
        for version in (1, 2):
            back = made.stream(StreamPosition("e", version))
            assert await anext(back) == Resync("e", 2, ResyncReason.TOO_OLD)
            assert await anext(back) == Shown(2, "moving")
        await made.turn(3, "b")
        assert await anext(stream) == Changed(2, 3, "b")
        assert await anext(made.stream(StreamPosition("e", 2))) == Resync("e", 3, ResyncReason.TOO_OLD)
        assert await anext(made.stream(StreamPosition("e", 3))) == Heartbeat("e", 3, NOW, 7)


async def test_what_moves_within_a_moment_is_read_once() -> None:
    async with rig(replace(CALM, coalesce=0.5)) as made:
        (stream,) = await made.begun()
        for version, value in ((2, "b"), (3, "c"), (4, "d")):
            made.source.show(version, value)
            made.watch.tick("board", TICK, version)
            for _ in range(5):
                await asyncio.sleep(0)
        assert await anext(stream) == Changed(1, 4, "d")
        assert made.source.loads == 2


async def test_the_latest_of_many_versions_that_are_told_together_counts() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        await made.turn(50, "b")
        assert await anext(stream) == Changed(1, 50, "b")
        made.source.show(60, "c")
        for version in (*range(1, 20), 60, *range(20, 40)):
            made.watch.tick("board", TICK, version)
        assert await asyncio.wait_for(anext(stream), 5) == Changed(50, 60, "c")


async def test_what_came_before_the_first_event_is_part_of_it_and_does_not_come_again() -> None:
    async with rig() as made:
        (keeper,) = await made.begun()
        for versions in ((2,), (3, 4)):
            reader = made.asked_for().reader(Mailbox(lambda: None))
            for version in versions:
                await made.turn(version, f"value {version}")
            assert reader.take() == (Shown(versions[-1], f"value {versions[-1]}"),)
            assert reader.mailbox.is_empty
            assert reader.take() == ()
            reader.leave()
        del keeper


async def test_what_a_comparison_doubts_is_read_and_not_taken_from_what_was_told() -> None:
    async with rig() as made:
        (stream,) = await made.begun()
        told = note_told(made)
        made.source.show(9, "b")
        made.watch.tick("board", TICK, 9)
        assert await anext(stream) == Changed(1, 9, "b")
        made.source.show(4, "restored", epoch="other")
        made.watch.tick("board", TICK)
        assert await anext(stream) == Resync("other", 4, ResyncReason.UNKNOWN_EPOCH)
        assert told == [9, None]
