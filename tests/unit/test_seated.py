"""A subscription that is over while it still joins: it sits nowhere afterwards."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from domain.errors import Forbidden
from schema.transport.seated import Seated, head
from tests.support.rig import until
from tests.unit.test_outlet import Peer, Stream


class Place:
    """Owner, outlet and seat at once: what is asked of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


@pytest.mark.parametrize("problem", [Forbidden("You may no longer see this."), None])
@pytest.mark.parametrize("by_client", [False, True])
async def test_what_is_over_before_it_has_joined(problem: Exception | None, *, by_client: bool) -> None:
    owner, outlet, seat = Place(), Place(), Place()
    seated = Seated(owner, outlet, "1", "r1")  # type: ignore[arg-type]

    async def join(_context: Any, _stream: Any, sink: Seated) -> Any:
        if by_client:
            sink.leave()
        else:
            sink.end(problem)
        return seat

    joining = seated.join(SimpleNamespace(join=join), None, None)  # type: ignore[arg-type]
    if problem is None or by_client:
        await joining
    else:
        with pytest.raises(Forbidden):
            await joining

    assert seated.is_over
    assert seat.calls == ["leave"]
    assert "join" not in outlet.calls
    assert owner.calls == ([] if by_client else ["end"])


async def joined(peer: Peer, owner: Place, seat: Place, operation_id: str = "1") -> Seated:
    """One that sits there."""
    seated = Seated(owner, peer.outlet, operation_id, "r1")  # type: ignore[arg-type]

    async def join(*_: Any) -> Any:
        return seat

    await seated.join(SimpleNamespace(join=join), None, None)  # type: ignore[arg-type]
    return seated


async def test_what_came_before_the_end_is_sent_before_it_and_nothing_after_it() -> None:
    peer, owner, seat = Peer(), Place(), Place()
    peer.outlet.join(Stream())  # so that it is gathered
    seated = await joined(peer, owner, seat)
    assert seated.put([b"1}", b"2}"])
    assert peer.got == []
    seated.end(None)
    assert peer.got == [head("1").decode() + payload for payload in ("1}", "2}")]
    assert owner.calls == ["end"]
    assert not seated.put([b"3}"])
    assert (len(peer.got), peer.outlet._gathered) == (2, [])


async def test_its_seat_is_told_when_the_way_out_is_its_own_and_when_it_is_not() -> None:
    peer, owner, seat, other = Peer(), Place(), Place(), Stream()
    seated = await joined(peer, owner, seat)
    assert seated.line is not None
    seated.line.send(b"1}")
    assert peer.got == [head("1").decode() + "1}"]
    assert seat.calls == ["reached_otherwise"]
    peer.outlet.join(other)
    assert seated.line is None
    peer.outlet.leave(other)
    assert seated.line is not None
    assert seat.calls == ["reached_otherwise"] * 3
    peer.outlet.leave(other)  # nothing has changed
    assert seat.calls == ["reached_otherwise"] * 3
    peer.takes.clear()
    peer.outlet.put_now((b"not taken",))
    assert seated.line is None
    peer.takes.set()
    await until(lambda: peer.outlet.is_ready)
    assert seat.calls == ["reached_otherwise"] * 4 + ["reached_otherwise", "wake"]


@pytest.mark.parametrize("by_client", [False, True])
async def test_who_has_left_has_no_way_out_and_sits_nowhere(*, by_client: bool) -> None:
    peer, owner, seat = Peer(), Place(), Place()
    seated = await joined(peer, owner, seat)
    seat.calls.clear()
    if by_client:
        seated.leave()
        seated.leave()
    else:
        seated.end(None)
    assert seated.line is None
    assert seat.calls == (["leave"] if by_client else [])
    seated.wake()
    assert len(seat.calls) == by_client


async def test_who_leaves_while_it_joins_is_waited_for_no_more() -> None:
    peer, owner, given_up = Peer(), Place(), asyncio.Event()
    seated = Seated(owner, peer.outlet, "1", "r1")  # type: ignore[arg-type]

    async def join(*_: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    seated.begin(SimpleNamespace(join=join, follow=lambda *_: None), None, None)  # type: ignore[arg-type]
    assert not given_up.is_set()
    seated.leave()
    await asyncio.wait_for(given_up.wait(), 5)
    assert owner.calls == []


async def test_what_ends_a_stream_while_it_joins_is_told_its_owner_once() -> None:
    peer, owner, goes_on = Peer(), Place(), asyncio.Event()
    for is_waiting in (False, True):
        owner.calls.clear()
        seated = Seated(owner, peer.outlet, "1", "r1")  # type: ignore[arg-type]

        async def join(*_: Any, is_waiting: bool = is_waiting) -> Any:
            if is_waiting:
                await goes_on.wait()
            raise Forbidden("You may no longer see this.")

        seated.begin(SimpleNamespace(join=join, follow=lambda *_: None), None, None)  # type: ignore[arg-type]
        goes_on.set()
        await until(lambda: owner.calls != [])
        assert (owner.calls, seated.is_over) == (["end"], True)
