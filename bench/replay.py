"""The very bytes that a call sends to a server, sent again by a plain socket: what they cost it, without the client."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_CHUNK = 1 << 16
_QUIET_SECONDS = 0.1


class Recorder:
    """Stands before a server on a unix socket and keeps what is asked of it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._asked = b""
        self._turns = 0
        self._is_asking = False

    async def requests_of(self, call: Callable[[], Awaitable[object]]) -> tuple[bytes, int]:
        """What a call sends, and in how many round trips. What it needs once only is sent before."""
        await call()
        self._asked, self._turns, self._is_asking = b"", 0, False
        await call()
        return self._asked, self._turns

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._target)
        await asyncio.gather(
            self._forward(reader, to_server, asks=True), self._forward(from_server, writer, asks=False)
        )

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asks: bool) -> None:
        while data := await reader.read(_CHUNK):
            if asks:
                self._asked += data
                self._turns += not self._is_asking
            self._is_asking = asks
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def recorder(target: str) -> AsyncIterator[tuple[Recorder, str]]:
    """One before the server on a unix socket, and its own socket."""
    with TemporaryDirectory() as folder:
        place, path = Recorder(target), str(Path(folder) / "s")
        server = await asyncio.start_unix_server(place.handle, path)
        try:
            yield place, path
        finally:
            server.close()


class Line:
    """A connection of a blocking client that knows how long the answers are."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._lengths: dict[bytes, int] = {}

    def learn(self, request: bytes) -> None:
        """Ask once, and see how long the answer is."""
        self._socket.sendall(request)
        time.sleep(_QUIET_SECONDS)
        self._lengths[request] = len(self._socket.recv(_CHUNK))

    def ask(self, request: bytes) -> None:
        self._socket.sendall(request)
        left = self._lengths[request]
        while left > 0:
            left -= len(self._socket.recv(_CHUNK))

    def close(self) -> None:
        self._socket.close()
