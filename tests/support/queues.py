"""The queues of both brokers, as tests look at them and break them."""

import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import nats
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from redis.asyncio import Redis

from runtime.embedded.identity import Identity
from runtime.embedded.process import start_server, wait_until
from runtime.ports import free_port
from tests.support.servers import temporary_data

STREAM = "palpite:jobs"


class Queue(Protocol):
    """Where jobs wait; `url` chooses the broker."""

    url: str

    async def length(self) -> int:
        """How many jobs are in it, delivered or not, until they are acknowledged."""
        ...

    async def put(self, content: bytes) -> None:
        """Put in anything at all."""
        ...

    async def lose(self) -> None:
        """Have the server forget the queue."""
        ...


class ValkeyQueue:
    """The stream of Valkey."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def length(self) -> int:
        async with Redis.from_url(self.url) as client:
            return int(await client.xlen(STREAM))

    async def put(self, content: bytes) -> None:
        async with Redis.from_url(self.url) as client:
            await client.xadd(STREAM, {"data": content})

    async def lose(self) -> None:
        async with Redis.from_url(self.url) as client:
            await client.flushall()


class NatsQueue:
    """The stream of NATS."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def length(self) -> int:
        async with self._stream() as stream:
            try:
                return (await stream.stream_info("palpite")).state.messages
            except NotFoundError:
                return 0

    async def put(self, content: bytes) -> None:
        async with self._stream() as stream:
            await stream.publish("palpite.jobs", content)

    async def lose(self) -> None:
        async with self._stream() as stream:
            try:
                await stream.delete_stream("palpite")
            except NotFoundError:
                return

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[JetStreamContext]:
        client = await nats.connect(self.url)
        try:
            yield client.jetstream()
        finally:
            await client.close()


class NatsServer:
    """A server whose streams are kept below `folder`; it can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port("127.0.0.1")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> str:
        """Start it and wait until it answers; the answer is its address."""
        program = shutil.which("nats-server", path=str(Path(sys.executable).parent))
        assert program is not None
        log = self._folder / "nats.log"
        log.unlink(missing_ok=True)
        command = [program, "-a", "127.0.0.1", "-p", str(self._port), "-js", "-sd", self._folder / "streams"]
        self._process = start_server(
            command, identity=Identity(), cwd=self._folder, log=log, death_signal=signal.SIGKILL
        )
        assert wait_until(lambda: b"Server is ready" in log.read_bytes(), 30)
        return self.url

    def stop(self) -> None:
        """Kill it; what is in its folder stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_nats() -> Iterator[str]:
    """A server for a block; the answer is its address."""
    with temporary_data() as folder:
        server = NatsServer(folder)
        try:
            yield server.start()
        finally:
            server.stop()
