"""A whole installation on servers of its own: API processes behind proxies that cut, a worker, a scheduler."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
from sqlalchemy import select

from domain.ids import MemberId
from domain.member.tables import members
from runtime.database import PostgresDatabase
from runtime.embedded.valkey import EmbeddedValkey
from runtime.ports import free_port
from tests.support.api import PASSWORD
from tests.support.cut_proxy import CutProxy
from tests.support.executions import until
from tests.support.forked import Child, nursery
from tests.support.graphql_client import GraphQLClient
from tests.support.palpite import REPOSITORY, command, environment
from tests.support.servers import TestPostgres, temporary_data

HOST = "127.0.0.1"
START_SECONDS = 120
Start = Callable[[str, Mapping[str, str], IO[bytes]], Awaitable[Child]]
"""By its command, with settings, on a log."""


async def is_listening(port: int) -> bool:
    """Whether a server of this machine takes connections."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        return True
    return False


async def started(palpite: str, settings: Mapping[str, str], log: IO[bytes]) -> Child:
    """A process as it is started on a machine, for tests of its memory: one that is forked shares it with others."""
    process = await asyncio.create_subprocess_exec(
        *command(palpite),
        cwd=REPOSITORY,
        env=environment(settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    return Child(process.pid, asyncio.create_task(process.wait()))


async def forked(palpite: str, settings: Mapping[str, str], log: IO[bytes]) -> Child:
    """The same at a tenth of the cost."""
    return await nursery().fork(palpite, settings=settings, output=log)


class Process:
    """One process of Palpite; `palpite` names its command."""

    def __init__(self, palpite: str, settings: dict[str, str], log: Path, start: Start = forked) -> None:
        self._palpite = palpite
        self._settings = settings
        self._start = start
        self.log = log
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = await self._start(self._palpite, self._settings, log)

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        await self.end(signal.SIGKILL)

    async def end(self, number: int = signal.SIGTERM) -> None:
        if self._child is not None:
            self._child.send(number)
            await asyncio.shield(self._child.ended)

    def has_ended(self) -> bool:
        return self._child is None or self._child.ended.done()


class Api(Process):
    """An API process and the proxy through which its clients come."""

    def __init__(self, port: int, settings: dict[str, str], log: Path, start: Start = forked) -> None:
        super().__init__("serve", {**settings, "PALPITE_PORT": str(port)}, log, start)
        self.proxy = CutProxy((HOST, port))
        self.port = port
        self.outside = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Start it with its proxy, and wait until it answers."""
        self._server = await asyncio.start_server(self.proxy.handle, HOST, 0)
        self.outside = self._server.sockets[0].getsockname()[1]
        await self.start()
        await until(self.is_listening, within=START_SECONDS)

    async def is_listening(self) -> bool:
        if await is_listening(self.port):
            return True
        assert not self.has_ended(), self.log.read_text()[-2000:]
        return False

    async def close(self) -> None:
        await self.end()
        if self._server is not None:
            self._server.close()
        await self.proxy.close()


class Stage:
    """Everything that runs."""

    def __init__(
        self, postgres: TestPostgres, url: str, valkey: EmbeddedValkey, data: Path, apis: int, start: Start
    ) -> None:
        self.postgres = postgres
        self.url = url
        self.valkey = valkey
        settings = {
            "DATABASE_URL": url,
            "REDIS_URL": valkey.url,
            "PALPITE_DATA": str(data),
            "PALPITE_LOG_FORMAT": "json",
            "PALPITE_START_WAIT_SECONDS": "60",
            "PALPITE_STREAM_HEARTBEAT_SECONDS": "2",
        }
        self.apis = [Api(free_port(HOST), settings, data / f"api-{number}.log", start) for number in range(apis)]
        self.others = [Process(name, settings, data / f"{name}.log", start) for name in ("worker", "scheduler")]

    async def open(self) -> None:
        await asyncio.gather(*(process.start() for process in self.others), *(api.open() for api in self.apis))

    async def close(self) -> None:
        await asyncio.gather(*(process.end(signal.SIGKILL) for process in self.others))
        await asyncio.gather(*(api.close() for api in self.apis))
        for process in (*self.others, *self.apis):
            sys.stderr.write(f"{process.log.name}: {process.log.read_text()[-5_000:]}\n")  # shown when the test fails

    async def kill_api(self, api: Api) -> None:
        await api.kill()
        await api.start()

    async def kill_valkey(self) -> None:
        """Valkey dies, and comes back empty after a moment."""
        process = self.valkey._process
        assert process is not None
        psutil.Process(process.pid).kill()
        await asyncio.to_thread(process.wait)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(self.valkey.start)

    async def restart_postgres(self) -> None:
        await asyncio.to_thread(self.postgres.restart_at_once)


@asynccontextmanager
async def running_stage(postgres: TestPostgres, *, apis: int = 2, start: Start = forked) -> AsyncIterator[Stage]:
    """An installation on a server of the caller; nothing else of it outlives the block."""
    with temporary_data() as folder:
        valkey = EmbeddedValkey(folder, durable=False)
        await asyncio.to_thread(valkey.start)
        stage = Stage(postgres, await postgres.create_database(), valkey, folder, apis, start)
        try:
            await stage.open()
            yield stage
        finally:
            await stage.close()
            await asyncio.to_thread(valkey.stop)


async def sign_up(api: Api, database: PostgresDatabase, nick_name: str = "viewer") -> tuple[str, MemberId]:
    """A new member: the token and the id."""
    given = {"email": f"{nick_name}@example.org", "password": PASSWORD, "nickName": nick_name, "delivery": "TOKEN"}
    async with GraphQLClient(f"http://{HOST}:{api.port}") as client:
        token: str = (await client.operation("signUp", input=given)).data["signUp"]["token"]
    async with database.read() as connection:
        found = await connection.execute(select(members.c.id).where(members.c.nick_name == nick_name))
        return token, MemberId(found.scalar_one())
