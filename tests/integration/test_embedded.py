"""Embedded servers: data survive restarts and kills, no orphan stays, and what is wrong is said in one line."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis

from runtime.database_url import parse_database_url
from runtime.embedded import identity
from runtime.embedded.lock import DataLock
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.process import socket_folder, wait_until
from runtime.embedded.servers import EmbeddedServers, servers_for_command, servers_of_running_palpite
from runtime.embedded.valkey import EmbeddedValkey
from runtime.errors import SetupError
from runtime.settings import Settings, load_settings
from tests.support.palpite import REPOSITORY, survivors
from tests.support.servers import temporary_data


@pytest.fixture
def data() -> Iterator[Path]:
    with temporary_data() as folder:
        yield folder


@pytest.fixture
def settings(data: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return load_settings(data=data)


async def _postgres(url: str, statement: str) -> object:
    connection = await asyncpg.connect(**parse_database_url(url).raw_arguments())
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _server(data: Path, pid_file: str) -> psutil.Process:
    return psutil.Process(int((data / pid_file).read_text().split("\n")[0]))


async def test_postgres_keeps_its_data_over_a_restart(data: Path) -> None:
    server = EmbeddedPostgres(data)
    url = server.start()
    await _postgres(url, "CREATE TABLE kept AS SELECT 42 AS n")
    process = _server(data, "postgres/postmaster.pid")
    server.stop()
    assert survivors([process], seconds=0) == []
    assert not server.is_ready()

    again = EmbeddedPostgres(data)
    assert again.start() == url
    assert await _postgres(url, "SELECT n FROM kept") == 42
    assert str(await _postgres(url, "SHOW server_version")).startswith("18.")
    again.stop()


async def test_valkey_keeps_its_data_over_a_restart(data: Path) -> None:
    server = EmbeddedValkey(data)
    async with Redis.from_url(server.start()) as client:
        await client.set("kept", "42")
    process = _server(data, "valkey/valkey.pid")
    server.stop()
    assert survivors([process], seconds=0) == []

    again = EmbeddedValkey(data)
    async with Redis.from_url(again.start()) as client:
        assert await client.get("kept") == b"42"
    again.stop()


async def test_postgres_recovers_from_a_kill(data: Path) -> None:
    server = EmbeddedPostgres(data)
    url = server.start()
    await _postgres(url, "CREATE TABLE kept AS SELECT 42 AS n")
    server_process = _server(data, "postgres/postmaster.pid")
    backends = server_process.children()
    server_process.kill()
    assert survivors([server_process], seconds=5) == []

    server.stop()
    server.start()
    assert await _postgres(url, "SELECT n FROM kept") == 42
    assert survivors(backends, seconds=5) == []
    server.stop()


async def test_a_server_that_outlived_its_palpite_is_stopped_first(data: Path) -> None:
    urls = _start_servers_and_die(data)
    orphans = [_server(data, "postgres/postmaster.pid"), _server(data, "valkey/valkey.pid")]
    if sys.platform == "linux":
        assert survivors(orphans, seconds=10) == []  # the kernel told them that we are gone
    postgres, valkey = EmbeddedPostgres(data), EmbeddedValkey(data)

    assert [postgres.start(), valkey.start()] == urls
    assert survivors(orphans, seconds=0) == []
    assert await _postgres(urls[0], "SELECT 1") == 1
    postgres.stop()
    valkey.stop()


def _start_servers_and_die(data: Path) -> list[str]:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from runtime.embedded.postgres import EmbeddedPostgres\nfrom runtime.embedded.valkey import EmbeddedValkey\n"
        "data = Path(sys.argv[1]); print(EmbeddedPostgres(data).start()); print(EmbeddedValkey(data).start())\n"
        "sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(data)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.splitlines()


def test_an_orphan_without_the_kernels_help_is_stopped_by_the_next_start(data: Path) -> None:
    first_postgres, first_valkey = EmbeddedPostgres(data), EmbeddedValkey(data)
    first_postgres.start()
    first_valkey.start()
    orphans = [_server(data, "postgres/postmaster.pid"), _server(data, "valkey/valkey.pid")]

    second_postgres, second_valkey = EmbeddedPostgres(data), EmbeddedValkey(data)
    second_postgres.start()
    second_valkey.start()

    assert survivors(orphans, seconds=0) == []
    assert second_postgres.is_running()
    assert second_valkey.is_running()
    for server in (first_postgres, first_valkey, second_postgres, second_valkey):
        server.stop()


def test_a_pid_file_that_names_a_stranger_is_forgotten(data: Path) -> None:
    server = EmbeddedPostgres(data)
    server.start()
    server.stop()
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getppid()}\n{data}/postgres\n")
    (data / "valkey").mkdir(exist_ok=True)
    (data / "valkey" / "valkey.pid").write_text(f"{os.getpid()}\n")

    server.start()
    server.stop()
    assert psutil.pid_exists(os.getppid())


def test_a_first_start_that_was_killed_is_repaired(data: Path) -> None:
    (data / "postgres.new").mkdir()
    (data / "postgres.new" / "PG_VERSION").write_text("18\n")

    server = EmbeddedPostgres(data)
    server.start()
    server.stop()
    assert not (data / "postgres.new").exists()


def test_a_first_start_can_be_given_up(data: Path) -> None:
    server = EmbeddedPostgres(data)
    server.give_up_waiting()

    with pytest.raises(SetupError, match=r"^The start was given up\.$"):
        server.start()
    assert [process for process in psutil.process_iter() if str(data) in _command_line(process)] == []


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_folder_of_another_version_is_refused(data: Path) -> None:
    (data / "postgres").mkdir()
    (data / "postgres" / "PG_VERSION").write_text("15\n")

    with pytest.raises(SetupError, match=r"^\S+/postgres was made by PostgreSQL 15 and this is 18: "):
        EmbeddedPostgres(data).start()


def test_a_server_that_cannot_start_says_why(data: Path) -> None:
    server = EmbeddedPostgres(data)
    server.start()
    server.stop()
    (data / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(SetupError, match=r"^PostgreSQL did not start: .*contains errors.*postgres\.log\)$"):
        server.start()
    assert not server.is_running()


def test_valkey_that_cannot_start_says_why(data: Path) -> None:
    server = EmbeddedValkey(data)
    server.start()
    server.stop()
    manifest = data / "valkey" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("nonsense\n")

    with pytest.raises(SetupError, match=r"^Valkey did not start: .*valkey\.log\)$"):
        server.start()
    assert not server.is_running()


def test_servers_are_private(data: Path) -> None:
    servers = EmbeddedPostgres(data), EmbeddedValkey(data)
    for server in servers:
        server.start()
    modes = {name: (data / name).stat().st_mode & 0o777 for name in ("postgres", "valkey")}
    listening = [
        connection
        for pid_file in ("postgres/postmaster.pid", "valkey/valkey.pid")
        for connection in _server(data, pid_file).net_connections("inet")
    ]
    for server in servers:
        server.stop()

    assert modes == {"postgres": 0o700, "valkey": 0o700}
    assert listening == []


async def test_a_path_that_is_too_long_for_a_socket_works_too(data: Path) -> None:
    deep = data / ("a folder with a long name " * 4) / "data"
    postgres, valkey = EmbeddedPostgres(deep), EmbeddedValkey(deep)
    url = postgres.start()
    async with Redis.from_url(valkey.start()) as client:
        assert await client.ping() is True
    assert await _postgres(url, "SELECT 1") == 1
    postgres.stop()
    valkey.stop()


def test_a_short_socket_folder_of_somebody_else_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.embedded.process.gettempdir", lambda: str(data))
    deep = data / ("x" * 120)
    short = socket_folder(deep, "name", identity.Identity())
    short.chmod(0o777)

    with pytest.raises(SetupError, match="belongs to somebody else"):
        socket_folder(deep, "name", identity.Identity())


def test_root_without_useradd_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(identity, "USER_NAME", "palpite_no_such_user")
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    with pytest.raises(SetupError) as caught:
        identity.server_identity()
    assert str(caught.value) == (
        "PostgreSQL does not run as root, and this machine has no useradd to make a user for it: run Palpite as a "
        "normal user, add a user named palpite_no_such_user, or set DATABASE_URL and REDIS_URL to your own servers."
    )


def test_one_palpite_a_data_folder(settings: Settings) -> None:
    holder = DataLock(settings.data)
    assert holder.try_acquire()

    with pytest.raises(SetupError, match=rf"^Another Palpite \(process {os.getpid()}\) uses the data folder "):
        EmbeddedServers(settings).claim()

    holder.release()
    second = EmbeddedServers(settings)
    second.claim()
    second.stop()


async def test_a_command_brings_servers_or_uses_those_that_run(settings: Settings) -> None:
    with servers_for_command(settings, creates=True) as outer:
        started = _server(settings.data, "postgres/postmaster.pid")
        with servers_for_command(settings) as inner:
            assert inner == outer
        assert servers_of_running_palpite(settings) == outer
        assert await _postgres(outer.required_database_url(), "SELECT 1") == 1
    assert survivors([started], seconds=0) == []

    with pytest.raises(SetupError, match=r"^DATABASE_URL is not set"):
        servers_of_running_palpite(settings)


def test_a_folder_that_is_being_set_up_is_no_misspelt_one(settings: Settings) -> None:
    servers = EmbeddedServers(settings)
    with pytest.raises(SetupError, match=r"^There is no Palpite in "):
        servers.require_made()
    other = DataLock(settings.data)
    assert other.try_acquire()
    servers.require_made()
    other.release()
    with pytest.raises(SetupError, match=r"^There is no Palpite in "):
        servers.require_made()


@contextmanager
def closed_to_us(home: Path) -> Iterator[None]:
    """Nobody but its owner, who root is not here, comes in."""
    is_root = os.geteuid() == 0
    home.chmod(0o700 if is_root else 0)
    if is_root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        home.chmod(0o700)


def test_a_folder_in_the_closed_home_of_another_user_is_said_to_be_that(settings: Settings) -> None:
    folder = settings.data / ".palpite"
    (folder / "postgres").mkdir(parents=True)
    other = DataLock(folder)
    assert other.try_acquire()
    theirs = settings.changed(data=folder)
    line = f"{folder}/up.lock belongs to another user: run Palpite as that user, or choose another PALPITE_DATA."
    with closed_to_us(settings.data):
        for ask in (EmbeddedServers(theirs).require_made, EmbeddedServers(theirs).claim):
            with pytest.raises(SetupError) as caught:
                ask()
            assert str(caught.value) == line
        with pytest.raises(SetupError, match="belongs to another user"):
            servers_of_running_palpite(theirs)
    other.release()


def test_servers_of_the_users_own_are_not_replaced(settings: Settings) -> None:
    own = settings.changed(database_url="postgresql://me@db/name", redis_url="redis://cache/1")
    with servers_for_command(own) as found:
        assert found == own
    assert not (settings.data / "postgres").exists()
    assert not (settings.data / "valkey").exists()


async def test_a_dead_server_is_started_again(settings: Settings) -> None:
    servers = EmbeddedServers(settings)
    servers.claim()
    servers.start()
    process = _server(settings.data, "valkey/valkey.pid")
    process.kill()
    assert survivors([process], seconds=5) == []

    # The kernel hands a killed process over only when its last thread is gone.
    revived: list[str] = []

    def is_revived() -> bool:
        revived.extend(servers.revive())
        return bool(revived)

    assert wait_until(is_revived, 5)
    assert revived == ["Valkey"]
    assert servers.revive() == []
    async with Redis.from_url(servers.settings().required_redis_url()) as client:
        assert await client.ping() is True
    servers.stop()
