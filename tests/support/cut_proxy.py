"""A proxy between a process and its server that cuts connections where a test wants it: TCP or unix socket targets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from runtime.database_url import parse_database_url

_CHUNK = 65536


class CutProxy:
    """Forwards bytes, and after so many drops every connection at once, without a farewell."""

    def __init__(self, target: "str | tuple[str, int]") -> None:
        """`target` is the path of a unix socket, or host and port."""
        self._target = target
        self._left: int | None = None
        self._is_silent = False
        self._silent: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0
        """How often connections were dropped."""
        self.passed = 0
        """Bytes, in both directions together."""

    def cut_after(self, count: int | None) -> None:
        """Drop all connections once `count` more bytes have passed, in both directions together; None: never."""
        self._left = count

    def cut_now(self) -> None:
        """Drop all connections."""
        self._left = None
        self.cuts += 1
        for writer in self._open:
            writer.transport.abort()

    def hush(self) -> None:
        """Keep all connections, and pass nothing more on: the peer seems to be silent."""
        self._is_silent = True
        self._silent |= self._open

    def speak(self) -> None:
        """Serve those who come from now on; of those who are there no one hears anything any more."""
        self._is_silent = False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, server_writer}
        self._open |= pair
        if self._is_silent:
            self._silent |= pair
        try:
            await asyncio.gather(self._forward(reader, server_writer), self._forward(server_reader, writer))
        finally:
            self._open -= pair
            self._silent -= pair
            for one in pair:
                one.transport.abort()
            self._tasks.discard(task)

    async def close(self) -> None:
        self.cut_now()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self) -> "tuple[asyncio.StreamReader, asyncio.StreamWriter]":
        if isinstance(self._target, str):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if writer in self._silent:
                    continue
                if self._left is not None and len(data) >= self._left:
                    # What comes before the cut arrives: a server may have committed what nobody is told of.
                    writer.write(data[: self._left])
                    with suppress(OSError):
                        await writer.drain()
                    self.cut_now()
                    return
                if self._left is not None:
                    self._left -= len(data)
                self.passed += len(data)
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()


@asynccontextmanager
async def postgres_through_proxy(url: str, folder: Path) -> AsyncIterator[tuple[CutProxy, str]]:
    """A proxy before the PostgreSQL of an address, on a unix socket in `folder` (a short path), and its address."""
    address = parse_database_url(url)
    arguments = address.raw_arguments()
    host, port = arguments.get("host"), int(arguments.get("port") or 5432)
    is_unix = str(host).startswith("/")
    proxy = CutProxy(f"{host}/.s.PGSQL.{port}" if is_unix else (str(host), port))
    user, database = arguments["user"], arguments["database"]
    async with _listening(proxy, folder / ".s.PGSQL.5432"):
        yield proxy, f"postgresql://{user}@/{database}?host={quote(str(folder), safe='/')}"


@asynccontextmanager
async def valkey_through_proxy(url: str, folder: Path) -> AsyncIterator[tuple[CutProxy, str]]:
    """The same before the Valkey of an address of the form unix://PATH?db=0."""
    target, _, options = url.removeprefix("unix://").partition("?")
    proxy = CutProxy(unquote(target))
    async with _listening(proxy, folder / "valkey.sock"):
        yield proxy, f"unix://{quote(str(folder), safe='/')}/valkey.sock?{options}"


@asynccontextmanager
async def http_through_proxy(endpoint: str) -> AsyncIterator[tuple[CutProxy, str]]:
    """The same before a server of the form http://HOST:PORT, by TCP."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    proxy = CutProxy((host, int(port)))
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    async with _serving(proxy, server):
        yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def _listening(proxy: CutProxy, socket: Path) -> AsyncIterator[None]:
    async with _serving(proxy, await asyncio.start_unix_server(proxy.handle, str(socket))):
        yield


@asynccontextmanager
async def _serving(proxy: CutProxy, server: asyncio.Server) -> AsyncIterator[None]:
    try:
        yield
    finally:
        server.close()
        await proxy.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await server.wait_closed()
