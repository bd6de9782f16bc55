"""GraphQL over server-sent events, distinct connections, read byte by byte; streams mean what they mean on sockets."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from domain.tournament.store import raise_versions
from schema.transport.credentials import COOKIE
from tests.support.api import PASSWORD, Api, Stream, open_socket, running_api, served
from tests.support.api_world import begin_session, end_sessions, make_world
from tests.support.football import set_match
from tests.support.graphql_client import GraphQLClient, id_of, read_operation
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


async def test_who_signs_in_and_out_by_events_is_given_the_cookie_and_loses_it(api: Api) -> None:
    await api.sign_up("Ana")
    sign_in = f'mutation {{ signIn(input: {{email: "ana@example.org", password: "{PASSWORD}"}}) {{ token }} }}'
    async with api.client() as client:
        cookie, signed_in = await _by_events(client, sign_in)
        _, me = await _by_events(client, "{ viewer { email } }")
        deleted, signed_out = await _by_events(client, "mutation { signOut { errors { code } } }")
        _, nobody = await _by_events(client, "{ viewer { email } }")
    assert signed_in["data"] == {"signIn": {"token": None}}
    assert cookie is not None
    assert "HttpOnly" in cookie
    assert me["data"] == {"viewer": {"email": "ana@example.org"}}
    assert signed_out["data"] == {"signOut": {"errors": []}}
    assert deleted is not None
    assert f'{COOKIE}=""' in deleted
    assert nobody["data"] == {"viewer": None}
    assert "sessionEnded" not in nobody["extensions"]


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        ("{ viewer { email } tournaments { edges { cursor } } }", None),
        ("{ tournaments(joined: true) { edges { cursor } } }", None),
        ("mutation { signOut { errors { code } } }", None),
        ("{ nothing }", None),
        ("query ($first: Int!) { tournaments(first: $first) { edges { cursor } } }", {"first": "many"}),
    ],
)
async def test_with_an_ended_cookie_an_event_tells_all_that_json_does(
    api: Api, document: str, variables: dict[str, Any] | None
) -> None:
    async with api.client() as client:
        _end_cookie(client)
        deleted, told = await _by_events(client, document, variables)
        _end_cookie(client)
        answer = await client.run(document, variables, x_request_id="asked")
    assert told["extensions"].pop("serverTime").endswith("Z")
    assert answer.extensions.pop("serverTime").endswith("Z")
    assert told == answer.body
    assert told["extensions"]["sessionEnded"] is True
    assert deleted is not None
    assert _without_expiry(deleted) == _without_expiry(answer.headers["set-cookie"])


async def test_a_stream_that_is_refused_tells_what_every_answer_does(api: Api) -> None:
    world = await make_world(api)
    async with api.client() as client:
        _end_cookie(client)
        deleted, told = await _by_events(client, BOARDS, {"board": {"leagueId": world.league_id}})
    assert told["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert told["extensions"].pop("serverTime").endswith("Z")
    assert told["extensions"].pop("cost") > 0
    assert told["extensions"] == {"requestId": "asked", "sessionEnded": True}
    assert deleted is not None
    assert f'{COOKIE}=""' in deleted


def _without_expiry(cookie: str) -> list[str]:
    """It is the moment of the answer."""
    return [part for part in cookie.split("; ") if not part.startswith("expires=")]


def _end_cookie(client: GraphQLClient) -> None:
    client.http.cookies.set(COOKIE, "ended", domain="127.0.0.1", path="/")


async def _by_events(
    client: GraphQLClient, document: str, variables: dict[str, Any] | None = None
) -> tuple[str | None, dict[str, Any]]:
    """What an answer does to the cookie, and its one event."""
    body, headers = (
        {"query": document, "variables": variables},
        {"accept": "text/event-stream", "x-request-id": "asked"},
    )
    response = await client.http.post("/graphql", json=body, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    told, complete, end = response.text.removeprefix(":\n\n").split("\n\n")
    assert (complete, end) == ("event: complete\ndata: ", "")
    name, _, data = told.partition("\ndata: ")
    assert name == "event: next"
    return response.headers.get("set-cookie"), orjson.loads(data)


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
    query = "/graphql?" + urlencode({"query": NAME})
    asked = [f"HEAD {target}", f"HEAD {query}", "HEAD /healthz"]
    for request, told in zip(asked, (b"text/event-stream", b"text/event-stream", b" 200 "), strict=True):
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
            assert not api.app.state.connections._open
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
