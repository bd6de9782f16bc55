"""What a connection sends on its own and together with others, by plain ASGI to a peer that can stop taking."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from schema.transport.outlet import Outlet, Post
from schema.transport.wires import AsgiWire, Gone, Message, Wire, texts
from tests.support.rig import until


class Peer:
    """Has what it was sent; it can stop taking."""

    def __init__(self, post: Post | None = None) -> None:
        self.got: list[str] = []
        self.takes = asyncio.Event()
        self.takes.set()
        self.is_gone = False
        self.wire = AsgiWire(self.send, texts())
        self.outlet = Outlet(self.wire, post or Post(lambda: False))

    async def send(self, event: Any) -> None:
        if self.is_gone:
            raise OSError("gone")
        self.got.append(event["text"])
        await self.takes.wait()

    async def has(self, *texts: str) -> None:
        """Wait until these, and nothing else, have come."""
        await until(lambda: len(self.got) >= len(texts))
        assert self.got == list(texts)


class Stream:
    """Counts how often it is woken, and has what it is lent."""

    def __init__(self) -> None:
        self.woken = 0
        self.lent: Wire | None = None

    def wake(self) -> None:
        self.woken += 1

    def lend(self, wire: Wire | None) -> None:
        self.lent = wire


def said(*texts: str) -> Sequence[Message]:
    return [(text.encode(),) for text in texts]


class Reading:
    """Whether others are being read, and how often that was asked."""

    def __init__(self) -> None:
        self.is_busy = True
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.is_busy


async def test_what_several_streams_bring_waits_while_others_are_read() -> None:
    reading = Reading()
    peer = Peer(Post(reading, patience=60))
    assert peer.outlet.put(Stream(), said("a", "b"))
    await until(lambda: reading.asked >= 3)
    assert peer.outlet.put(Stream(), said("c"))
    assert peer.got == []
    reading.is_busy = False
    await peer.has("a", "b", "c")


async def test_it_waits_no_longer_than_it_has_patience_and_each_time_anew() -> None:
    peer, loop = Peer(Post(lambda: True, patience=0.1)), asyncio.get_running_loop()
    for number in (1, 2):
        began = loop.time()
        peer.outlet.put(Stream(), said(str(number)))
        await peer.has(*map(str, range(1, number + 1)))
        assert 0.1 <= loop.time() - began < 4


async def test_while_nothing_is_read_it_waits_for_nothing() -> None:
    peer, loop = Peer(Post(lambda: False, patience=60)), asyncio.get_running_loop()
    for number in (1, 2):
        began = loop.time()
        peer.outlet.put(Stream(), said(str(number)))
        await peer.has(*map(str, range(1, number + 1)))
        assert loop.time() - began < 4


async def test_so_many_connections_write_before_others_have_a_turn() -> None:
    post, written, in_turns = Post(lambda: False), list[int](), list[int]()
    loop = asyncio.get_running_loop()

    class Noting(Peer):
        async def send(self, event: Any) -> None:
            if not written or written[-1] % 100 == 0:
                loop.call_soon(lambda: in_turns.append(len(written)))
            written.append(len(written) + 1)
            await super().send(event)

    peers = [Noting(post) for _ in range(250)]
    for peer in peers:
        peer.outlet.put(Stream(), said("a"))
    await until(lambda: len(in_turns) == 3)
    assert in_turns == [100, 200, 250]
    peers[0].outlet.put(Stream(), said("b"))
    await peers[0].has("a", "b")
    assert [peer.got for peer in peers[1:]] == [["a"]] * 249


async def test_the_only_stream_is_lent_the_way_out_while_nothing_waits_and_the_peer_takes() -> None:
    peer, first, second = Peer(), Stream(), Stream()
    peer.outlet.join(first)
    assert first.lent is peer.wire
    assert peer.outlet.put(first, said("at once"))
    assert peer.got == ["at once"]
    peer.outlet.join(second)
    assert (first.lent, second.lent) == (None, None)
    peer.outlet.put(first, said("soon"))
    assert peer.got == ["at once"]
    peer.outlet.leave(second)
    assert first.lent is None, "something waits to go before what it brings"
    peer.outlet.put(first, said("a little later"))
    await peer.has("at once", "soon", "a little later")
    assert first.lent is peer.wire
    peer.takes.clear()
    peer.outlet.put(first, said("not taken"))
    assert first.lent is None
    peer.takes.set()
    await until(lambda: peer.outlet.is_ready)
    assert first.lent is peer.wire


async def test_what_is_gathered_of_a_stream_that_leaves_is_sent_to_nobody_and_keeps_nobody_waiting() -> None:
    peer, leaving, staying = Peer(), Stream(), Stream()
    peer.outlet.join(leaving)
    peer.outlet.join(staying)
    peer.outlet.put(leaving, said("never"))
    peer.outlet.leave(leaving)
    assert staying.lent is peer.wire
    peer.outlet.put(staying, said("a"))
    assert peer.got == ["a"]


async def test_a_peer_that_takes_nothing_is_sent_answers_later_and_nothing_of_streams() -> None:
    peer, stream, other = Peer(), Stream(), Stream()
    peer.outlet.join(stream)
    peer.outlet.join(other)
    peer.takes.clear()
    peer.outlet.put(stream, said("gathered"))
    peer.outlet.put_now((b"answer ", b"1"))
    assert peer.got == ["gathered"]
    assert peer.outlet.blocked_at is not None
    assert not peer.outlet.put(stream, said("never"))
    peer.outlet.put_now((b"answer ", b"2"))
    waiting = asyncio.create_task(peer.outlet.send((b"answer 3",)))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert (stream.woken, other.woken) == (0, 0)
    peer.takes.set()
    await asyncio.wait_for(waiting, 5)
    await peer.has("gathered", "answer 1", "answer 2", "answer 3")
    assert peer.outlet.blocked_at is None
    assert stream.woken == other.woken >= 1
    assert peer.outlet.put(stream, said("again"))
    await peer.has("gathered", "answer 1", "answer 2", "answer 3", "again")


async def test_who_waits_for_a_peer_that_goes_is_told_and_so_is_who_comes_then() -> None:
    peer, stream = Peer(), Stream()
    peer.outlet.join(stream)
    peer.takes.clear()
    peer.outlet.put_now((b"not taken",))
    waiting = [asyncio.create_task(peer.outlet.ready()) for _ in range(2)]
    await asyncio.sleep(0)
    peer.outlet.cut(1013, "too slow")
    for each in waiting:
        with pytest.raises(Gone):
            await asyncio.wait_for(each, 5)
    with pytest.raises(Gone):
        await peer.outlet.send((b"never",))
    assert peer.outlet.put(stream, said("never")) is False
    assert stream.lent is None
    assert peer.got == ["not taken"]


async def test_a_peer_that_is_gone_when_something_is_sent_is_noticed_at_once() -> None:
    peer, stream = Peer(), Stream()
    peer.outlet.join(stream)
    peer.is_gone = True
    assert peer.outlet.put(stream, said("a", "b"))
    assert (peer.wire.is_open, peer.outlet.is_ready, stream.lent) == (False, False, None)
    with pytest.raises(Gone):
        await peer.outlet.ready()


async def test_all_that_is_left_is_sent_in_order_before_anything_else_may_be() -> None:
    peer, stream = Peer(), Stream()
    peer.outlet.join(stream)
    peer.takes.clear()
    peer.outlet.put(stream, [(b"%d", b"-", b"%d"), *said("1", "2", "3")])
    peer.outlet.put_now((b"4",))
    assert peer.got == ["%d-%d"]
    peer.takes.set()
    await peer.has("%d-%d", "1", "2", "3", "4")
    peer.outlet.put(stream, said("5"))
    await peer.has("%d-%d", "1", "2", "3", "4", "5")


async def test_a_peer_that_goes_before_all_that_is_left_is_sent_is_written_to_no_more() -> None:
    peer, stream = Peer(), Stream()
    peer.outlet.join(stream)
    peer.takes.clear()
    peer.outlet.put(stream, said("1", "2"))
    peer.is_gone = True
    peer.takes.set()
    with pytest.raises(Gone):
        await asyncio.wait_for(peer.outlet.ready(), 5)
    assert (peer.got, peer.outlet.blocked_at) == (["1"], None)


async def test_who_is_blocked_again_and_again_is_waited_for_each_time_and_sent_nothing_twice() -> None:
    peer, stream = Peer(), Stream()
    peer.outlet.join(stream)
    for times in range(1, 4):
        peer.takes.clear()
        if times == 2:  # as a cohort writes to it
            assert stream.lent is not None
            stream.lent.line(b"a").send(b"")
        else:
            peer.outlet.put(stream, said("a", "b"))
        waiting = asyncio.create_task(peer.outlet.send((b"c",)))
        await asyncio.sleep(0)
        assert not waiting.done()
        peer.takes.set()
        await asyncio.wait_for(waiting, 5)
        assert "".join(peer.got) == ("abc", "abcac", "abcacabc")[times - 1]
