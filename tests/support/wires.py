"""A small application that writes to a websocket as sockets of the API do, on uvicorn with either protocol."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect

from live.batches import Line
from runtime.arrivals import HttpProtocol
from runtime.websockets import WebSocketProtocol
from schema.transport.channel import Channel, Disconnected
from schema.transport.outlet import Outlet, Post
from schema.transport.sockets import wire_of
from schema.transport.wires import Form, Message, Wire, texts


class Counting(WebSocketProtocol):
    """Counts writes."""

    writes = 0

    def write(self, messages: Sequence[Message]) -> None:
        Counting.writes += 1
        super().write(messages)

    def line(self, head: bytes) -> Line:
        deliver, peer = super().line(head)

        def counted(peers: Sequence[Sequence[Any]], shared: bytes) -> None:
            Counting.writes += len(peers[0])
            deliver(peers, shared)

        return Line(counted, peer)


@dataclass
class Server:
    """What the application has at hand: the wires of its sockets, in the order in which they were opened."""

    address: str = ""
    busy: bool = False
    form: Form[str] = field(default_factory=texts)
    wires: list[Wire] = field(default_factory=list)
    outlets: list[Outlet] = field(default_factory=list)
    ended: list[asyncio.Event] = field(default_factory=list)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        channel = Channel(scope, receive, send)
        await channel.accept()
        wire, ended = wire_of(channel, self.form), asyncio.Event()
        self.wires.append(wire)
        self.outlets.append(Outlet(wire, Post(lambda: self.busy)))
        self.ended.append(ended)
        self.opened.set()
        try:
            while True:
                await self.outlets[-1].send((b"echo ", str((await channel.receive())["text"]).encode()))
        except Disconnected:
            pass
        finally:
            ended.set()


@asynccontextmanager
async def running(app: ASGIApp, protocol: Any, **options: Any) -> AsyncIterator[int]:
    """An application on a port of its own."""
    settings: dict[str, Any] = {"http": HttpProtocol, "ws": protocol, "ws_per_message_deflate": False}
    settings |= {"lifespan": "off", "log_config": None}
    server = uvicorn.Server(uvicorn.Config(app, **{**settings, **options}))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server._serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 -- the server tells it by this flag only
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            server.force_exit = True
            await task


@asynccontextmanager
async def serving(protocol: Any, **options: Any) -> AsyncIterator[Server]:
    """The small application on a port of its own."""
    made = Server()
    async with running(made, protocol, **options) as port:
        made.address = f"127.0.0.1:{port}"
        yield made


@asynccontextmanager
async def client(server: Server, *, receive_buffer: int | None = None) -> AsyncIterator[ClientConnection]:
    """A client that takes what it asks for, and not much more when its buffer is small."""
    host, port = server.address.split(":")
    raw = socket.socket()
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    server.opened.clear()
    options: dict[str, Any] = {"max_queue": 1} if receive_buffer is not None else {}
    async with connect(f"ws://{server.address}/", sock=raw, max_size=None, ping_interval=None, **options) as connection:
        await server.opened.wait()
        yield connection
