"""What boards cost their sockets: several leave in one write, and who takes nothing holds little and nobody up."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import func, update
from websockets.asyncio.client import ClientConnection, connect

from domain.member.tables import members
from domain.tournament.store import raise_versions
from tests.support.api import PROTOCOL, Api, Stream, open_socket, open_stream, running_api, served
from tests.support.api_world import World, make_world
from tests.support.graphql_client import read_operation
from tests.support.wires import Counting

BOARDS = read_operation("leaderboardUpdates")
ROWS = 50
EVENTS = 20


async def rename_all(world: World) -> None:
    """Every row of every board of the tournament changes, in one version."""
    async with world.api.database.begin() as connection:
        name = func.left(func.md5(func.random().cast(members.c.nick_name.type)), 12)
        await connection.execute(update(members).values(nick_name=name))
        await raise_versions(connection, world.tournament.id, board=True)


async def test_several_boards_of_one_socket_leave_in_one_write(api: Api) -> None:
    world = await make_world(api)
    followed: dict[str, dict[str, Any]] = {
        "all": {"board": {"tournamentId": world.tournament_id}},
        "two": {"board": {"tournamentId": world.tournament_id}, "first": 2},
        "first round": {"board": {"roundId": world.round_id(0)}},
        "second round": {"board": {"roundId": world.round_id(1)}},
    }
    writes = []
    async with served(api, Counting) as address, open_stream(address) as stream:
        for operation_id, variables in followed.items():
            await stream.subscribe(operation_id, BOARDS, **variables)
            assert (await stream.receive())["id"] == operation_id
        for _ in range(20):  # what a busy machine reads late leaves a little later
            before = Counting.writes
            await rename_all(world)
            came = {(await stream.receive())["id"] for _ in followed}
            assert came == followed.keys()
            writes.append(Counting.writes - before)
            if writes[-1] == 1:
                break
    assert writes[-1] == 1, writes


async def test_who_takes_nothing_gets_little_that_is_stale_then_the_newest_and_holds_nobody_up(
    database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    async with running_api(database_url, valkey_url, tmp_path) as api:
        world = await make_world(api, crowd=ROWS)
        async with served(api) as address, open_socket(address) as connection, narrow(address) as stalled_connection:
            stalled, quick = Stream(stalled_connection), Stream(connection)
            for stream in (stalled, quick):
                await stream.begin()
                await stream.subscribe("1", BOARDS, board={"tournamentId": world.tournament_id}, first=ROWS)
            newest = (await quick.data())["leaderboardUpdates"]
            for _ in range(EVENTS):
                await rename_all(world)
                delta = (await quick.data(seconds=5))["leaderboardUpdates"]
                assert (delta["fromVersion"], len(delta["rows"])) == (newest["version"], ROWS)
                newest = delta
            stale, event = await until_newest(stalled_connection, newest["version"])
    assert EVENTS * len(str(newest)) > 400 * 1024
    assert len(stale) <= 64
    assert sum(map(len, stale)) <= 200 * 1024
    assert [row["member"] for row in event["rows"]] == [row["member"] for row in newest["rows"]]


@asynccontextmanager
async def narrow(address: str) -> AsyncIterator[ClientConnection]:
    """A socket whose client takes little before it is asked."""
    host, port = address.split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    options: dict[str, Any] = {"sock": raw, "max_queue": 1, "ping_interval": None, "subprotocols": [PROTOCOL]}
    async with connect(f"ws://{address}/graphql", **options) as connection:
        yield connection


async def until_newest(connection: ClientConnection, version: int) -> tuple[list[str], dict[str, Any]]:
    """What comes before the rows of a version, and these."""
    stale: list[str] = []
    async with asyncio.timeout(20):
        while True:
            text = str(await connection.recv())
            event = orjson.loads(text)["payload"]["data"]["leaderboardUpdates"]
            if event["version"] == version and "rows" in event:
                return stale, event
            stale.append(text)
