"""How connections end that nobody closes: too many, too old, too slow, half-open, or the server stops."""

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from runtime.database import PostgresDatabase
from schema.transport import connections as connections_module
from schema.transport.connections import FULL, Close, Connections, Times
from schema.transport.outlet import Post
from tasks.loops import background
from tests.support.api import PROTOCOL, Api, Stream, closing, open_socket, open_stream, running_api, served
from tests.support.api_world import begin_session, make_world
from tests.support.football import set_match
from tests.support.graphql_client import id_of, read_operation
from tests.support.live import until
from tests.support.palpite import get_json
from tests.support.settlement import play
from tests.support.sse import event_stream

BOARDS = read_operation("leaderboardUpdates")


async def test_a_member_has_ten_sockets_and_not_one_more(api: Api) -> None:
    world = await make_world(api)
    token = await begin_session(api, world.bob)
    async with served(api) as address, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(open_socket(address)) for _ in range(12)]
        for connection in sockets[:10]:
            await Stream(connection).begin(token)
        payload = {"authorization": f"Bearer {token}"}
        await Stream(sockets[10]).send({"type": "connection_init", "payload": payload})
        assert await closing(sockets[10]) == (1013, "A member may have at most 10 connections")
        await Stream(sockets[11]).begin(await begin_session(api, world.ana))
        await sockets[0].close()
        async with asyncio.timeout(5):
            while not await _begins(address, payload):
                pass


async def test_a_full_server_sends_streams_away_and_answers_everything_else(api: Api) -> None:
    world = await make_world(api)
    board = {"tournamentId": id_of("Tournament", world.tournament.id)}
    api.app.state.connections.most = 1
    async with served(api) as address, open_stream(address) as first:
        await first.subscribe("board", BOARDS, board=board)
        assert await first.data()
        async with open_socket(address) as second:
            assert await closing(second) == (1013, FULL)
        async with event_stream(address, BOARDS, {"board": board}) as events:
            assert events.status == 503
        status, _ = await asyncio.to_thread(get_json, f"http://{address}/readyz")
        assert status == 200
        await first.connection.close()
        async with asyncio.timeout(5):
            while api.app.state.connections.is_full:  # noqa: ASYNC110 -- nothing tells it
                await asyncio.sleep(0.01)
        async with open_stream(address) as third:
            await third.subscribe("board", BOARDS, board=board)
            assert await third.data()


async def _begins(address: str, payload: dict[str, str]) -> bool:
    async with open_socket(address) as connection:
        await Stream(connection).send({"type": "connection_init", "payload": payload})
        try:
            await connection.recv()
        except ConnectionClosed:
            return False
    return True


async def test_a_stopping_server_tells_all_to_connect_again_and_a_client_resumes_on_another(
    database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    async with (
        running_api(database_url, valkey_url, tmp_path) as one,
        running_api(database_url, valkey_url, tmp_path) as other,
        served(other) as there,
    ):
        world = await make_world(one)
        board = {"tournamentId": world.tournament_id}
        async with open_stream(there) as keeper:
            await keeper.subscribe("1", BOARDS, board=board)
            await keeper.data()
            async with served(one) as here:
                leaving = await open_socket(here)
                client = Stream(leaving)
                await client.begin()
                await client.subscribe("1", BOARDS, board=board)
                seen = (await client.data())["leaderboardUpdates"]
            assert await closing(leaving) == (1012, "Connect again, with `after`")
            await play(other.database, world.locked, 3, 2)
            moved = (await keeper.data())["leaderboardUpdates"]
            after = {"epoch": seen["epoch"], "version": seen["version"]}
            await keeper.subscribe("2", BOARDS, board=board, after=after)
            message = await keeper.receive()
            while message["id"] != "2":
                message = await keeper.receive()
            resumed = message["payload"]["data"]["leaderboardUpdates"]
    assert (resumed["__typename"], resumed["fromVersion"]) == ("LeaderboardDelta", seen["version"])
    assert resumed["version"] >= moved["version"]
    assert {row["id"] for row in moved["rows"]} <= {row["id"] for row in resumed["rows"]}


async def test_a_client_that_takes_nothing_is_closed_with_1013_and_others_do_not_notice(
    database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    async with running_api(database_url, valkey_url, tmp_path, socket_blocked_seconds=1) as api:
        world = await make_world(api, crowd=100)
        async with served(api) as address, open_socket(address) as quick_connection:
            slow_connection, quick = await _narrow(address), Stream(quick_connection)
            slow = Stream(slow_connection)
            for stream in (slow, quick):
                await stream.begin()
                await stream.subscribe("1", BOARDS, board={"tournamentId": world.tournament_id}, first=100)
            await quick.data()
            for number in range(12):  # what nobody takes, until the way to the slow client is full
                await slow.subscribe(f"more {number}", BOARDS, board={"tournamentId": world.tournament_id}, first=100)
            await set_match(api.database, world.locked, home_goals=7)
            await play(api.database, world.locked, 7, 0)
            assert (await quick.data())["leaderboardUpdates"]["__typename"] == "LeaderboardDelta"
            await asyncio.wait_for(_until_cut(slow), 15)
            await quick.subscribe("2", BOARDS, board={"tournamentId": world.tournament_id}, first=5)
            assert await quick.receive() is not None


async def test_a_client_that_takes_nothing_is_not_listened_to(address: str, api: Api) -> None:
    """Else its refusals would be held without end."""
    world = await make_world(api, crowd=100)
    async with open_socket(address) as connection:
        member, stranger = Stream(connection), Stream(await _narrow(address))
        await member.begin(await begin_session(api, world.bob))
        await member.subscribe("1", BOARDS, board={"leagueId": world.league_id})
        await member.data(30)
        await stranger.begin()
        for number in range(12):
            await stranger.subscribe(f"{number}", BOARDS, board={"tournamentId": world.tournament_id}, first=100)
        payload = {"query": BOARDS, "variables": {"board": {"leagueId": world.league_id}}}
        refused = orjson.dumps({"id": "x" * 4_000, "type": "subscribe", "payload": payload}).decode()
        with pytest.raises(TimeoutError):
            await _flood(stranger.connection, refused, 4_500)  # more than all that lies between can hold
        stranger.connection.transport.abort()


async def _narrow(address: str) -> ClientConnection:
    """A socket whose client takes little before it is asked."""
    host, port = address.split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    options: dict[str, Any] = {"sock": raw, "max_queue": 1, "ping_interval": None, "subprotocols": [PROTOCOL]}
    return await connect(f"ws://{address}/graphql", **options)


async def _flood(connection: ClientConnection, text: str, times: int) -> None:
    """Send it again and again, unless that is not taken for two seconds."""
    for _ in range(times):
        await asyncio.wait_for(connection.send(text), 2)


async def _until_cut(stream: Stream) -> None:
    """Until the server has closed; it is not read, so that it takes nothing."""
    try:
        while True:
            await stream.connection.send(orjson.dumps({"type": "pong"}).decode())
            await asyncio.sleep(0.1)
    except (ConnectionClosed, OSError):
        return


class Standing:
    """A connection that is old; its peer may take nothing, not even that it is closed."""

    session_id = blocked_at = None
    ends_at = 0.0

    def __init__(self, *, is_taken: bool) -> None:
        self.closed: list[int] = []
        self._taken = asyncio.Event()
        if is_taken:
            self._taken.set()

    async def close(self, code: Close, reason: str) -> None:  # noqa: ARG002 -- as the others say
        await self._taken.wait()
        self.closed.append(code)


async def test_who_takes_not_even_that_it_is_closed_holds_nobody_up(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "_PATIENCE", 0.05)
    times, post = Times(init=10, life=1_800, blocked=30), Post(lambda: False)
    connections = Connections(
        database, post, most=100, most_a_member=10, times=times, watch_seconds=0.01, random=lambda: 0.0
    )
    silent, first, later = Standing(is_taken=False), Standing(is_taken=True), Standing(is_taken=True)
    connections.add(silent)
    connections.add(first)
    async with background(connections.watch()):
        await until(lambda: bool(first.closed))
        connections.add(later)
        await until(lambda: bool(later.closed))
    assert later.closed[0] == Close.RESTART
    assert not silent.closed


def test_connections_that_came_together_end_at_moments_of_their_own(database: PostgresDatabase) -> None:
    drawn = iter([0.0, 0.5, 1.0])
    times = Times(init=10, life=1_800, blocked=30)
    post = Post(lambda: False)
    connections = Connections(
        database, post, most=100, most_a_member=10, times=times, watch_seconds=2, random=lambda: next(drawn)
    )
    now = monotonic()
    assert [connections.ends_at() - now for _ in range(3)] == pytest.approx([1_620, 1_710, 1_800], abs=5)
