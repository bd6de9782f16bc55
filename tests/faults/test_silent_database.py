"""A database that says nothing any more, as behind a firewall that forgot the connections: nobody waits for it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import utc_now
from domain.leaderboard.service import Boards
from integrations.valkey.client import connect
from runtime.database import PostgresDatabase
from runtime.outage import is_outage
from tests.support.api import Stream, closing, open_socket
from tests.support.api_world import make_session
from tests.support.board_crowd import api_process, game
from tests.support.board_faults import Cup, boards_on, make_cup, projecting
from tests.support.cut_proxy import CutProxy, postgres_through_proxy
from tests.support.executions import until
from tests.support.football import make_league, make_member
from tests.support.graphql_client import GraphQLClient, id_of, read_operation
from tests.support.servers import temporary_data
from tests.support.settlement import in_play
from tests.support.stage import HOST

pytestmark = pytest.mark.timeout(900)

BOARDS = read_operation("leaderboardUpdates")
QUESTION = 5
"""Seconds for one question to the database: it is that long that a heartbeat (every 2 seconds here) may be late."""
SLACK = 8


async def test_streams_tell_of_it_and_go_on_when_others_are_answered_again(
    database: PostgresDatabase, database_url: str, valkey_url: str
) -> None:
    made = await game(database)
    ana = await make_member(database, "Ana", joins=[made])
    board = {"leagueId": id_of("League", await make_league(database, "Office", ana, plays=[made]))}
    token = await make_session(database, ana)
    with temporary_data() as folder:
        async with (
            postgres_through_proxy(database_url, folder) as (proxy, url),
            api_process(url, valkey_url, folder) as api,
            open_socket(f"{HOST}:{api.port}") as connection,
        ):
            address, stream = f"{HOST}:{api.port}", Stream(connection)
            await stream.begin(token)
            version = await _followed(stream, board)
            proxy.hush()
            until = time.monotonic() + 25
            staleness = [0]
            refused = asyncio.ensure_future(_refused(address, token))
            while time.monotonic() < until:
                event = (await stream.data(2 + QUESTION + SLACK))["leaderboardUpdates"]
                assert (event["__typename"], event["version"]) == ("Heartbeat", version)
                staleness.append(event["stalenessMs"])
            assert staleness[-1] > 15_000
            assert await refused == ("UNAVAILABLE", 1013)
            proxy.speak()
            await in_play(database, made.id, made.matches[0], 2, 1)
            async with asyncio.timeout(10 + SLACK):
                while event["__typename"] != "LeaderboardSnapshot":
                    event = (await stream.data(30))["leaderboardUpdates"]
            assert event["version"] > version


async def test_a_board_is_ranked_again_after_the_connection_that_ranked_it(
    database: PostgresDatabase, database_url: str
) -> None:
    cup = await make_cup(database, matches=3)
    with temporary_data() as folder:
        async with postgres_through_proxy(database_url, folder) as (proxy, url):
            mine = PostgresDatabase.create(url, statement_timeout=1)
            hushed = HushedDatabase(mine, proxy)
            boards = Boards(hushed, None, utc_now)
            first = asyncio.create_task(cup.read(boards))
            await hushed.is_silent.wait()
            proxy.speak()
            version = await cup.move()
            await until(lambda: _shows(cup, boards, version), within=1 + QUESTION + SLACK)
            with pytest.raises((TimeoutError, DBAPIError)):
                await first
            await mine.close()


async def test_a_projector_goes_on_when_others_are_answered_again(
    database: PostgresDatabase, database_url: str, valkey_url: str
) -> None:
    cup = await make_cup(database, matches=3)
    with temporary_data() as folder:
        async with postgres_through_proxy(database_url, folder) as (proxy, url), connect(valkey_url) as client:
            mine, boards = PostgresDatabase.create(url, statement_timeout=1), boards_on(database, client)
            async with projecting(mine, valkey_url):
                await cup.until_projected(boards, within=20)
                proxy.hush()
                proxy.speak()
                await cup.move()
                await cup.until_projected(boards, within=1 + QUESTION + SLACK)
            await mine.close()


class HushedDatabase:
    """One whose first snapshot finds it silent."""

    def __init__(self, database: PostgresDatabase, proxy: CutProxy) -> None:
        self._proxy = proxy
        self.is_silent = asyncio.Event()
        self.begin, self.read, self.fetch = database.begin, database.read, database.fetch
        self._snapshot = database.snapshot

    @asynccontextmanager
    async def snapshot(self, *, of: AsyncConnection | None = None) -> AsyncIterator[AsyncConnection]:
        if not self.is_silent.is_set():
            self._proxy.hush()
            self.is_silent.set()
        async with self._snapshot(of=of) as connection:
            yield connection


async def _shows(cup: Cup, boards: Boards, version: int) -> bool:
    """Whether a version is shown, and right; not while the database seems to be away."""
    try:
        await cup.assert_true(boards)
        return (await cup.read(boards)).head.version == version
    except Exception as problem:
        if is_outage(problem):
            return False
        raise


async def _followed(stream: Stream, board: dict[str, str]) -> int:
    """The version of the board that is followed from now on; a machine that is busy may be too late at first."""
    while True:
        await stream.subscribe("1", BOARDS, board=board)
        message = await stream.receive(60)
        if message["type"] == "next":
            version: int = message["payload"]["data"]["leaderboardUpdates"]["version"]
            return version
        assert message["payload"][0]["extensions"]["code"] == "UNAVAILABLE"


async def _refused(address: str, token: str) -> tuple[str, int]:
    """What who asks for something, and who opens a socket, is told."""
    async with GraphQLClient(f"http://{address}", token=token) as client, open_socket(address) as connection:
        stream = Stream(connection)
        await stream.send({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        answer, (code, _) = await asyncio.gather(client.run("{ viewer { id } }"), closing(connection))
        return answer.errors[0]["extensions"]["code"], code
