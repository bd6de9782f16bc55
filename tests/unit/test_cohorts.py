"""Shared execution on a source that the test turns by hand: one rendering for all, and each client its own pace."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from domain.errors import Forbidden, NotFound, Unavailable
from live.batches import Deliver, Line
from live.cohorts import Cohorts
from live.events import Heartbeat, Resync, ResyncReason, StreamPosition
from live.seats import Seat
from live.topics import Pace
from tests.support.rig import CALM, NOW, TICK, Changed, Rig, Shown, rig, until

SOURCE = ResyncReason.SOURCE_RESTORED


class Client:
    """Takes what it is given; it can stop taking."""

    has_lines = False

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self._is_ready = True
        self.ended: list[Exception | None] = []
        self.then: Callable[[], None] = lambda: None
        """Called when it has been sent something."""
        self.seat: Seat[Any, Any, Any, Any] | None = None
        self.way: Deliver | None = deliver

    @property
    def line(self) -> Line | None:
        if not self.has_lines or self.way is None or not self.is_ready or self.ended:
            return None
        return Line(self.way, (self,))

    @property
    def is_ready(self) -> bool:
        return self._is_ready

    @is_ready.setter
    def is_ready(self, is_ready: bool) -> None:
        self._is_ready = is_ready
        if self.seat is not None:
            self.seat.reached_otherwise()

    def put(self, payloads: Sequence[bytes]) -> bool:
        assert not self.ended
        if self.is_ready:
            self.got += payloads
            self.then()
        return self.is_ready

    def end(self, problem: Exception | None) -> None:
        self.ended.append(problem)

    def take_again(self) -> None:
        self.is_ready = True
        assert self.seat is not None
        self.seat.wake()

    async def has(self, *events: object) -> None:
        """Wait until these, and nothing else, have come."""
        expected = [repr(event).encode() for event in events]
        await until(lambda: len(self.got) >= len(expected))
        assert self.got == expected


def deliver(peers: Sequence[Sequence[Client]], payload: bytes) -> None:
    """To clients that are reached by lines, who must be ready."""
    for (client,) in zip(*peers, strict=True):
        assert client.is_ready
        assert not client.ended
        client.got.append(payload)
        client.then()


@pytest.fixture(autouse=True, params=[False, True], ids=["put", "lines"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients whose way out is their own are sent the same."""
    monkeypatch.setattr(Client, "has_lines", request.param)


class Room:
    """Clients of one cohort."""

    def __init__(self, made: Rig) -> None:
        self.made = made
        self.cohorts = Cohorts(made.pace)
        self.rendered: list[object] = []
        self.is_broken = False
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def render(self, event: object) -> bytes:
        if self.is_broken:
            raise RuntimeError(event)
        if self.is_away and not isinstance(event, Heartbeat):
            raise Unavailable(str(event))
        self.rendered.append(event)
        await asyncio.sleep(0)
        await self.gate.wait()
        return repr(event).encode()

    async def join(self, after: StreamPosition | None = None, client: Client | None = None) -> Client:
        client = client or Client()
        client.seat = await self.cohorts.join("key", self.made.asked_for(after), self.render, client)
        return client


@asynccontextmanager
async def room(pace: Pace = CALM, **source: Any) -> AsyncIterator[Room]:
    async with rig(pace, **source) as made:
        found = Room(made)
        try:
            yield found
        finally:
            await found.cohorts.stop()


async def test_a_thousand_clients_are_one_rendering_an_event() -> None:
    async with room() as found:
        clients = await asyncio.gather(*(found.join() for _ in range(1_000)))
        await clients[-1].has(Shown(1, "a"))
        await found.made.turn(2, "b")
        for client in clients:
            await client.has(Shown(1, "a"), Changed(1, 2, "b"))
        assert found.rendered == [Shown(1, "a"), Changed(1, 2, "b")]
        assert found.made.source.loads == 2


async def test_each_client_begins_where_it_stands() -> None:
    async with room() as found:
        keeper = await found.join()
        await found.made.turn(2, "b")
        await keeper.has(Shown(1, "a"), Changed(1, 2, "b"))
        positions = [StreamPosition("e", version) for version in (1, 2, 99)] + [StreamPosition("x", 2)]
        clients = [await found.join(after) for after in positions]
        await clients[0].has(Changed(1, 2, "b"))
        await clients[1].has(Heartbeat("e", 2, NOW, 7))
        await clients[2].has(Resync("e", 2, ResyncReason.TOO_OLD), Shown(2, "b"))
        await clients[3].has(Resync("e", 2, ResyncReason.UNKNOWN_EPOCH), Shown(2, "b"))
        assert found.rendered.count(Shown(2, "b")) == 1


async def test_who_stands_at_an_equal_version_gets_a_delta_that_fits() -> None:
    async with room() as found:
        keeper = await found.join()
        await keeper.has(Shown(1, "a"))
        await found.made.turn(3, "a")
        ahead = await found.join(StreamPosition("e", 3))
        await ahead.has(Heartbeat("e", 3, NOW, 7))
        await found.made.turn(4, "b")
        await ahead.has(Heartbeat("e", 3, NOW, 7), Changed(3, 4, "b"))
        await keeper.has(Shown(1, "a"), Changed(1, 4, "b"))


async def test_a_client_that_takes_nothing_costs_others_nothing_and_gets_the_newest_when_it_takes_again() -> None:
    async with room() as found:
        slow, quick = await found.join(), await found.join()
        await slow.has(Shown(1, "a"))
        slow.is_ready = False
        for version in range(2, 12):
            await found.made.turn(version, f"value {version}")
            await until(lambda: len(quick.got) == version)  # noqa: B023 awaited at once
        assert slow.got == [repr(Shown(1, "a")).encode()]
        slow.take_again()
        await slow.has(Shown(1, "a"), Resync("e", 11, ResyncReason.SLOW_CLIENT), Shown(11, "value 11"))
        await found.made.turn(12, "after")
        await until(lambda: len(slow.got) == 4)
        assert slow.got[-1] == quick.got[-1] == repr(Changed(11, 12, "after")).encode()


async def test_a_topic_tells_a_cohort_once_and_besides_only_who_could_not_follow() -> None:
    async with room() as found:
        slow, *quick = [await found.join() for _ in range(4)]
        for client in (slow, *quick):
            await client.has(Shown(1, "a"))
        mailboxes = found.made.watch.topics["board"].mailboxes
        assert len(mailboxes) == 1
        slow.is_ready = False
        await found.made.turn(2, "b")
        await until(lambda: len(mailboxes) == 2)
        slow.take_again()
        await slow.has(Shown(1, "a"), Changed(1, 2, "b"))
        await until(lambda: len(mailboxes) == 1)
        await found.made.turn(3, "c")
        for client in (slow, *quick):
            await client.has(Shown(1, "a"), Changed(1, 2, "b"), Changed(2, 3, "c"))


async def test_who_stops_taking_while_others_are_sent_something_is_sent_it_later() -> None:
    async with room() as found:
        clients = await asyncio.gather(*(found.join() for _ in range(600)))
        await found.made.turn(2, "b")
        await clients[-1].has(Shown(1, "a"), Changed(1, 2, "b"))
        first, *others, slow = clients
        first.then = lambda: setattr(slow, "is_ready", False)
        await found.made.turn(3, "c")
        for client in (first, *others):
            await client.has(Shown(1, "a"), Changed(1, 2, "b"), Changed(2, 3, "c"))
        assert len(slow.got) == 2
        slow.take_again()
        await slow.has(Shown(1, "a"), Changed(1, 2, "b"), Changed(2, 3, "c"))


async def test_who_leaves_while_others_are_sent_something_is_sent_nothing() -> None:
    async with room() as found:
        clients = await asyncio.gather(*(found.join() for _ in range(600)))
        await found.made.turn(2, "b")
        await clients[-1].has(Shown(1, "a"), Changed(1, 2, "b"))
        first, *others, leaving = clients
        assert leaving.seat is not None
        first.then = leaving.seat.leave
        await found.made.turn(3, "c")
        for client in (first, *others):
            await client.has(Shown(1, "a"), Changed(1, 2, "b"), Changed(2, 3, "c"))
        assert len(leaving.got) == 2


async def test_who_comes_later_is_sent_what_all_are_sent() -> None:
    async with room() as found:
        early = await found.join()
        await found.made.turn(2, "b")
        await early.has(Shown(1, "a"), Changed(1, 2, "b"))
        late = await found.join()
        await late.has(Shown(2, "b"))
        await until(lambda: len(found.made.watch.topics["board"].mailboxes) == 1)
        await found.made.turn(3, "c")
        await late.has(Shown(2, "b"), Changed(2, 3, "c"))


async def test_who_was_sent_nothing_while_a_server_was_away_is_sent_no_delta_of_what_he_missed() -> None:
    async with room() as found:
        client = await found.join()
        await found.made.turn(2, "b")
        await client.has(Shown(1, "a"), Changed(1, 2, "b"))
        found.is_away = True
        await found.made.turn(3, "c")
        await until(lambda: len(found.made.watch.topics["board"].mailboxes) == 2)
        found.is_away = False
        await found.made.turn(4, "d")
        await client.has(Shown(1, "a"), Changed(1, 2, "b"), Resync("e", 4, SOURCE), Shown(4, "d"))


async def test_clients_that_are_reached_in_different_ways_are_sent_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "has_lines", True)
    async with room() as found:
        clients = await asyncio.gather(*(found.join() for _ in range(9)))
        for number, client in enumerate(clients):
            client.way = (deliver, partial(deliver), None)[number % 3]
        for version, value in ((2, "b"), (3, "c")):
            await found.made.turn(version, value)
            for client in clients:
                await until(lambda: len(client.got) == version)  # noqa: B023 awaited at once
        assert {tuple(client.got) for client in clients} == {tuple(clients[0].got)}


async def test_one_missed_event_waits_and_is_no_loss() -> None:
    async with room() as found:
        slow = await found.join()
        await slow.has(Shown(1, "a"))
        slow.is_ready = False
        await found.made.turn(2, "b")
        slow.take_again()
        await slow.has(Shown(1, "a"), Changed(1, 2, "b"))


async def test_who_leaves_hears_no_more_and_the_last_takes_cohort_and_topic_along() -> None:
    async with room() as found:
        one, other = await found.join(), await found.join()
        await other.has(Shown(1, "a"))
        assert one.seat is not None
        assert other.seat is not None
        one.seat.leave()
        await found.made.turn(2, "b")
        await other.has(Shown(1, "a"), Changed(1, 2, "b"))
        assert len(one.got) == 1
        other.seat.leave()
        other.seat.leave()
        assert found.made.watch.topics == {}
        again = await found.join()
        await again.has(Shown(2, "b"))


async def test_idle_clients_hear_heartbeats_one_rendering_for_all() -> None:
    async with room(replace(CALM, heartbeat=0.05)) as found:
        clients = [await found.join() for _ in range(3)]
        for client in clients:
            await until(lambda: len(client.got) >= 3)  # noqa: B023 awaited at once
            assert client.got[1] == repr(Heartbeat("e", 1, NOW, 7)).encode()
        beats = [event for event in found.rendered if isinstance(event, Heartbeat)]
        assert len(beats) <= max(len(client.got) for client in clients)


async def test_who_comes_meanwhile_keeps_no_heartbeat_from_the_others() -> None:
    async with room(replace(CALM, heartbeat=0.2)) as found:
        idle = await found.join()
        await idle.has(Shown(1, "a"))
        async with asyncio.timeout(5):
            while len(idle.got) == 1:
                await found.join()
                await asyncio.sleep(0.02)
        assert idle.got[1] == repr(Heartbeat("e", 1, NOW, 7)).encode()


async def test_who_may_not_see_it_gets_nothing_and_has_nothing_read() -> None:
    async with room() as found:
        found.made.code = "FORBIDDEN"
        with pytest.raises(Forbidden):
            await found.join()
        assert (found.made.source.loads, found.made.watch.topics) == (0, {})


async def test_no_frame_of_a_private_board_goes_out_after_the_right_is_lost() -> None:
    async with room(private=True) as found:
        client = await found.join()
        await client.has(Shown(1, "a"))
        found.made.code = "FORBIDDEN"
        await found.made.turn(2, "b")
        await until(lambda: bool(client.ended))
        assert isinstance(client.ended[0], Forbidden)
        assert len(client.got) == 1
        assert found.made.watch.topics == {}


async def test_an_idle_private_client_loses_its_right_by_the_clock() -> None:
    async with room(replace(CALM, recheck=0.05), private=True) as found:
        client = await found.join()
        await client.has(Shown(1, "a"))
        found.made.code = "FORBIDDEN"
        await until(lambda: bool(client.ended))
        assert isinstance(client.ended[0], Forbidden)


async def test_a_cohort_whose_last_client_is_refused_while_it_joins_leaves_nothing_running() -> None:
    async with room(replace(CALM, recheck=0.05), private=True) as found:
        keeper, late = await found.join(), Client()
        await keeper.has(Shown(1, "a"))
        source, loads = found.made.source, found.made.source.loads
        source.load_gate.clear()
        joining = asyncio.create_task(found.join(StreamPosition("e", 2), late))  # a reading is waited for
        await until(lambda: source.loads > loads)
        found.made.code = "FORBIDDEN"
        await until(lambda: bool(keeper.ended and late.ended))
        source.load_gate.set()
        await joining
        assert late.seat is not None
        assert late.seat.has_left
        assert isinstance(late.ended[0], Forbidden)
        # The task of the cohort that was begun with the first client ends by itself.
        await until(lambda: not [task for task in asyncio.all_tasks() if "Cohort._run" in repr(task)])
        assert found.made.watch.topics == {}


async def test_who_has_lost_the_right_hears_no_heartbeat() -> None:
    async with room(replace(CALM, recheck=600, heartbeat=0.1), private=True) as found:
        client = await found.join()
        await client.has(Shown(1, "a"))
        found.made.code, heard = "FORBIDDEN", len(client.got)
        await until(lambda: bool(client.ended))
        assert isinstance(client.ended[0], Forbidden)
        assert len(client.got) == heard


async def test_a_private_frame_waits_until_somebody_can_tell_whether_it_may_be_seen() -> None:
    async with room(replace(CALM, recheck=0.05), private=True) as found:
        client = await found.join()
        await client.has(Shown(1, "a"))
        found.made.unknown = True
        await found.made.turn(2, "b")
        asked = found.made.asked
        await until(lambda: found.made.asked >= asked + 3)
        assert len(client.got) == 1
        found.made.unknown = False
        await client.has(Shown(1, "a"), Resync("e", 2, ResyncReason.SOURCE_RESTORED), Shown(2, "b"))


async def test_a_heartbeat_tells_what_was_sent_and_not_what_waits_until_it_may_be_seen() -> None:
    async with room(replace(CALM, recheck=0.05, heartbeat=0.02), private=True) as found:
        client = await found.join()
        await client.has(Shown(1, "a"))
        found.made.unknown = True
        await found.made.turn(2, "b")
        asked, heard = found.made.asked, len(client.got)
        await until(lambda: found.made.asked >= asked + 3 and len(client.got) >= heard + 3)
        assert set(client.got[1:]) == {repr(Heartbeat("e", 1, NOW, 7)).encode()}


async def test_heartbeats_go_on_while_nobody_answers_whether_it_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("live.rights._PATIENCE", 0.05)
    async with room(replace(CALM, recheck=0.05, heartbeat=0.02), private=True) as found:
        client = await found.join()
        await client.has(Shown(1, "a"))
        found.made.silent = True
        await found.made.turn(2, "b")
        asked, heard = found.made.asked, len(client.got)
        await until(lambda: found.made.asked >= asked + 3 and len(client.got) >= heard + 3)
        assert set(client.got[1:]) == {repr(Heartbeat("e", 1, NOW, 7)).encode()}
        found.made.silent = False
        await until(lambda: client.got[-1] == repr(Shown(2, "b")).encode())


async def test_who_was_not_shown_anything_yet_hears_no_heartbeat() -> None:
    async with room(replace(CALM, recheck=0.05, heartbeat=0.02), private=True) as found:
        client = await found.join()
        found.made.unknown = True
        asked = found.made.asked
        await until(lambda: found.made.asked >= asked + 4)
        assert client.got == []
        found.made.unknown = False
        await until(lambda: bool(client.got))
        assert client.got[:2] == [repr(event).encode() for event in (Resync("e", 1, SOURCE), Shown(1, "a"))]


async def test_where_a_client_says_that_it_stands_is_told_by_no_heartbeat() -> None:
    async with room(replace(CALM, recheck=0.05, heartbeat=0.02), private=True) as found:
        keeper = await found.join()
        await keeper.has(Shown(1, "a"))
        found.made.source.load_gate.clear()
        client = Client()
        joining = asyncio.ensure_future(found.join(StreamPosition("e", 99), client))
        heard = len(keeper.got)
        await until(lambda: len(keeper.got) >= heard + 3)
        found.made.unknown = True
        found.made.source.load_gate.set()
        await joining
        asked, heard = found.made.asked, len(keeper.got)
        await until(lambda: found.made.asked >= asked + 4 and len(keeper.got) >= heard + 3)
        assert client.got == []
        found.made.unknown = False
        await until(lambda: len(client.got) >= 2)
        assert client.got[:2] == [repr(event).encode() for event in (Resync("e", 1, SOURCE), Shown(1, "a"))]


async def test_what_is_gone_ends_for_all_and_a_source_that_is_away_refuses_the_first() -> None:
    async with room(replace(CALM, start=0.1)) as found:
        clients = [await found.join() for _ in range(3)]
        found.made.source.state = None
        found.made.watch.tick("board", TICK)
        for client in clients:
            await until(lambda: bool(client.ended))  # noqa: B023 awaited at once
            assert isinstance(client.ended[0], NotFound)
        found.made.source.show(1, "a")
        found.made.source.away = True
        with pytest.raises(Unavailable):
            await found.join()
        assert found.made.watch.topics == {}


async def test_what_is_gone_while_its_last_event_is_rendered_ends_also_for_who_takes_nothing() -> None:
    async with room() as found:
        slow, quick = [await found.join() for _ in range(2)]
        for client in (slow, quick):
            await client.has(Shown(1, "a"))
        slow.is_ready = False
        found.gate.clear()
        await found.made.turn(2, "b")
        await until(lambda: Changed(1, 2, "b") in found.rendered)
        topic = found.made.watch.topics["board"]
        found.made.source.state = None
        found.made.watch.tick("board", TICK)
        await until(lambda: topic.error is not None)
        found.gate.set()

        await until(lambda: bool(slow.ended and quick.ended))
        assert quick.got[1:] == [repr(Changed(1, 2, "b")).encode()]
        assert [str(client.ended) for client in (slow, quick)] == [str([topic.error])] * 2


async def test_what_a_rendering_needs_and_is_away_is_waited_for() -> None:
    async with room(replace(CALM, recheck=0.02, heartbeat=0.02)) as found:
        keepers = [await found.join() for _ in range(2)]
        for keeper in keepers:
            await until(lambda keeper=keeper: bool(keeper.got))
        found.is_away = True
        await found.made.turn(2, "b")
        client = await found.join()
        heard = len(keepers[0].got)
        await until(lambda: len(keepers[0].got) >= heard + 3)
        assert client.got == []
        found.is_away = False
        for one in (*keepers, client):
            await until(lambda one=one: repr(Shown(2, "b")).encode() in one.got)
            assert not any(event.startswith(b"Changed") for event in one.got)
            assert repr(Resync("e", 2, SOURCE)).encode() in one.got


async def test_a_rendering_that_fails_ends_the_clients_and_leaves_none_in_silence() -> None:
    async with room() as found:
        client = await found.join()
        await client.has(Shown(1, "a"))
        found.is_broken = True
        await found.made.turn(2, "b")
        await until(lambda: bool(client.ended))
        assert isinstance(client.ended[0], RuntimeError)
        assert found.made.watch.topics == {}
