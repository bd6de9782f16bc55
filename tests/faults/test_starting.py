"""A process whose server is cut off while it starts: it starts all the same, or says in one line what is wrong."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.database import PostgresDatabase
from runtime.ports import free_port
from tests.support.campaign import seeded, times
from tests.support.cut_proxy import CutProxy, postgres_through_proxy, valkey_through_proxy
from tests.support.executions import until
from tests.support.servers import temporary_data
from tests.support.stage import HOST, is_listening
from tests.support.workers import Workers, workers

pytestmark = pytest.mark.timeout(3600)

PROCESSES = ("serve", "worker", "scheduler")
POSITIONS = {"PostgreSQL": range(50, 9_001, 150), "Valkey": range(5, 1_201, 20)}
"""Bytes in both directions, of all that is asked before a process is ready."""


@pytest.mark.parametrize("wait", [0, 60])
@pytest.mark.parametrize("server", POSITIONS)
async def test_a_process_starts_or_says_what_is_wrong_wherever_its_server_is_cut_off(
    server: str, wait: int, database: PostgresDatabase, database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    """Who may wait starts."""
    everywhere = POSITIONS[server]
    async with _cut_off(server, database, database_url, valkey_url, tmp_path) as (proxy, crew):
        for name in PROCESSES:
            for position in seeded(f"{name} {server}").sample(everywhere, times(3, len(everywhere))):
                said = await _outcome(proxy, crew, name, position, wait=wait)
                assert said == "ready" or (wait == 0 and _is_one_line(said)), said


@asynccontextmanager
async def _cut_off(
    server: str, database: PostgresDatabase, database_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[tuple[CutProxy, Workers]]:
    """Processes whose way to one of the servers can be cut."""
    with temporary_data() as folder:
        if server == "Valkey":
            async with (
                valkey_through_proxy(valkey_url, folder) as (proxy, url),
                workers(database, database_url, url, tmp_path) as crew,
            ):
                yield proxy, crew
        else:
            async with (
                postgres_through_proxy(database_url, folder) as (proxy, url),
                workers(database, url, valkey_url, tmp_path) as crew,
            ):
                yield proxy, crew


def _is_one_line(said: str) -> bool:
    return said.startswith("palpite: ") and said.count("\n") == 1


async def _outcome(proxy: CutProxy, crew: Workers, name: str, position: int, *, wait: int) -> str:
    """`ready`, or all that a process said that ended with a setup problem."""
    written, port = crew.log.stat().st_size, free_port(HOST)
    proxy.cut_after(position)
    process = await crew.start(name, PALPITE_START_WAIT_SECONDS=str(wait), PALPITE_PORT=str(port))

    async def is_decided() -> bool:
        if process.ended.done() or f"{name}_ready" in crew.log.read_text()[written:]:
            return True
        return name == "serve" and await is_listening(port)

    await until(is_decided, within=120)
    proxy.cut_after(None)
    if not process.ended.done():
        process.send(signal.SIGTERM)
        assert await process.wait() == 0
        return "ready"
    said = crew.log.read_text()[written:]
    assert await process.wait() == 2, said
    return said
