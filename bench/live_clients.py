"""Many websocket clients in one process that do no more than count what they are sent, and when."""

import asyncio
import base64
import os
import re
import socket
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import orjson

_SHOWN = re.compile(rb'"__typename":"Leaderboard(?:Snapshot|Delta)"[^{]*?"version":(\d+)')


class Client(asyncio.Protocol):
    """One. Frames of a server are not masked, and it sends whole ones."""

    def __init__(self, crowd: "Crowd") -> None:
        self.crowd = crowd
        self.buffer = b""
        self.is_open = False
        self.id = str(uuid4())
        self.first = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {self.crowd.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.crowd.port}\r\nUpgrade: websocket\r\n"
        head += f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        transport.write(f"{head}Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self.buffer = buffer = self.buffer + data if self.buffer else data
        if not self.is_open:
            head, found, self.buffer = buffer.partition(b"\r\n\r\n")
            if found:
                assert head.startswith(b"HTTP/1.1 101"), head
                self.is_open = True
                self.send(orjson.dumps({"type": "connection_init", "payload": self.crowd.payload()}))
            return
        self.buffer = self._frames(buffer)

    def _frames(self, buffer: bytes) -> bytes:
        at, size = 0, len(buffer)
        while size - at >= 4:
            length, start = buffer[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(buffer[start : start + 2]), start + 2
            elif length == 127:
                length, start = int.from_bytes(buffer[start : start + 8]), start + 8
            if size < start + length:
                break
            if buffer[at] == 0x81:
                self.crowd.got(self, buffer, start, start + length)
            at = start + length
        return buffer[at:]

    def send(self, text: bytes) -> None:
        mask = b"\0\0\0\0"  # allowed, and free
        size = len(text)
        header = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2)
        if size > 65_535:
            header = b"\x81\xff" + size.to_bytes(8)
        self.transport.write(header + mask + text)


class Crowd:
    """All clients of one server."""

    def __init__(self, port: int, path: str, subscribe: dict[str, Any], tokens: Sequence[str] = ()) -> None:
        self.port = port
        self.path = path
        self.sample = b""
        self.times: list[float] = []
        self.wrong = 0
        self.clients: list[Client] = []
        self._subscribe = subscribe
        self._tokens = list(tokens)
        self._begun = 0
        self._wanted = 0
        self._there = asyncio.Event()

    def payload(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._tokens.pop()}"} if self._tokens else {}

    async def join(self, count: int, at_once: int = 50) -> None:
        """Connect and subscribe so many; each has its first event when this returns."""
        for begin in range(0, count, at_once):
            number = min(at_once, count - begin)
            self._want(number)
            self.clients += await asyncio.gather(*(self._connected() for _ in range(number)))
            await asyncio.wait_for(self._there.wait(), 120)

    async def _connected(self) -> Client:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: Client(self), "127.0.0.1", self.port)
        return client

    async def events(self, count: int) -> list[float]:
        """Until every client has had so many more; the moments at which they came."""
        self._want(count * len(self.clients))
        await asyncio.wait_for(self._there.wait(), 300)
        return self.times

    def got(self, client: Client, buffer: bytes, start: int, end: int) -> None:
        """A message has come."""
        if buffer.startswith(b'{"type":"connection_ack"', start):
            client.send(orjson.dumps({"id": client.id, "type": "subscribe", "payload": self._subscribe}))
            return
        if not client.first:
            client.first = buffer[start:end][:200]
        elif len(self.times) % 97 == 0:
            self.sample = buffer[start:end]
            self.wrong += orjson.loads(self.sample)["id"] != client.id
        self.times.append(time.perf_counter())
        self._wanted -= 1
        if self._wanted == 0:
            self._there.set()

    def leave(self) -> None:
        for client in self.clients:
            client.transport.abort()
        self.clients.clear()

    def _want(self, count: int) -> None:
        self.times = []
        self._wanted = count
        self._there.clear()


class Unwilling(Crowd):
    """Clients with little room, who take nothing from some moment on."""

    async def _connected(self) -> Client:
        loop, raw = asyncio.get_running_loop(), socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", self.port))
        _, client = await loop.create_connection(lambda: Client(self), sock=raw)
        return client

    def stop(self) -> None:
        for client in self.clients:
            client.transport.pause_reading()


class Screen(Crowd):
    """One client, which comes back when it is refused, and the version that it shows."""

    version = 0
    at = 0.0

    def got(self, client: Client, buffer: bytes, start: int, end: int) -> None:
        if buffer.find(b'"type":"error"', start, end) >= 0:
            client.send(orjson.dumps({"id": client.id, "type": "subscribe", "payload": self._subscribe}))
            return
        super().got(client, buffer, start, end)
        if (found := _SHOWN.search(buffer, start, end)) is not None:
            self.version, self.at = int(found[1]), time.perf_counter()
