"""A process that is told to stop while a server is silent ends in time, with all its connections."""

import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest

from runtime.database import PostgresDatabase
from runtime.ports import free_port
from tests.support.board_clients import BoardClient
from tests.support.board_crowd import game
from tests.support.cut_proxy import postgres_through_proxy, valkey_through_proxy
from tests.support.executions import until
from tests.support.graphql_client import id_of
from tests.support.servers import temporary_data
from tests.support.stage import HOST, START_SECONDS, is_listening
from tests.support.workers import Workers, workers

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("silent", ["PostgreSQL", "Valkey"])
async def test_all_processes_end_though_a_server_is_silent(
    silent: str, database: PostgresDatabase, database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    board = {"tournamentId": id_of("Tournament", (await game(database)).id)}
    with temporary_data() as folder:
        async with (
            postgres_through_proxy(database_url, folder) as (postgres, url),
            valkey_through_proxy(valkey_url, folder) as (valkey, redis_url),
            workers(database, url, redis_url, tmp_path) as crew,
            AsyncExitStack() as stack,
        ):
            port = free_port(HOST)
            processes = [await crew.start(name, PALPITE_PORT=str(port)) for name in ("serve", "worker", "scheduler")]
            await until(lambda: _all_are_ready(crew, port), within=START_SECONDS)
            clients = [BoardClient(board, lambda: f"ws://{HOST}:{port}/graphql") for _ in range(5)]
            for client in clients:
                stack.push_async_callback(client.close)
            await until(lambda: _all_have_a_board(clients), within=START_SECONDS)
            (postgres if silent == "PostgreSQL" else valkey).hush()
            for process in processes:
                began = monotonic()
                process.send(signal.SIGTERM)
                assert await process.wait() == 0
                sys.stderr.write(f"{silent} is silent: ended after {monotonic() - began:.1f} s\n")
                assert monotonic() - began < 20
        assert not [line for line in crew.log.read_text().splitlines() if line.startswith("Traceback")]


async def _all_are_ready(crew: Workers, port: int) -> bool:
    return bool(crew.lines("worker_ready") and crew.lines("scheduler_ready")) and await is_listening(port)


async def _all_have_a_board(clients: list[BoardClient]) -> bool:
    return all(client.version >= 0 for client in clients)
