"""Real servers for the tests: one PostgreSQL and one Valkey a pytest process, in a folder that goes away with it.

They die with the process that started them, even when it is killed (runtime.embedded.process).
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import asyncpg

from runtime.database_url import parse_database_url
from runtime.embedded.postgres import EmbeddedPostgres, _program
from runtime.embedded.valkey import EmbeddedValkey
from runtime.migrate import upgrade
from tests.support.memory import data_in_memory

_TEMPLATE = "palpite_template"


@contextmanager
def temporary_data() -> Iterator[Path]:
    """A data folder with a short path (unix sockets) that is removed at the end."""
    folder = Path(mkdtemp(prefix="palpite-test-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class TestPostgres:
    """A server whose databases are copies of one migrated template."""

    __test__ = False

    def __init__(self, data: Path, *, durable: bool = False) -> None:
        self._server = EmbeddedPostgres(data, durable=durable)
        self._admin = ""
        self._left: list[str] = []

    def start(self) -> None:
        """Start the server and migrate the template once."""
        self._admin = self._server.start()
        asyncio.run(self._make_template())

    def stop(self) -> None:
        """Stop the server; its databases are gone."""
        self._server.stop()

    def restart_at_once(self) -> None:
        """Stop without any order and start again, as `pg_ctl -m immediate restart` does."""
        process = self._server._process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=30)
        self._server.start()

    def restart(self) -> None:
        """Stop in good order and start again."""
        self._server.stop()
        self._server.start()

    async def create_database(self, *, migrated: bool = True) -> str:
        """A database of its own, migrated or empty; the answer is its address."""
        name = f"test_{uuid4().hex}"
        source = _TEMPLATE if migrated else "template0"
        left, self._left = self._left, []
        await self._execute(*left, f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
        return self._address(name)

    async def drop_database(self, url: str) -> None:
        """Remove a database, whoever is connected."""
        await self._execute(_drop(url))

    def leave_database(self, url: str) -> None:
        """Have a database removed when the next one is made: with one connection less."""
        self._left.append(_drop(url))

    async def log_statements(self, url: str) -> None:
        """Have the server write down what connections to a database, made from now on, have it execute."""
        await self._execute(f"ALTER DATABASE \"{parse_database_url(url).url.database}\" SET log_statement = 'all'")

    @contextmanager
    def logged_statements(self) -> Iterator[list[str]]:
        """The prepared statements that were written down within the block; there after its end."""
        log, statements = self._server._log, list[str]()
        begin = log.stat().st_size
        yield statements
        written = log.read_bytes()[begin:].decode(errors="replace")
        statements += re.findall(r"LOG:  execute [^:]*: (.*(?:\n\t.*)*)", written)

    def dump(self, url: str, file: Path) -> None:
        """Write a database to a file, as a backup does."""
        self._run("pg_dump", url, "--format=custom", f"--file={file}")

    async def restore(self, url: str, file: Path) -> None:
        """Put back what was dumped of a database; whoever is connected is thrown out when all of it is there."""
        name = parse_database_url(url).url.database
        beside = f"restored_{uuid4().hex}"
        await self._execute(f'CREATE DATABASE "{beside}" TEMPLATE template0')
        await asyncio.to_thread(self._run, "pg_restore", self._address(beside), "--exit-on-error", str(file))
        await self.drop_database(url)
        await self._execute(f'ALTER DATABASE "{beside}" RENAME TO "{name}"')

    def copy_files(self, folder: Path) -> None:
        """Copy the server's files while it is stopped."""
        self._server.stop()
        subprocess.run(["cp", "-a", self._server._folder, folder], check=True)
        self._server.start()

    def replace_files(self, folder: Path) -> None:
        """Put a copy in the place of the server's files."""
        self._server.stop()
        shutil.rmtree(self._server._folder)
        subprocess.run(["cp", "-a", folder, self._server._folder], check=True)
        self._server.start()

    def _run(self, program: str, url: str, *arguments: str) -> None:
        address = parse_database_url(url).raw_arguments()
        environment = {"PGHOST": address["host"], "PGUSER": address["user"], "PGDATABASE": address["database"]}
        command = [_program(program), "--no-owner", f"--dbname={address['database']}", *arguments]
        subprocess.run(command, check=True, env=os.environ | environment)

    def _address(self, name: str) -> str:
        return parse_database_url(self._admin).with_database(name).text()

    async def _make_template(self) -> None:
        await self._execute(f'CREATE DATABASE "{_TEMPLATE}" TEMPLATE template0')
        await upgrade(self._address(_TEMPLATE))

    async def _execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(**parse_database_url(self._admin).raw_arguments())
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


def _drop(url: str) -> str:
    return f'DROP DATABASE IF EXISTS "{parse_database_url(url).url.database}" WITH (FORCE)'


@contextmanager
def running_postgres(*, durable: bool = False, in_memory: bool = False) -> Iterator[TestPostgres]:
    """A test server for a block; only a durable one keeps what was committed when it is stopped without any order."""
    with data_in_memory() if in_memory else temporary_data() as folder:
        server = TestPostgres(folder, durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def running_valkey() -> Iterator[str]:
    """A test server for a block; the answer is its address."""
    with temporary_data() as folder:
        server = EmbeddedValkey(folder, durable=False)
        try:
            yield server.start()
        finally:
            server.stop()
