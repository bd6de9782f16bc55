"""Both ways out of a connection: the server's transport, which our protocol lends, and plain ASGI on any server.

This is also what is relied on of uvicorn beyond its promises.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from runtime.websockets import WebSocketProtocol
from schema.transport.wires import AsgiWire, Gone, Wire
from tests.support.wires import Counting, Server, client, serving

PROTOCOLS = [WebSocketProtocol, "websockets-sansio"]
BOARD = b"x" * 4_400
SIZES = (0, 1, 120, 121, 125, 126, 65_530, 65_531, 65_536, 300_000)


@pytest.fixture(params=PROTOCOLS, ids=["lent", "plain ASGI"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with serving(request.param) as made:
        yield made


def is_lent(server: Server) -> bool:
    return isinstance(server.wires[0], WebSocketProtocol)


def message(number: int) -> tuple[bytes, ...]:
    return (b"%05d:" % number, BOARD)


async def _received(connection: ClientConnection, count: int) -> list[str]:
    return [str(await connection.recv()) for _ in range(count)]


class Follower:
    """Writes the newest whenever it may."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.wire: Wire | None = None

    def wake(self) -> None:
        self.woken.set()

    def lend(self, wire: Wire | None) -> None:
        self.wire = wire


async def test_the_protocol_lends_its_transport_and_no_other_does() -> None:
    for protocol, kind in ((WebSocketProtocol, WebSocketProtocol), ("websockets-sansio", AsgiWire)):
        async with serving(protocol) as made, client(made):
            assert type(made.wires[0]) is kind


async def test_messages_of_all_sizes_arrive_whole_and_in_order(server: Server) -> None:
    async with client(server) as connection:
        outlet = server.outlets[0]
        for size in SIZES:
            await outlet.send((b"%06d" % size, b"x" * size + "ö}".encode()))
        for size in SIZES:
            assert await connection.recv() == f"{size:06}" + "x" * size + "ö}"


async def test_fragments_pings_and_answers_go_beside_what_streams_bring(server: Server) -> None:
    async def fragments() -> AsyncIterator[str]:
        for part in ("a", "b" * 70_000, "c"):
            yield part
            await asyncio.sleep(0.01)

    async with client(server) as connection:
        outlet, follower = server.outlets[0], Follower()
        receiving = asyncio.ensure_future(_received(connection, 201))
        sending = asyncio.ensure_future(connection.send(fragments()))
        for number in range(200):
            while not outlet.put(follower, [message(number)]):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            if number % 20 == 0:
                await (await connection.ping())
        await sending
        received = await receiving
        echo = "echo a" + "b" * 70_000 + "c"
        assert received.count(echo) == 1
        received.remove(echo)
        assert [int(text[:5]) for text in received] == list(range(200))
        assert {text[6:] for text in received} == {BOARD.decode()}


class Paused:
    """A transport that counts how often reading from it is paused."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.times = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def pause_reading(self) -> None:
        self.times += 1
        self._transport.pause_reading()


class Pausing(WebSocketProtocol):
    """Reads from such a one."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.transport: Any = Paused(self.transport)


async def test_reading_is_paused_for_messages_that_wait_and_for_no_other() -> None:
    async with serving(Pausing) as made, client(made) as connection:
        wire: Any = made.wires[0]
        for number in range(3):
            await connection.send(str(number))
            assert await connection.recv() == f"echo {number}"
        assert wire.transport.times == 0
        for number in range(200):
            await connection.send(str(number))
        assert await _received(connection, 200) == [f"echo {number}" for number in range(200)]
        assert wire.transport.times > 0
        assert not wire.read_paused


async def test_a_peer_that_takes_nothing_holds_little_and_then_gets_the_newest(server: Server) -> None:
    async with client(server, receive_buffer=16_384) as connection, client(server) as healthy:
        outlet, follower = server.outlets[0], Follower()
        outlet.join(follower)
        written = 0
        while outlet.is_ready and written < 5_000:
            outlet.put(follower, [message(written)])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            written += 1
        assert written < 5_000
        assert outlet.blocked_at is not None
        server.outlets[1].put(follower, [message(7)])
        assert str(await healthy.recv()).startswith("00007:")
        if is_lent(server):
            assert written <= 64
            assert written * len(BOARD) <= 200 * 1024
        follower.woken.clear()
        stale = [int(str(await connection.recv())[:5]) for _ in range(written)]
        await asyncio.wait_for(follower.woken.wait(), 5)
        outlet.put(follower, [message(99_999)])
        assert str(await connection.recv())[:5] == "99999"
        assert stale == list(range(written))


async def test_the_way_out_is_lent_only_while_the_peer_takes_what_it_is_sent(server: Server) -> None:
    async with client(server, receive_buffer=16_384) as connection:
        outlet, follower, written = server.outlets[0], Follower(), 0
        outlet.join(follower)
        while (wire := follower.wire) is not None and written < 5_000:
            wire.line(b"%05d:" % written).send(BOARD)
            written += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert written < 5_000
        assert not outlet.is_ready
        assert [int(text[:5]) for text in await _received(connection, written)] == list(range(written))
        await asyncio.wait_for(follower.woken.wait(), 5)
        assert follower.wire is not None


async def test_a_peer_that_asks_and_takes_nothing_is_answered_once_it_takes() -> None:
    async with serving(WebSocketProtocol) as made:
        reader, writer = await _opened(made)
        wire: Any = made.wires[0]
        writer.transport.pause_reading()
        for number in range(60_000):
            writer.write(_frame(9, b"%06d" % number * 20))
            if number % 100 == 0:
                await writer.drain()
                await asyncio.sleep(0)
        assert wire.blocked_at is not None
        assert wire.transport.get_write_buffer_size() < 512 * 1024
        assert len(wire._pong) == 2 + 120, "the newest alone"
        writer.transport.resume_reading()
        await asyncio.wait_for(reader.readuntil(b"059999" * 20), 10)
        assert wire.blocked_at is None
        wire.pause_writing()  # as if it took nothing once more
        wire.resume_writing()
        wire.write([message(1)])
        assert b"059999" not in await asyncio.wait_for(reader.readuntil(b"00001:"), 10), "answered twice"
        writer.close()


async def test_fragments_of_nothing_are_not_held() -> None:
    async with serving(WebSocketProtocol) as made:
        reader, writer = await _opened(made)
        wire: Any = made.wires[0]
        writer.write(_frame(1, b"a", is_whole=False) + _frame(0, b"", is_whole=False) * 50_000)
        await writer.drain()
        writer.write(_frame(9, b"there?"))
        await asyncio.wait_for(reader.readuntil(b"there?"), 10)
        assert len(wire.frames) == 1
        writer.write(_frame(0, b""))
        await asyncio.wait_for(reader.readuntil(b"echo a"), 10)
        writer.close()


async def _opened(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A raw client, behind which the kernel holds little."""
    host, port = server.address.split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=raw, limit=2**24)
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    writer.write(f"GET / HTTP/1.1\r\nHost: x\r\n{upgrade}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def _frame(opcode: int, data: bytes, *, is_whole: bool = True) -> bytes:
    """A client's frame of at most 125 bytes, under a mask of zeros."""
    return bytes((opcode | is_whole << 7, 0x80 | len(data), 0, 0, 0, 0)) + data


async def test_the_kernel_holds_little_unsent() -> None:
    async with serving(WebSocketProtocol) as made, client(made):
        wire: Any = made.wires[0]
        connection = wire.transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 16 * 1024


async def test_several_boards_of_one_socket_leave_in_one_write() -> None:
    async with serving(Counting) as made, client(made) as connection:
        outlet, boards = made.outlets[0], [Follower() for _ in range(10)]
        for is_busy in (False, True):
            made.busy = is_busy
            before = Counting.writes
            for board in boards[:5]:
                outlet.put(board, [message(1)])
            if is_busy:  # others are being read: what they bring a little later goes along
                await asyncio.sleep(0)
            for board in boards[5:]:
                outlet.put(board, [message(2)])
            for _ in boards:
                await connection.recv()
            assert Counting.writes == before + 1


async def test_what_has_left_is_not_sent_even_when_it_was_gathered(server: Server) -> None:
    async with client(server) as connection:
        outlet, leaving, staying = server.outlets[0], Follower(), Follower()
        outlet.put(leaving, [message(1)])
        outlet.put(staying, [message(2)])
        outlet.leave(leaving)
        outlet.put_now((b"the end",))
        assert str(await connection.recv()).startswith("00002:")
        assert await connection.recv() == "the end"


async def test_after_a_close_of_either_side_nothing_is_written_and_nothing_raises(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with client(server) as connection:
        outlet = server.outlets[0]
        await connection.close(1000)
        await asyncio.wait_for(server.ended[0].wait(), 5)
        outlet.put(Follower(), [message(1)])
        outlet.put_now(message(2))
        if is_lent(server):
            with pytest.raises(Gone):
                await outlet.send(message(3))
    assert [record.getMessage() for record in caplog.records] == []


async def test_a_reset_in_a_storm_is_no_fault(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for number in range(3):
        async with client(server) as connection:
            outlet, follower = server.outlets[number], Follower()
            outlet.join(follower)  # else they are gathered, and asyncio complains of the sixth in a turn after a reset
            for step in range(50):
                outlet.put(follower, [message(step)])
                await asyncio.sleep(0)
                if step == 25:
                    raw = connection.transport.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.transport.abort()
            await asyncio.wait_for(server.ended[number].wait(), 5)
    assert [record.getMessage() for record in caplog.records] == []


async def test_who_waits_for_a_blocked_peer_is_told_when_it_has_gone(server: Server) -> None:
    async with client(server, receive_buffer=4_096) as connection:
        outlet = server.outlets[0]
        while outlet.is_ready:
            outlet.put_now(message(1))
            await asyncio.sleep(0)
        waiting = asyncio.create_task(outlet.ready())
        await asyncio.sleep(0)
        assert not waiting.done()
        connection.transport.abort()
        with pytest.raises(Gone):
            await asyncio.wait_for(waiting, 5)


async def test_a_blocked_peer_is_cut_and_gone_soon() -> None:
    async with serving(WebSocketProtocol) as made, client(made, receive_buffer=4_096) as connection:
        outlet, wire = made.outlets[0], made.wires[0]
        while outlet.is_ready:
            outlet.put_now(message(1))
        outlet.cut(1013, "too slow")
        await asyncio.wait_for(made.ended[0].wait(), 5)
        assert not wire.is_open
        with pytest.raises(ConnectionClosed):
            await _received(connection, 10_000)


async def test_a_peer_that_answers_no_ping_is_gone_though_it_takes_nothing() -> None:
    async with serving(WebSocketProtocol, ws_ping_interval=0.2, ws_ping_timeout=0.2) as made:
        host, port = made.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1_024)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        while made.outlets[0].is_ready:
            made.outlets[0].put_now(message(1))
        await asyncio.wait_for(made.ended[0].wait(), 5)
        assert not made.wires[0].is_open
        writer.close()


async def _closes_after_ours(wire: Any) -> None:
    """The server has said that it closes, and hears no answer."""
    wire.close_timeout = 0.1
    await wire.send({"type": "websocket.close", "code": 4400, "reason": "no"})


async def _is_stopped(wire: Any) -> None:
    wire.shutdown()


_BY_ITSELF: dict[str, Callable[[Any], Awaitable[None]]] = {
    "it said so before": _closes_after_ours,
    "it stops": _is_stopped,
}
_BY_ITS_PEER: dict[str, Callable[[asyncio.StreamWriter], None]] = {
    "a close frame": lambda writer: writer.write(_frame(8, b"\x03\xe8")),
    "a frame of no kind": lambda writer: writer.write(_frame(3, b"x")),
    "text that is none": lambda writer: writer.write(_frame(1, b"\xff")),
    "an end": asyncio.StreamWriter.write_eof,
}


async def _closed_with_something_waiting(wire: Any, writer: asyncio.StreamWriter) -> None:
    """By whom it may be: it is gone soon, though nothing was taken."""
    assert wire.transport.get_write_buffer_size()
    async with asyncio.timeout(5):
        while not wire.disconnected:  # noqa: ASYNC110 -- a connection tells nobody but its application
            await asyncio.sleep(0.05)
    assert wire.transport.get_extra_info("socket").fileno() == -1
    writer.transport.abort()


@pytest.mark.parametrize("way", _BY_ITS_PEER)
@pytest.mark.parametrize("waits", ["more than may", "little"])
async def test_a_peer_that_takes_nothing_and_closes_is_gone_soon(way: str, waits: str) -> None:
    async with serving(WebSocketProtocol) as made:
        _, writer = await _opened(made)
        wire: Any = made.wires[0]
        _fill(wire, writer)
        while waits == "more than may" and wire.is_ready:
            wire.write([message(1)])
        _BY_ITS_PEER[way](writer)
        await _closed_with_something_waiting(wire, writer)


@pytest.mark.parametrize("way", _BY_ITSELF)
async def test_a_peer_that_takes_nothing_is_gone_soon_after_the_server_closes(way: str) -> None:
    async with serving(WebSocketProtocol) as made:
        _, writer = await _opened(made)
        wire: Any = made.wires[0]
        _fill(wire, writer)
        await _BY_ITSELF[way](wire)
        await _closed_with_something_waiting(wire, writer)


def _fill(wire: Any, writer: asyncio.StreamWriter) -> None:
    """Until the kernel takes no more of what the client does not read."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    while not wire.transport.get_write_buffer_size():
        wire.write([message(1)])
    assert wire.is_ready


async def _blocked(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]:
    """A raw client that takes nothing any more, and its wire."""
    reader, writer = await _opened(server)
    wire: Any = server.wires[0]
    _fill(wire, writer)
    while wire.is_ready:
        wire.write([message(1)])
    return reader, writer, wire


async def test_who_is_parting_is_told_nothing_more_when_the_server_stops() -> None:
    async with serving(WebSocketProtocol) as made:
        _, writer = await _opened(made)
        wire: Any = made.wires[0]
        _fill(wire, writer)
        writer.write(_frame(8, b"\x03\xe8"))
        async with asyncio.timeout(5):
            while not wire.transport.is_closing():  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0)
        waiting = wire.transport.get_write_buffer_size()
        wire.shutdown()
        assert wire.transport.get_write_buffer_size() == waiting
        await _closed_with_something_waiting(wire, writer)


@pytest.mark.parametrize(
    "frames",
    [
        [(1, b"\xff")],
        [(1, b"\xff"), (8, b"\x03\xe8")],
        [(1, b"\xff"), (1, b"\xff"), (9, b"?"), (8, b"")],
        [(9, b"?"), (1, b"\xff"), (8, b"\x03\xe8")],
    ],
    ids=["alone", "and a close frame", "twice", "between a ping and a close frame"],
)
async def test_text_that_is_none_is_answered_by_1007_and_is_no_fault_of_ours(
    frames: list[tuple[int, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(WebSocketProtocol) as made:
        reader, writer = await _opened(made)
        writer.write(b"".join(_frame(opcode, data) for opcode, data in frames))
        reason = b"Text must be UTF-8"
        assert await asyncio.wait_for(reader.read(), 5) == bytes((0x88, 2 + len(reason))) + b"\x03\xef" + reason
        await asyncio.wait_for(made.ended[0].wait(), 5)
        writer.close()
    assert [record.getMessage() for record in caplog.records] == []


async def test_text_is_told_by_all_its_fragments() -> None:
    async with serving(WebSocketProtocol) as made:
        for end, answer in ((b"\xb6", "ö".encode()), (b"\xff", b"\x03\xef")):
            reader, writer = await _opened(made)
            writer.write(_frame(1, b"\xc3", is_whole=False) + _frame(9, b"between") + _frame(0, end))
            await asyncio.wait_for(reader.readuntil(answer), 5)
            writer.close()


async def test_a_ping_and_a_close_frame_are_both_answered_though_little_is_taken() -> None:
    async with serving(WebSocketProtocol) as made:
        reader, writer, wire = await _blocked(made)
        writer.write(_frame(9, b"there?") + _frame(8, b"\x03\xe8"))
        async with asyncio.timeout(5):
            while wire.conn.close_rcvd is None:  # noqa: ASYNC110 -- it is told to nobody
                await asyncio.sleep(0)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        received = await asyncio.wait_for(reader.read(), 5)
        assert received.endswith(b"\x8a\x06there?\x88\x02\x03\xe8")
        writer.close()


async def test_a_pong_that_is_owed_is_not_sent_after_a_close_frame() -> None:
    async with serving(WebSocketProtocol) as made:
        reader, writer, wire = await _blocked(made)
        writer.write(_frame(9, b"there?"))
        async with asyncio.timeout(5):
            while not wire._pong:  # noqa: ASYNC110 -- it is told to nobody
                await asyncio.sleep(0)
        wire.cut(1012, "again")
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(reader.readuntil(b"\x88\x07\x03\xf4again"), 5)
        assert wire.blocked_at is None
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
