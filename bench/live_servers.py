"""Servers for `bench.live`, one a process: ours, ours by plain ASGI, the least Python can do by each, strawberry alone.

Each prints its port. For all an event is a message of Valkey: to those that know no boards, that they are to send.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import orjson
import uvicorn
from redis.asyncio import Redis
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from bench import live_plain
from bench.live_listening import events_of, listening
from runtime.api import _config, _Server, open_api
from runtime.memory import settled_memory
from runtime.process import _runner
from runtime.settings import Settings, load_settings
from schema.transport.seated import head as head_of


async def ours(settings: Settings, protocol: str | None = None) -> None:
    """The API as it is shipped, or on uvicorn's own protocol, as any other ASGI server would run it."""
    async with open_api(settings) as app, settled_memory():
        config = _config(app, settings)
        if protocol is not None:
            config.ws = protocol
        await _Server(config).serve(sockets=[listening()])


class Floor(asyncio.Protocol):
    """A websocket that writes an event it was given, with a head of its own: no GraphQL, no hub, no backpressure."""

    open: ClassVar["set[Floor]"] = set()
    event: ClassVar[bytes] = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.protocol = ServerProtocol()
        self.head = b""

    def connection_lost(self, _: Exception | None) -> None:
        self.open.discard(self)

    def data_received(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.protocol.send_response(self.protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.message(bytes(event.data))
        self.transport.write(b"".join(self.protocol.data_to_send()))

    def message(self, text: bytes) -> None:
        if text.startswith(b"event "):
            Floor.event = text[6:] + b"}"
        elif b'"subscribe"' in text:
            self.head = b'{"id":' + orjson.dumps(orjson.loads(text)["id"]) + b',"type":"next","payload":'
            self.open.add(self)
            self.protocol.send_text(self.head + b"{}}")
        elif b'"connection_init"' in text:
            self.protocol.send_text(b'{"type":"connection_ack"}')

    @classmethod
    def send_all(cls) -> None:
        event = cls.event
        for one in cls.open:
            length = len(one.head) + len(event)
            one.transport.write(b"\x81\x7e" + length.to_bytes(2) + one.head + event)


async def floor(settings: Settings) -> None:
    async with hearing("floor", settings) as events:
        await asyncio.get_running_loop().create_server(Floor, sock=listening(), backlog=4_096)
        async for _ in events:  # until it is killed
            Floor.send_all()


class Bare:
    """An application that sends ready text by ASGI, and knows no GraphQL either."""

    def __init__(self) -> None:
        self.open: dict[Any, str] = {}
        self.event = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        while (message := await receive())["type"] == "websocket.receive":
            for answer in self.answers(message["text"], send):
                await send({"type": "websocket.send", "text": answer})
        self.open.pop(send, None)

    def send_all(self) -> None:
        for one, head in self.open.items():
            # As `AsgiWire` sends; nobody here takes so little that it waits.
            next(one({"type": "websocket.send", "text": head + self.event}).__await__(), None)

    def answers(self, text: str, send: Any) -> Iterator[str]:
        if text.startswith("event "):
            self.event = text[6:] + "}"
        elif '"subscribe"' in text:
            self.open[send] = head_of(orjson.loads(text)["id"]).decode()
            yield self.open[send] + "{}}"
        elif '"connection_init"' in text:
            yield '{"type":"connection_ack"}'


async def bare(settings: Settings) -> None:
    """The same server as the API's, with nothing of ours in it."""
    app = Bare()
    options: dict[str, Any] = {"ws": "websockets-sansio", "ws_per_message_deflate": False, "ws_ping_interval": None}
    config = uvicorn.Config(app, lifespan="off", log_config=None, **options)
    async with hearing("bare", settings) as events, asyncio.TaskGroup() as group:
        group.create_task(uvicorn.Server(config).serve(sockets=[listening()]))
        async for _ in events:
            app.send_all()


@asynccontextmanager
async def hearing(kind: str, settings: Settings) -> AsyncIterator[AsyncIterator[None]]:
    """When it is to send."""
    async with Redis.from_url(settings.required_redis_url()) as valkey, valkey.pubsub() as pubsub:
        await pubsub.subscribe(events_of(kind))
        yield (None async for message in pubsub.listen() if message["type"] == "message")


if __name__ == "__main__":
    kinds = {
        "ours": lambda: ours(load_settings()),
        "asgi": lambda: ours(load_settings(), "websockets-sansio"),
        "floor": lambda: floor(load_settings()),
        "bare": lambda: bare(load_settings()),
        "plain": live_plain.serve,
    }
    _runner()(kinds[sys.argv[1]]())
