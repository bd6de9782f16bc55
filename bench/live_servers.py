"""Servers for `bench.live`, one a process: ours, ours by plain ASGI, the least that Python can do, strawberry alone.

Each prints its port. What is not ours is told by a message `send N` on any of its sockets to send N events.
"""

import asyncio
import sys
from typing import Any, ClassVar

import orjson
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from bench import live_plain
from bench.live_listening import listening
from runtime.api import _config, _Server, open_api
from runtime.memory import settled_memory
from runtime.process import _runner
from runtime.settings import Settings, load_settings


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
        if text.startswith(b"send "):
            for _ in range(int(text[5:])):
                self.send_all()
        elif text.startswith(b"event "):
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


async def floor() -> None:
    server = await asyncio.get_running_loop().create_server(Floor, sock=listening(), backlog=4_096)
    await server.serve_forever()


if __name__ == "__main__":
    kinds = {
        "ours": lambda: ours(load_settings()),
        "asgi": lambda: ours(load_settings(), "websockets-sansio"),
        "floor": floor,
        "plain": live_plain.serve,
    }
    _runner()(kinds[sys.argv[1]]())
