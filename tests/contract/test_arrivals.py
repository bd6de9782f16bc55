"""Requests that drip in, and heads without measure: their connections end. It is also what is relied on of uvicorn."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import connect

from runtime.api import _config, open_api
from runtime.arrivals import HttpProtocol
from runtime.settings import Settings
from runtime.websockets import WebSocketProtocol
from tests.support.wires import running

HEAD = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
WHOLE = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n[1]"


class Quick(HttpProtocol):
    head_seconds = 0.5
    body_seconds = 0.8


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads no body, as most addresses do."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": "here"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with running(answer, WebSocketProtocol, http=Quick, timeout_keep_alive=3) as port:
        yield port


async def _until_cut(port: int, first: bytes, drip: bytes) -> bytes:
    """Send this, then a drip again and again for as long as the server lets it; what it answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError):
        writer.write(first)
        ending = asyncio.ensure_future(_end_of(reader))
        while not ending.done():
            writer.write(drip)
            await asyncio.wait([ending], timeout=0.05)
    writer.close()
    return await ending


async def _end_of(reader: asyncio.StreamReader) -> bytes:
    received = b""
    with suppress(ConnectionError):
        while more := await reader.read(1000):
            received += more
    return received


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"", b""),
        (b"P", b""),
        (b"GET /", b"x"),
        (b"GET / HTTP/1.1\r\nX-Slow: ", b"x"),
        (b"GET / HTTP/1.1\r\n", b"x: y\r\n"),
        (HEAD, b" "),
        (WHOLE + b"GET / HTTP/1.1\r\nX-Slow: ", b"x"),
        (WHOLE + HEAD, b" "),
    ],
    ids=["silence", "one letter", "address", "header", "headers", "body", "second head", "second body"],
)
async def test_what_drips_in_is_cut(first: bytes, drip: bytes, port: int) -> None:
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(_until_cut(port, first, drip) for _ in range(20)))
    assert all(b" 400 " not in answer for answer in answers), "it was no request"


async def test_a_head_without_measure_is_cut_long_before_it_is_whole(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    with suppress(ConnectionError):
        writer.write(b"GET / HTTP/1.1\r\nX-Large: ")
        while not reader.at_eof() and sent < 64 * 2**20:
            writer.write(b"x" * 65_536)
            sent += 65_536
            await writer.drain()
            await asyncio.sleep(0)
    writer.transport.abort()
    assert sent < 16 * 2**20


async def test_who_asks_again_and_again_or_in_pieces_is_answered(port: int) -> None:
    """For longer than any one request may take."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(12):
        for part in _pieces(WHOLE, 3 if number % 2 else len(WHOLE)):
            writer.write(part)
            await asyncio.sleep(0.002)
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\nok"), 10)
        await asyncio.sleep(0.1)
    writer.close()


def _pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[begin : begin + size] for begin in range(0, len(data), size))


async def test_a_socket_stays_open_when_its_handshake_came_in_time(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/") as client:
        await asyncio.sleep(1.2)
        await client.send("there?")
        assert await asyncio.wait_for(client.recv(), 10) == "here"


async def test_the_api_is_served_by_it(database_url: str, valkey_url: str, tmp_path: Path) -> None:
    given = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "data": tmp_path, "assets": tmp_path / "assets"}
    settings = Settings(**given)
    async with open_api(settings) as app:
        config = _config(app, settings)
        config.load()
        assert issubclass(config.http_protocol_class, HttpProtocol)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", "X-Long: " + "x" * 9_000 + "\r\n", b" 431 "),
        ("/", "".join(f"X-{number}: x\r\n" for number in range(200)), b" 431 "),
        ("/" + "x" * 9_000, "", b" 414 "),
        ("/", "Content-Length: 3\r\n\r\nabc", b" 400 "),
        ("/", "Host: y\r\n", b" 400 "),
    ],
    ids=["a header", "headers", "address", "a body", "two hosts"],
)
async def test_a_websocket_whose_head_is_not_taken_is_not_left_open(
    path: str, headers: str, status: bytes, port: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{UPGRADE}{headers}\r\n".encode())
    assert status in await asyncio.wait_for(_end_of(reader), 10)
    writer.close()


@pytest.mark.parametrize("head", [f"GET / HTTP/1.0\r\nHost: x\r\n{UPGRADE}", f"GET / HTTP/1.1\r\n{UPGRADE}"])
async def test_a_websocket_takes_http_1_1_and_a_host(head: str, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}\r\n".encode())
    assert b" 400 " in await asyncio.wait_for(_end_of(reader), 10)
    writer.close()


async def test_a_websocket_is_not_opened_before_what_was_asked_is_answered() -> None:
    """Else the answer would be written among its frames, and go on for ever when it is a stream."""
    left = asyncio.Event()
    async with running(_stream(left), WebSocketProtocol, http=HttpProtocol) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WHOLE)
        await asyncio.wait_for(reader.readuntil(b"first"), 10)
        writer.write(f"GET / HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n".encode())
        assert b" 101 " not in await asyncio.wait_for(_end_of(reader), 10)
        await asyncio.wait_for(left.wait(), 10)
        writer.close()


async def test_what_is_being_answered_hears_that_its_client_is_gone_though_more_was_asked() -> None:
    left = asyncio.Event()
    async with running(_stream(left), WebSocketProtocol, http=HttpProtocol) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WHOLE * 3)
        await asyncio.wait_for(reader.readuntil(b"first"), 10)
        writer.close()
        await asyncio.wait_for(left.wait(), 10)


def _stream(left: asyncio.Event) -> ASGIApp:
    """An answer that goes on until its client has left."""

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    return stream
