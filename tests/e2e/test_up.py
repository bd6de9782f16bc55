"""`palpite up` as a user sees it: ready, stopped, killed, recovered; and one clear line for what is wrong."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from runtime.database_url import parse_database_url
from runtime.embedded.postgres import EmbeddedPostgres
from tests.support.forked import run_forked
from tests.support.memory import data_in_memory
from tests.support.palpite import (
    RunningPalpite,
    assert_one_line,
    get_json,
    kill_all,
    run_palpite,
    started_palpite,
    survivors,
)

pytestmark = pytest.mark.timeout(180)

NAMED = re.compile(r"^(up|db|serve|worker|scheduler) +\| .")


@pytest.fixture
def data() -> Iterator[Path]:
    with data_in_memory() as folder:
        yield folder


@pytest.fixture
def running(data: Path) -> Iterator[RunningPalpite]:
    with started_palpite("up", "--port", "0", "--data", str(data)) as palpite:
        yield palpite


async def _database(data: Path, statement: str) -> object:
    connection = await asyncpg.connect(**parse_database_url(EmbeddedPostgres(data).url).raw_arguments())
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _told(number: int) -> Callable[[RunningPalpite], None]:
    def end(running: RunningPalpite) -> None:
        assert running.end(number, seconds=5) == 0

    return end


def _killed_with_all(running: RunningPalpite) -> None:
    kill_all(running.family())


def _killed_alone(running: RunningPalpite) -> None:
    running.process.kill()


ENDS = [
    _told(signal.SIGTERM),
    _killed_with_all,
    _told(signal.SIGINT),  # Ctrl-C
    _told(signal.SIGHUP),  # the terminal is gone
    # Only Linux tells a child that its parent was killed.
    *([_killed_alone] if Path("/proc").exists() else []),
]


@pytest.mark.timeout(400)
async def test_however_it_ends_nothing_lives_on_and_the_next_start_finds_its_data(data: Path) -> None:
    """One folder for all ends, so that each start is also the one after another end."""
    for number, end in enumerate(ENDS):
        with started_palpite("up", "--port", "0", "--data", str(data)) as palpite:
            address = palpite.wait_until_ready()
            if number == 0:
                await _database(data, "CREATE TABLE kept (n int)")
                _require_all_there(palpite, address)
            assert await _database(data, "SELECT count(*) FROM kept") == number
            await _database(data, "INSERT INTO kept VALUES (42)")
            family = palpite.family()
            end(palpite)
            assert survivors(family, seconds=10 if end is _killed_alone else 2) == []
        # Of each other line it is told which process wrote it.
        assert [line for line in palpite.lines if not NAMED.match(line) and not line.startswith("ready ")] == []


def names_of(
    processes: list[psutil.Process], name: Callable[[psutil.Process], str] = psutil.Process.name
) -> Iterator[str]:
    """Of those that are still there: connections to the database come and go."""
    for process in processes:
        with suppress(psutil.NoSuchProcess, IndexError):
            yield name(process)


def _require_all_there(palpite: RunningPalpite, address: str) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    assert get_json(f"{address}/healthz") == (200, {"status": "ok"})
    assert get_json(f"{address}/readyz")[0] == 200
    names = set(names_of(palpite.family()[1:], lambda process: process.cmdline()[-1]))
    assert {"serve", "worker", "scheduler"} <= names


def test_it_stops_while_it_starts(running: RunningPalpite) -> None:
    deadline = time.monotonic() + 30
    while not any("postgres" in name for name in names_of(running.family())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    family = running.family()

    assert running.end(signal.SIGTERM, seconds=5) == 0
    assert survivors(family, seconds=2) == []


async def test_a_port_in_use_is_one_sentence(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for command in (["up", "--data", str(data)], ["serve"]):
            assert_one_line(
                await run_forked(*command, "--port", str(port), REDIS_URL="redis://x/0", DATABASE_URL="postgres://x/y"),
                f"palpite: Port {port} on 127.0.0.1 cannot be used (address already in use): stop the program that "
                "uses it, or choose another port with --port or PALPITE_PORT.",
            )


@pytest.mark.parametrize("host", ["999.1.1.1", "192.0.2.1", "a..b"])
async def test_a_host_that_is_not_ours_is_one_sentence(data: Path, host: str) -> None:
    for command in (["up", "--port", "0", "--data", str(data)], ["up", "--data", str(data)], ["serve"]):
        assert_one_line(
            await run_forked(*command, PALPITE_HOST=host, REDIS_URL="redis://x/0", DATABASE_URL="postgres://x/y"),
            f"palpite: {host} is no address of this machine: correct PALPITE_HOST.",
        )


READING = [
    "status",
    "executions list",
    "projection verify",
    "settlement verify",
    "db status",
    "members promote ana@example.org",
    "replay 2022/worldcup",
]


@pytest.mark.parametrize("command", READING)
async def test_only_a_command_that_sets_up_makes_a_palpite(data: Path, command: str) -> None:
    misspelt = data / "misspelt"
    assert_one_line(
        await run_forked(*command.split(), PALPITE_DATA=str(misspelt)),
        f"palpite: There is no Palpite in {misspelt}: run `palpite up` or `palpite db upgrade`, or correct "
        "PALPITE_DATA or DATABASE_URL.",
    )
    assert not os.access(misspelt, os.F_OK)


@pytest.mark.parametrize("command", ["db upgrade", "up --port 0", "demo --port 0", "demo --reset"])
async def test_a_data_folder_that_cannot_be_one_is_one_line(data: Path, command: str) -> None:
    (data / "file").touch()
    for folder in (data / "file", Path("/proc/1/x")):
        done = await run_forked(*command.split(), PALPITE_DATA=str(folder))
        assert done.returncode == 2
        assert f"palpite: {folder} cannot be a data folder (" in done.stderr
        assert "Traceback" not in done.stdout + done.stderr


def test_a_folder_of_another_version_is_one_line(data: Path) -> None:
    (data / "postgres").mkdir()
    (data / "postgres" / "PG_VERSION").write_text("14\n")

    done = run_palpite("up", "--port", "0", "--data", str(data))
    assert done.returncode == 2
    assert done.stderr.startswith(f"palpite: {data}/postgres was made by PostgreSQL 14 and this is 18: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"PALPITE_PROT": "1"}, "PALPITE_PROT is not a setting of Palpite; did you mean PALPITE_PORT?"),
        ({"PALPITE_PORT": "abc"}, 'PALPITE_PORT must be a whole number, got "abc".'),
        ({"DATABASE_URL": "mysql://x/y"}, "DATABASE_URL must start with postgresql://, not mysql://."),
    ],
)
async def test_a_wrong_setting_is_one_line(data: Path, settings: dict[str, str], words: str) -> None:
    for command in (["up", "--port", "0"], ["worker"], ["db", "upgrade"]):
        if "PALPITE_PORT" in settings and command[0] == "up":
            continue  # the option wins over the variable
        done = await run_forked(*command, PALPITE_DATA=str(data), REDIS_URL="redis://127.0.0.1:1/0", **settings)
        assert done.returncode == 2
        assert f"palpite: {words}" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr + done.stdout


async def test_an_unreachable_server_is_one_line(data: Path) -> None:
    unreachable = {"DATABASE_URL": "postgresql://me:hidden@127.0.0.1:1/name", "REDIS_URL": "redis://127.0.0.1:1/0"}
    for command in (["up", "--port", "0", "--data", str(data)], ["serve", "--port", "0"], ["worker"], ["check"]):
        done = await run_forked(*command, **unreachable)
        assert done.returncode == 2
        output = done.stdout + done.stderr
        assert "PostgreSQL at postgresql://me:***@127.0.0.1:1/name cannot be used (" in output
        assert "start it, or correct DATABASE_URL." in output
        assert "Traceback" not in output
        assert "hidden" not in output


def test_nothing_is_left_in_the_environment_of_the_tests() -> None:
    assert [name for name in os.environ if name.startswith("PALPITE_")] == []
