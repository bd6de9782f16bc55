"""GraphQL over server-sent events, distinct connections, read byte by byte; streams mean what they mean on sockets."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from domain.tournament.store import raise_versions
from tests.support.api import Api, Stream, open_socket, running_api, served
from tests.support.api_world import begin_session, end_sessions, make_world
from tests.support.football import set_match
from tests.support.graphql_client import id_of, read_operation
from tests.support.settlement import play
from tests.support.sse import event_stream

BOARDS, MATCHES = read_operation("leaderboardUpdates"), read_operation("matchUpdates")
NAME = "{ __typename }"


async def test_a_board_is_followed_resumed_and_equal_to_what_a_socket_is_sent(address: str, api: Api) -> None:
    world = await make_world(api)
    board: dict[str, Any] = {"board": {"tournamentId": world.tournament_id}}
    async with open_socket(address) as connection, event_stream(address, BOARDS, board) as events:
        assert events.status == 200
        assert events.headers["content-type"].startswith("text/event-stream")
        assert events.headers["cache-control"] == "no-store"
        assert "content-length" not in events.headers
        socket = Stream(connection)
        await socket.begin()
        await socket.subscribe("1", BOARDS, **board)
        snapshot = await events.data()
        assert snapshot == await socket.data()
        await play(api.database, world.locked, 3, 2)
        delta = await events.data()
        assert delta == await socket.data()
        assert delta["leaderboardUpdates"]["fromVersion"] == snapshot["leaderboardUpdates"]["version"]
        after = {"epoch": delta["leaderboardUpdates"]["epoch"], "version": snapshot["leaderboardUpdates"]["version"]}
        async with event_stream(address, BOARDS, {**board, "after": after}) as resumed:
            merged = (await resumed.data())["leaderboardUpdates"]
        last = (await _last(socket, delta))["leaderboardUpdates"]
        assert (merged["__typename"], merged["fromVersion"]) == ("LeaderboardDelta", after["version"])
        assert merged["version"] <= last["version"]


async def _last(socket: Stream, data: dict[str, Any]) -> dict[str, Any]:
    """What has come in the meantime."""
    try:
        while True:
            data = await socket.data(0.5)
    except TimeoutError:
        return data


async def test_queries_and_mutations_are_one_next_and_complete(address: str) -> None:
    async with event_stream(address, NAME) as events:
        name, payload = await events.event()
        assert (name, payload["data"]) == ("next", {"__typename": "Query"})
        assert payload["extensions"]["cost"] == 0
        assert await events.event() == ("complete", None)
        assert await events.event() == ("end", None)
    async with event_stream(address, "mutation { signOut { errors { code } } }") as events:
        assert (await events.event())[0] == "next"
        assert await events.event() == ("complete", None)


@pytest.mark.parametrize("document", ["{", "{ nothing }", "query A { a: __typename } query B { b: __typename }"])
async def test_a_wrong_document_is_told_by_an_event(address: str, document: str) -> None:
    async with event_stream(address, document) as events:
        assert events.status == 200
        name, payload = await events.event()
        assert name == "next"
        assert payload["errors"][0]["extensions"]["code"] == "INVALID_INPUT"
        assert "data" not in payload
        assert await events.event() == ("complete", None)


async def test_by_get_streams_and_queries_but_no_mutation(address: str, api: Api) -> None:
    world = await make_world(api)
    variables = orjson.dumps({"scope": {"roundId": world.round_id(0)}}).decode()
    target = "/graphql?" + urlencode({"query": MATCHES, "variables": variables})
    async with event_stream(address, "", method="GET", target=target) as events:
        assert (await events.data())["matchUpdates"]["__typename"] == "MatchSnapshot"
    target = "/graphql?" + urlencode({"query": "mutation { signOut { errors { code } } }"})
    async with event_stream(address, "", method="GET", target=target) as events:
        assert events.status == 405


async def test_by_head_nothing_goes_on_and_the_next_request_is_answered(address: str, api: Api) -> None:
    world = await make_world(api)
    variables = orjson.dumps({"scope": {"roundId": world.round_id(0)}}).decode()
    target = "/graphql?" + urlencode({"query": MATCHES, "variables": variables})
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for request, told in ((f"HEAD {target}", b"text/event-stream"), ("HEAD /healthz", b" 200 ")):
        writer.write(f"{request} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n".encode())
        assert told in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    writer.close()


async def test_who_takes_json_too_gets_events_for_streams_alone(address: str, api: Api) -> None:
    world = await make_world(api)
    accept = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"
    async with event_stream(address, NAME, accept=accept) as answer:
        assert answer.headers["content-type"].startswith("application/graphql-response+json")
        assert orjson.loads(await answer.body())["data"] == {"__typename": "Query"}
    scope = {"scope": {"roundId": world.round_id(0)}}
    async with event_stream(address, MATCHES, scope, accept=accept) as events:
        assert (await events.data())["matchUpdates"]["__typename"] == "MatchSnapshot"
    for without in ("application/json", "text/event-stream; q=0.0, application/json"):
        async with event_stream(address, MATCHES, scope, accept=without) as answer:
            assert b"server-sent events" in await answer.body()
    async with event_stream(address, MATCHES, scope, accept="text/event-stream;q=0, application/json;q=0") as answer:
        assert answer.status == 406


async def test_rights_are_those_of_sockets(address: str, api: Api) -> None:
    world = await make_world(api)
    board = {"board": {"leagueId": world.league_id}}
    async with event_stream(address, BOARDS, board, token="nonsense") as events:
        assert events.status == 401
    for token, code in ((None, "UNAUTHENTICATED"), (await begin_session(api, world.eve), "NOT_FOUND")):
        async with event_stream(address, BOARDS, board, token=token) as events:
            name, payload = await events.event()
            assert (name, payload["errors"][0]["extensions"]["code"]) == ("next", code)
            assert await events.event() == ("complete", None)
    async with event_stream(address, BOARDS, board, token=await begin_session(api, world.bob)) as events:
        await events.data()
        await end_sessions(api, world.bob)
        name, payload = await events.event()
        assert (name, payload["errors"][0]["extensions"]["code"]) == ("next", "UNAUTHENTICATED")
        assert await events.event() == ("complete", None)


async def test_a_stream_of_its_own_is_followed_too(address: str, api: Api) -> None:
    world = await make_world(api)
    document = """subscription ($scope: MatchScopeInput!) { matchUpdates(scope: $scope) {
        ... on MatchSnapshot { matches { viewerGuess { goals { home } } } }
        ... on MatchDelta { matches { id } } } }"""
    match_id = id_of("Match", world.locked)
    scope = {"scope": {"matchIds": [match_id]}}
    async with event_stream(address, document, scope, token=await begin_session(api, world.bob)) as events:
        first = (await events.data())["matchUpdates"]
        assert first["matches"] == [{"viewerGuess": {"goals": {"home": 3}}}]
        await set_match(api.database, world.locked, home_goals=4)
        async with api.database.begin() as connection:
            await raise_versions(connection, world.tournament.id, matches=True)
        assert (await events.data())["matchUpdates"]["matches"] == [{"id": match_id}]


async def test_an_old_stream_ends_without_complete_and_so_does_a_stopping_server(
    database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    async with running_api(database_url, valkey_url, tmp_path, socket_life_seconds=4) as api:
        world = await make_world(api)
        board = {"board": {"tournamentId": world.tournament_id}}
        async with served(api) as address, event_stream(address, BOARDS, board) as events:
            await events.data()
            assert await events.event() == ("end", None)
    async with running_api(database_url, valkey_url, tmp_path) as api:
        async with served(api) as address:
            stream = event_stream(address, BOARDS, board)
            events = await stream.__aenter__()
            await events.data()
            began = asyncio.get_running_loop().time()
        assert await events.event() == ("end", None)
        assert asyncio.get_running_loop().time() - began < 1.5
        await stream.__aexit__(None, None, None)


async def test_a_member_has_ten_connections_and_not_one_more(address: str, api: Api) -> None:
    world = await make_world(api)
    token = await begin_session(api, world.bob)
    board = {"board": {"tournamentId": world.tournament_id}}
    opened = [event_stream(address, BOARDS, board, token=token) for _ in range(11)]
    answers = []
    for stream in opened:
        events = await stream.__aenter__()
        answers.append((await events.event())[1])
    assert ["errors" in answer for answer in answers] == [False] * 10 + [True]
    assert answers[-1]["errors"][0]["extensions"]["code"] == "LIMIT_REACHED"
    await opened[0].__aexit__(None, None, None)
    async with asyncio.timeout(5):
        while True:
            async with event_stream(address, BOARDS, board, token=token) as events:
                if "errors" not in (await events.event())[1]:
                    break
    for stream in opened[1:]:
        await stream.__aexit__(None, None, None)
