"""Live boards for a long time: who comes and vanishes leaves nothing behind in the API process."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson
import pytest
from websockets.asyncio.client import connect

from runtime.database import PostgresDatabase
from tasks.loops import end
from tests.support.board_clients import PROTOCOL, BoardClient
from tests.support.campaign import is_campaign, times
from tests.support.executions import until
from tests.support.football import MadeTournament, make_members, make_tournament, pass_lock, put_guess
from tests.support.graphql_client import GraphQLClient, id_of, read_operation
from tests.support.holdings import assert_given_back, holdings, is_quiet, mebibytes
from tests.support.servers import TestPostgres, running_postgres
from tests.support.settlement import in_play
from tests.support.stage import HOST, Api, running_stage, started

if TYPE_CHECKING:
    from domain.ids import TournamentId

pytestmark = pytest.mark.timeout(2 * 3600)

SLOPE = 0.2
"""MiB a minute that memory may grow in an hour; a minute is too short to tell a leak from a cache that fills."""


@pytest.fixture
def own_postgres() -> Iterator[TestPostgres]:
    """A server that only this test uses."""
    with running_postgres() as server:
        yield server


async def test_who_vanishes_leaves_nothing_behind(own_postgres: TestPostgres) -> None:
    seconds, steady = times(30, 3600), times(30, 500)
    async with running_stage(own_postgres, apis=1, start=started) as stage:
        (api,) = stage.apis
        database = PostgresDatabase.create(stage.url, application_name="palpite-test")
        try:
            made = await make_tournament(database, matches=4)
            for number, member_id in enumerate(await make_members(database, 60, joins=[made])):
                for match_id in made.matches:
                    await put_guess(database, made, match_id, member_id, number % 4, number % 3)
            await pass_lock(database, *made.matches)
            await _once_of_everything(api, made.id)
            await until(lambda: is_quiet(api), within=30)
            before = await holdings(api)
            board = {"tournamentId": id_of("Tournament", made.id)}
            clients = [BoardClient(board, lambda: f"ws://{HOST}:{api.port}/graphql") for _ in range(steady)]
            work = [_goals(database, made), _churn(api, made.id, every=0.2), _queries(api, made.id, every=0.2)]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one) for one in work]
                memory = await _watch(api, seconds)
                await end(tasks)
            await asyncio.gather(*(client.close() for client in clients))
            await until(lambda: is_quiet(api), within=60)
            after = await holdings(api)
            seen = sum((client.seen for client in clients), Counter[str]())
            sys.stderr.write(f"soak: {seconds} s, before {before}, after {after}, MiB {memory}, {dict(seen)}\n")
            assert seen["lost"] == seen["closed 1012"]  # which is how a long life of a socket ends
            assert min(client.seen["LeaderboardDelta"] for client in clients) > seconds / 4
            assert_given_back(before, after)
            if is_campaign():
                settled = memory[len(memory) // 6 :]
                assert (settled[-1] - settled[0]) / (seconds / 60) < SLOPE
        finally:
            await database.close()


async def _watch(api: Api, seconds: float) -> list[float]:
    """Memory of the API process in MiB, some twenty times."""
    found = []
    for _ in range(20):
        await asyncio.sleep(seconds / 20)
        found.append(mebibytes(api))
    return found


async def _goals(database: PostgresDatabase, made: MadeTournament) -> None:
    goals = 0
    while True:
        goals += 1
        match_id = made.matches[goals % len(made.matches)]
        await in_play(database, made.id, match_id, goals % 4, goals // 4 % 4)
        await asyncio.sleep(1)


async def _churn(api: Api, tournament_id: "TournamentId", *, every: float) -> None:
    """Clients that subscribe to boards of all kinds and windows of all sizes, and are gone without a word."""
    number = 0
    while True:
        number += 1
        await _come_and_vanish(api, tournament_id, first=1 + number % 20)
        await asyncio.sleep(every)


async def _come_and_vanish(api: Api, tournament_id: "TournamentId", *, first: int) -> None:
    variables = {"board": {"tournamentId": id_of("Tournament", tournament_id)}, "first": first}
    payload = {"query": read_operation("leaderboardUpdates"), "variables": variables}
    async with connect(f"ws://{HOST}:{api.port}/graphql", subprotocols=[PROTOCOL], open_timeout=60) as socket:
        await socket.send(orjson.dumps({"type": "connection_init"}).decode())
        await socket.recv()
        await socket.send(orjson.dumps({"type": "subscribe", "id": "1", "payload": payload}).decode())
        message = orjson.loads(await socket.recv())
        assert message["type"] == "next", message
        socket.transport.abort()


async def _queries(api: Api, tournament_id: "TournamentId", *, every: float) -> None:
    async with GraphQLClient(f"http://{HOST}:{api.port}") as client:
        while True:
            answer = await client.operation("liveScoreboard", id=id_of("Tournament", tournament_id))
            assert "errors" not in answer.body
            await asyncio.sleep(every)


async def _once_of_everything(api: Api, tournament_id: "TournamentId") -> None:
    """What an API process makes at its first use and keeps: connections, caches, threads."""
    async with asyncio.TaskGroup() as group:
        for first in range(1, 11):
            group.create_task(_come_and_vanish(api, tournament_id, first=first))
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            await _queries(api, tournament_id, every=0.05)
