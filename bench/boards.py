"""Boards while Valkey is away: how long viewers wait at fifty queries a second, each for a page of his own.

Meanwhile the board has a new version every two seconds, which the first who asks ranks for all.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.http_boards import _computed, _connect, _exchange, _make_world, _palpite, _request, _Server, _World
from bench.report import Figure
from domain.tournament.store import raise_versions
from runtime.database import PostgresDatabase
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.valkey import EmbeddedValkey
from tests.support.graphql_client import read_operation
from tests.support.servers import temporary_data

RATE, SECONDS, VERSIONS = 50, 20, 10
MEMBERS = 20_000
BOUND_MS = 300.0


def measure() -> Sequence[Figure]:
    with temporary_data() as data:
        postgres, valkey = EmbeddedPostgres(data), EmbeddedValkey(data)
        try:
            addresses = {"DATABASE_URL": postgres.start(), "REDIS_URL": valkey.start(), "PALPITE_DATA": str(data)}
            world = asyncio.run(_make_world(addresses, members=MEMBERS))
            with _palpite(world) as server:
                took, computed = asyncio.run(_measure(world, server, valkey))
        finally:
            valkey.stop()
            postgres.stop()
    p95 = sorted(took)[math.ceil(0.95 * len(took)) - 1] * 1000
    detail = f"p50 {median(took) * 1000:.0f} ms, {len(took)} queries, {MEMBERS:,} members, {VERSIONS} versions"
    detail += f"; {computed / len(took) * 1000:.1f} ms of computing of the API process a query"
    return [Figure(f"p95 of a board at {RATE} queries a second without Valkey", p95, BOUND_MS, "ms", detail)]


async def _measure(world: _World, server: _Server, valkey: EmbeddedValkey) -> tuple[list[float], float]:
    """Seconds that each answer took, the wait for a connection included, and what the process computed for all.

    Queries come whether or not others ended.
    """
    idle: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(RATE):
        idle.put_nowait(await _connect(server.port))
    valkey.stop()  # only now: a process does not begin without it
    await _ask(idle, _wish(world, 0))  # ranks the board, as the first one after an outage does
    before, moving = _computed(server.process), asyncio.create_task(_move(world))
    began, asked = time.perf_counter(), []
    for number in range(RATE * SECONDS):
        await asyncio.sleep(max(began + number / RATE - time.perf_counter(), 0))
        asked.append(asyncio.create_task(_ask(idle, _wish(world, number))))
    took = list(await asyncio.gather(*asked))
    await moving
    return took, _computed(server.process) - before


async def _move(world: _World) -> None:
    """Give the board a new version every two seconds."""
    database = PostgresDatabase.create(world.addresses["DATABASE_URL"])
    for _ in range(VERSIONS):
        await asyncio.sleep(SECONDS / VERSIONS)
        async with database.begin() as connection:
            await raise_versions(connection, world.made.id, board=True)
    await database.close()


async def _ask(idle: "asyncio.Queue[Any]", request: bytes) -> float:
    began = time.perf_counter()
    line = await idle.get()
    body = await _exchange(line, request)
    assert b'"source":"DATABASE"' in body
    idle.put_nowait(line)
    return time.perf_counter() - began


def _wish(world: _World, number: int) -> bytes:
    """A page with the viewer's row and neighbours, of another viewer each time."""
    variables = {"id": world.tournament_id, "first": 50 - number % 3}
    body = {"query": read_operation("tournamentLeaderboard"), "variables": variables}
    return _request(body, world.tokens[number % len(world.tokens)])
