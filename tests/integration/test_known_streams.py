"""Subscriptions that were asked for before, and sockets that come many at once: little is done anew, rights are."""

import asyncio
import gc
import logging
from contextlib import AsyncExitStack
from typing import Any, cast

import httpx2
import orjson
import pytest

from schema.transport.engine import Engine
from schema.transport.known import KnownStreams
from schema.transport.requests import GraphQLRequest
from schema.transport.subscriptions import SharedStream, Sharing
from tests.support.api import Api, Stream, open_socket, open_stream
from tests.support.api_world import begin_session, make_world
from tests.support.executions import until
from tests.support.graphql_client import read_operation
from tests.support.settlement import play
from tests.support.statements import recorded_statements

BOARDS = read_operation("leaderboardUpdates")


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The documents that were looked into."""
    found: list[str] = []
    prepare = Engine.prepare

    def noting(engine: Engine, request: Any, *rest: Any) -> Any:
        found.append(request.query)
        return prepare(engine, request, *rest)

    monkeypatch.setattr(Engine, "prepare", noting)
    return found


async def test_what_was_asked_for_before_is_joined_as_it_was_written(
    address: str, api: Api, prepared: list[str]
) -> None:
    world = await make_world(api)
    board = {"tournamentId": world.tournament_id}
    async with (
        open_stream(address) as first,
        open_stream(address) as stream,
    ):
        await first.subscribe("1", BOARDS, board=board)
        shown = await first.data()
        assert len(prepared) == 1
        await stream.subscribe("1", BOARDS, board=board)
        assert await stream.data() == shown
        position = shown["leaderboardUpdates"]["leaderboard"]["streamPosition"]
        await stream.subscribe("2", BOARDS, board=board, after=position)
        assert (await stream.data())["leaderboardUpdates"]["__typename"] == "Heartbeat"
        await stream.subscribe("3", BOARDS, board=board, after={**position, "version": 0})
        assert (await stream.data())["leaderboardUpdates"]["reason"] == "TOO_OLD"
        assert await stream.data() == shown
        assert len(prepared) == 1
        await play(api.database, world.locked, 3, 2)
        events = [await first.data(), *[await stream.data() for _ in range(3)]]
        assert events[1:] == events[:1] * 3
        await stream.subscribe("4", BOARDS, board=board, first=2)
        assert len((await stream.data())["leaderboardUpdates"]["rows"]) == 2
        assert len(prepared) == 2


@pytest.mark.parametrize("after", [{"epoch": "e"}, {"epoch": 1, "version": 1}, {"epoch": "e", "version": 2**31}, 7])
async def test_a_position_that_is_none_is_refused_however_well_the_rest_is_known(
    address: str, api: Api, after: Any
) -> None:
    world = await make_world(api)
    board = {"tournamentId": world.tournament_id}
    async with open_stream(address) as stream:
        await stream.subscribe("known", BOARDS, board=board)
        await stream.data()
        await stream.subscribe("1", BOARDS, board=board, after=after)
        message = await stream.receive()
        assert (message["id"], message["type"]) == ("1", "error")


@pytest.mark.parametrize("after", [{}, {"after": None}])
async def test_a_position_that_is_required_is_refused_when_it_is_missing(
    address: str, api: Api, after: dict[str, None]
) -> None:
    world = await make_world(api)
    board = {"tournamentId": world.tournament_id}
    document = BOARDS.replace("$after: StreamPositionInput", "$after: StreamPositionInput!")
    async with open_stream(address) as stream:
        await stream.subscribe("known", document, board=board, after={"epoch": "e", "version": 1})
        assert (await stream.data())["leaderboardUpdates"]["reason"] == "UNKNOWN_EPOCH"
        await stream.data()
        await stream.subscribe("1", document, board=board, **after)
        message = await stream.receive()
        assert (message["id"], message["type"]) == ("1", "error")


async def test_a_position_by_default_is_gone_on_from_each_time(address: str, api: Api) -> None:
    world = await make_world(api)
    board = {"tournamentId": world.tournament_id}
    default = '$after: StreamPositionInput = {epoch: "e", version: 1}'
    async with open_stream(address) as stream:
        for number in "12":
            await stream.subscribe(number, BOARDS.replace("$after: StreamPositionInput", default), board=board)
            assert (await stream.data())["leaderboardUpdates"]["reason"] == "UNKNOWN_EPOCH"
            await stream.data()


def test_few_documents_are_held_however_many_are_sent() -> None:
    """Else a stranger could have the process hold gigabytes of them."""
    known, unused = KnownStreams(), cast("Any", None)
    stream = SharedStream(unused, unused, Sharing(BOARDS, frozenset(), is_resumed_by_variable=True), 1, unused, unused)
    requests = [GraphQLRequest(f"{BOARDS}#{number}", {}, None) for number in range(1_000)]
    for request in requests:
        known.remember(request, stream)
        assert known.find(request) == (stream, None)
    assert sum(known.find(request) is not None for request in requests) <= 256


@pytest.mark.parametrize("name", ["after", "junk"])
def test_long_variables_are_not_held(name: str) -> None:
    known, unused = KnownStreams(), cast("Any", None)
    sharing = Sharing(BOARDS, frozenset({"after"}), is_resumed_by_variable=True)
    stream = SharedStream(unused, unused, sharing, 1, unused, unused)
    for length, is_held in ((5_000, False), (3_000, True)):
        request = GraphQLRequest(BOARDS, {name: {"epoch": "x" * length, "version": 1}}, None)
        known.remember(request, stream)
        assert (known.find(request) is not None) is is_held


async def test_each_who_joins_is_asked_for_its_own_right(address: str, api: Api, prepared: list[str]) -> None:
    world = await make_world(api)
    board = {"leagueId": world.league_id}
    codes = []
    async with AsyncExitStack() as stack:
        for member in (world.bob, world.ana, world.eve, None):
            stream = Stream(await stack.enter_async_context(open_socket(address)))
            await stream.begin(await begin_session(api, member) if member else None)
            await stream.subscribe("1", BOARDS, board=board)
            message = await stream.receive()
            codes.append(message["payload"][0]["extensions"]["code"] if message["type"] == "error" else "")
            await stream.subscribe("1", BOARDS, board=board) if message["type"] == "error" else None
    assert codes == ["", "", "NOT_FOUND", "UNAUTHENTICATED"]
    assert len(prepared) == 1


async def test_who_gives_up_while_it_joins_leaves_nothing_behind(address: str, api: Api) -> None:
    world = await make_world(api)
    board = {"leagueId": world.league_id}
    token = await begin_session(api, world.bob)
    async with (
        open_stream(address, token) as stream,
        open_stream(address, await begin_session(api, world.ana)) as keeper,
    ):
        await keeper.subscribe("1", BOARDS, board=board)
        await keeper.data()
        for number in range(50):
            await stream.subscribe(str(number), BOARDS, board=board)
            await stream.send({"id": str(number), "type": "complete"})
        await play(api.database, world.locked, 3, 2)
        assert (await keeper.data())["leaderboardUpdates"]["__typename"] == "LeaderboardDelta"
        await stream.send({"type": "ping"})
        while (message := await stream.receive())["type"] != "pong":
            assert message["payload"]["data"]["leaderboardUpdates"]["__typename"] == "LeaderboardSnapshot"


async def test_what_is_given_up_in_the_packet_that_asks_for_it_has_never_been(
    address: str, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """Its document is known, and nobody watches it, so that it has to be read first."""
    world = await make_world(api)
    board = {"tournamentId": world.tournament_id}
    async with open_stream(address) as stream:
        await stream.subscribe("first", BOARDS, board=board)
        position = (await stream.data())["leaderboardUpdates"]["leaderboard"]["streamPosition"]
        await stream.send({"id": "first", "type": "complete"})
        await until(lambda: _nothing_is_watched(api))
        for number in range(20):
            after = {"epoch": position["epoch"], "version": 2**31 - 1} if number % 2 else None
            _ask_and_give_up(stream, str(number), {"board": board, "after": after})
        await until(lambda: _nothing_is_watched(api))
        _ask_and_give_up(stream, "last", {"board": board})
        await play(api.database, world.locked, 3, 2)
        assert await stream.is_answered()
    await until(lambda: _nothing_is_watched(api))
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def _ask_and_give_up(stream: Stream, operation_id: str, variables: dict[str, Any]) -> None:
    """Both messages in one packet."""
    payload = {"query": BOARDS, "variables": variables}
    for message in ({"type": "subscribe", "payload": payload}, {"type": "complete"}):
        stream.connection.protocol.send_text(orjson.dumps({"id": operation_id, **message}))
    stream.connection.transport.write(b"".join(stream.connection.protocol.data_to_send()))


async def _nothing_is_watched(api: Api) -> bool:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=api.app), base_url="http://test") as client:
        return "\npalpite_live_windows 0.0\n" in (await client.get("/metrics")).text


async def test_sessions_of_sockets_that_begin_at_once_are_read_together(address: str, api: Api) -> None:
    world = await make_world(api)
    tokens = [await begin_session(api, member) for member in (world.ana, world.bob, world.vic) for _ in range(10)]
    async with AsyncExitStack() as stack:
        streams = [Stream(await stack.enter_async_context(open_socket(address))) for _ in tokens]
        with recorded_statements(api.database) as statements:
            await asyncio.gather(*(stream.begin(token) for stream, token in zip(streams, tokens, strict=True)))
        asked = [statement for statement in statements if "token_hash" in statement]
    assert 1 <= len(asked) <= 10
