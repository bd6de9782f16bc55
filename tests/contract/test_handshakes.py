"""Plain requests for websockets are taken as they were read, others are parsed again: the answers are the same."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from starlette.types import Receive, Scope, Send

from runtime.websockets import WebSocketProtocol
from schema.transport.wires import EXTENSION
from tests.support.wires import running

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
VERSION = "Sec-WebSocket-Version: 13\r\n"
HEAD = UPGRADE + KEY + VERSION
PLAIN = {
    "least": ("GET / HTTP/1.1", HEAD),
    "a browser": (
        "GET /graphql?a=%20b&c HTTP/1.1",
        HEAD.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade")
        + "Origin: http://x\r\nCookie: a=b; c=d\r\nUser-Agent: \xe4\r\n"
        + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        + "Sec-WebSocket-Protocol: graphql-transport-ws, chat\r\n",
    ),
    "escapes": ("GET /a%20b%C3%A4?%20 HTTP/1.1", HEAD),
    "refused": ("GET /refused HTTP/1.1", HEAD),
    "answered": ("GET /answered HTTP/1.1", HEAD),
    "broken": ("GET /broken HTTP/1.1", HEAD),
}
UNUSUAL = {
    "no key": ("GET / HTTP/1.1", UPGRADE + VERSION),
    "two keys": ("GET / HTTP/1.1", HEAD + KEY),
    "short key": ("GET / HTTP/1.1", UPGRADE + VERSION + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n"),
    "odd key": ("GET / HTTP/1.1", UPGRADE + VERSION + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ*==\r\n"),
    "no version": ("GET / HTTP/1.1", UPGRADE + KEY),
    "another version": ("GET / HTTP/1.1", UPGRADE + KEY + "Sec-WebSocket-Version: 8\r\n"),
    "another method": ("PUT / HTTP/1.1", HEAD),
    "no protocol": ("GET / HTTP/1.1", HEAD + "Sec-WebSocket-Protocol: a b\r\n"),
    "protocols in two headers": ("GET / HTTP/1.1", HEAD + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n"),
    "two origins": ("GET / HTTP/1.1", HEAD + "Origin: http://x\r\nOrigin: http://y\r\n"),
    "a body of nothing": ("GET / HTTP/1.1", HEAD + "Content-Length: 0\r\n"),
    "a whole address": ("GET http://x/graphql HTTP/1.1", HEAD),
}
OF_ITS_OWN = {"client", "server", "extensions"}


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells what it was told of the request; its first header, whether a plain one was taken as it was."""
    await receive()
    match scope["path"]:
        case "/refused":
            await send({"type": "websocket.close"})
        case "/answered":
            await send({"type": "websocket.http.response.start", "status": 404, "headers": [(b"x-a", b"b")]})
            await send({"type": "websocket.http.response.body", "body": b"nothing here"})
        case "/broken":
            raise ValueError("on purpose")
        case _:
            is_plain = not hasattr(scope["extensions"].get(EXTENSION), "request")
            headers = [(b"x-plain", b"%d" % is_plain), (b"x-a", b"b")]
            await send({"type": "websocket.accept", "subprotocol": "chat", "headers": headers})
            told = {name: value for name, value in sorted(scope.items()) if name not in OF_ITS_OWN}
            await send({"type": "websocket.send", "text": repr(told)})
            await send({"type": "websocket.close", "code": 4000})


@pytest.fixture
async def ports() -> AsyncIterator[list[int]]:
    """Of ours, and of uvicorn's own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(running(answer, protocol))
            for protocol in (WebSocketProtocol, "websockets-sansio")
        ]


async def _answer(port: int, line: str, headers: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{line}\r\n{headers}\r\n".encode("latin-1"))
    async with asyncio.timeout(10):
        received = await reader.readuntil(b"\r\n\r\n")
        is_open = b" 101 " in received
        received += await (reader.readuntil(b"\x88\x02\x0f\xa0") if is_open else reader.read())
    writer.close()
    return re.sub(rb"(?i)date: [^\r]+", b"date", received)


@pytest.mark.parametrize(("line", "headers"), [*PLAIN.values(), *UNUSUAL.values()], ids=[*PLAIN, *UNUSUAL])
async def test_it_is_answered_as_by_uvicorn_itself(line: str, headers: str, ports: list[int]) -> None:
    ours, other = [await _answer(port, line, headers) for port in ports]
    is_plain = (line, headers) in PLAIN.values()
    assert ours == other.replace(b"x-plain: 1", b"x-plain: %d" % is_plain)
