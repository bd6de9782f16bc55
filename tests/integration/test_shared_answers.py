"""Equal queries are executed once and answered as bytes: while they are true, and nothing that is for one viewer."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from domain.errors import NotFound
from domain.leaderboard.projector import project
from domain.outbox.model import Tick, TickKind
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from integrations.valkey.ticks import publish
from resolvers import leaderboard as leaderboards
from schema.transport.credentials import COOKIE
from schema.transport.limits import Limits
from tests.support.api import Api, running_api
from tests.support.api_world import World, begin_session, end_sessions, make_world
from tests.support.graphql_client import Answer, GraphQLClient, read_operation
from tests.support.settlement import play
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.timeout(240)
LONG = {"hub_poll_seconds": 60}
"""So that nothing grows old by itself."""


@asynccontextmanager
async def world_of(database_url: str, valkey_url: str, data: Path, **settings: Any) -> AsyncIterator[World]:
    async with running_api(database_url, valkey_url, data, **settings) as api:
        world = await make_world(api, crowd=3)
        async with connect(valkey_url) as valkey:
            await project(api.database, ValkeyProjection(valkey), world.tournament.id)
        await _until_listening(api)
        yield world


async def _until_listening(api: Api) -> None:
    async with asyncio.timeout(20):
        while (await api.client().http.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - it is told in no other way
            await asyncio.sleep(0.02)


@pytest.fixture
async def world(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database_url, valkey_url, tmp_path, **LONG) as made:
        yield made


async def scoreboard(client: GraphQLClient, world: World, **variables: Any) -> Answer:
    return await client.operation("liveScoreboard", id=world.tournament_id, **variables)


def version_of(answer: Answer) -> int:
    found: int = answer.data["tournament"]["leaderboard"]["settledVersion"]
    return found


async def tick(valkey: Redis, world: World, kind: TickKind = TickKind.BOARD) -> None:
    await publish(valkey, [Tick(kind, world.tournament.id)])


async def until_settled(client: GraphQLClient, world: World, version: int) -> Answer:
    async with asyncio.timeout(20):
        while version_of(answer := await scoreboard(client, world)) < version:  # noqa: ASYNC110 - as a client sees it
            await asyncio.sleep(0.02)
    return answer


# ---------------------------------------------------------------- once for all


async def test_an_answer_by_events_is_not_kept_as_json_for_who_asks_again(world: World) -> None:
    client = await world.client(None)
    body = {"query": read_operation("liveScoreboard"), "variables": {"id": world.tournament_id}}
    told = [await client.http.post("/graphql", json=body, headers={"accept": "text/event-stream"}) for _ in range(3)]
    answer = await scoreboard(client, world)

    assert [each.headers["content-type"].split(";")[0] for each in told] == ["text/event-stream"] * 3
    assert all(orjson.loads(each.text.splitlines()[1].removeprefix("data: "))["data"] == answer.data for each in told)


async def test_an_equal_query_is_answered_without_a_statement_and_tells_its_own_request(world: World) -> None:
    client = await world.client(world.ana)
    first = await scoreboard(client, world)
    with recorded_statements(world.api.database) as statements:
        again = await scoreboard(client, world)
        anonymous = await scoreboard(await world.client(None), world)

    assert statements == []
    assert again.body["data"] == first.body["data"] == anonymous.body["data"]
    told = [answer.extensions for answer in (first, again)]
    assert told[0]["requestId"] != told[1]["requestId"]
    assert told[0]["serverTime"] < told[1]["serverTime"]
    assert told[0]["cost"] == told[1]["cost"] > 0
    assert told[0].keys() == told[1].keys()


async def test_what_is_shared_equals_what_is_executed_alone(world: World) -> None:
    """A document with one field more, which is the viewer's, is executed as it stands."""
    client = await world.client(world.ana)
    document = read_operation("liveScoreboard")
    alone = document.replace("...TournamentFields\n", "...TournamentFields viewerHasJoined\n", 1)
    assert alone != document
    shared = (await client.run(document, {"id": world.tournament_id})).data["tournament"]
    executed = (await client.run(alone, {"id": world.tournament_id})).data["tournament"]

    assert executed.pop("viewerHasJoined") is True
    assert shared == executed


async def test_a_hundred_who_ask_at_once_are_answered_by_one_execution(world: World) -> None:
    clients = [await world.client(None) for _ in range(100)]
    with recorded_statements(world.api.database) as alone:
        await scoreboard(clients[0], world, first=7)
    with recorded_statements(world.api.database) as together:
        answers = await asyncio.gather(*(scoreboard(client, world, first=8) for client in clients))

    assert len(together) <= len(alone)
    assert all(answer.body["data"] == answers[0].body["data"] for answer in answers)


async def test_the_short_way_answers_like_the_long_one(world: World) -> None:
    client = await world.client(world.ana)
    body = {"query": read_operation("liveScoreboard"), "variables": {"id": world.tournament_id}}
    for accept in ("application/json", "application/graphql-response+json", "*/*", "text/html, */*;q=0.1"):
        long, short = [await client.send(body, accept=accept, x_request_id="mine") for _ in range(2)]
        assert (long.status, short.status) == (200, 200)
        assert dict(long.headers) == dict(short.headers), accept
        assert list(long.body) == list(short.body) == ["data", "extensions"]
        assert short.extensions["requestId"] == "mine"
    refused = await client.send(body, accept="text/html")
    assert refused.status == 406
    by_get = await client.get(query=body["query"], variables=f'{{"id": "{world.tournament_id}"}}')
    assert by_get.body["data"] == short.body["data"]
    page = (await client.http.get("/metrics")).text
    assert 'palpite_http_requests_total{method="POST",path="/graphql",status="200"} 8.0' in page


# ---------------------------------------------------------------- only while it is true


@pytest.mark.parametrize("kind", [TickKind.BOARD, TickKind.MATCHES])
async def test_a_tick_ends_what_is_kept(world: World, valkey: Redis, kind: TickKind) -> None:
    client = await world.client(None)
    assert version_of(await scoreboard(client, world)) == 1
    await play(world.api.database, world.locked, 3, 2)
    assert version_of(await scoreboard(client, world)) == 1  # nobody has told
    await tick(valkey, world, kind)

    assert version_of(await until_settled(client, world, 2)) == 2


async def test_a_tick_of_another_tournament_ends_nothing(world: World, valkey: Redis) -> None:
    client = await world.client(None)
    await scoreboard(client, world)
    await publish(valkey, [Tick(TickKind.BOARD, world.league), Tick(TickKind.EXECUTION, world.tournament.id)])
    await asyncio.sleep(0.3)
    with recorded_statements(world.api.database) as statements:
        await scoreboard(client, world)
    assert statements == []


async def test_what_nobody_has_told_is_seen_before_long(database_url: str, valkey_url: str, tmp_path: Path) -> None:
    async with world_of(database_url, valkey_url, tmp_path, hub_poll_seconds=0.5) as world:
        client = await world.client(None)
        await scoreboard(client, world)
        await play(world.api.database, world.locked, 3, 2)

        assert version_of(await until_settled(client, world, 2)) == 2


async def test_what_moves_while_it_is_read_is_not_kept(world: World, valkey: Redis) -> None:
    """The tick comes before the answer is made, after its state was read."""
    client = await world.client(None)
    asked = [asyncio.create_task(scoreboard(client, world, first=n)) for n in range(1, 5)]
    await play(world.api.database, world.locked, 3, 2)
    await tick(valkey, world)
    await asyncio.gather(*asked)

    async with asyncio.timeout(20):
        while {version_of(await scoreboard(client, world, first=n)) for n in range(1, 5)} != {2}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_nothing_is_kept_while_ticks_are_not_heard(database_url: str, tmp_path: Path) -> None:
    async with running_api(database_url, "redis://127.0.0.1:1", tmp_path, **LONG) as api:
        world = await make_world(api)
        client = await world.client(None)
        assert version_of(await scoreboard(client, world)) == 1
        await play(api.database, world.locked, 3, 2)
        answer = await scoreboard(client, world)

    assert version_of(answer) == 2
    assert answer.data["tournament"]["leaderboard"]["freshness"]["source"] == "DATABASE"


# ---------------------------------------------------------------- only to whom, and only what


async def test_each_viewer_gets_his_own_row(world: World) -> None:
    rows = {}
    for member_id in (world.ana, world.bob, world.vic, world.eve, None):
        client = await world.client(member_id)
        for _ in range(2):
            answer = await client.operation("tournamentLeaderboard", id=world.tournament_id)
            row = answer.data["tournament"]["leaderboard"]["viewerRow"]
            rows.setdefault(member_id, set()).add(row and row["member"]["nickName"])

    assert rows == {world.ana: {"Ana"}, world.bob: {"Bob"}, world.vic: {"Vic"}, world.eve: {None}, None: {None}}


async def test_every_variable_makes_another_query_cursors_too(world: World) -> None:
    client = await world.client(None)
    document = """query ($id: ID!, $first: Int, $after: String) {
        tournament(id: $id) {
            leaderboard { rows(first: $first, after: $after) { edges { cursor node { position } } } }
        }
    }"""

    async def positions(**variables: Any) -> tuple[list[int], str]:
        answer = await client.run(document, {"id": world.tournament_id, **variables})
        edges = answer.data["tournament"]["leaderboard"]["rows"]["edges"]
        return [edge["node"]["position"] for edge in edges], edges[-1]["cursor"]

    top, cursor = await positions(first=2)
    rest = [await positions(first=2, after=cursor) for _ in range(2)]

    assert (top, [found for found, _ in rest]) == ([1, 2], [[3, 4], [3, 4]])
    assert (await positions())[0] == [1, 2, 3, 4, 5, 6]


async def test_errors_are_not_kept(world: World) -> None:
    client = await world.client(None)
    asked = {"id": world.tournament_id, "round": "nonsense"}
    answers = [await client.operation("liveScoreboard", **asked) for _ in range(2)]
    unknown = [await client.operation("liveScoreboard", id="nonsense") for _ in range(2)]

    assert [answer.codes for answer in answers] == [["NOT_FOUND"]] * 2
    assert answers[0].errors[0]["extensions"]["requestId"] != answers[1].errors[0]["extensions"]["requestId"]
    assert [answer.data for answer in unknown] == [{"tournament": None}] * 2


async def test_what_takes_too_long_is_executed_once_and_waited_for_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun = []

    async def open_board(*_: Any, **__: Any) -> None:
        begun.append(1)
        await asyncio.Event().wait()

    monkeypatch.setattr(leaderboards, "open_board", open_board)
    monkeypatch.setattr(Limits, "request_seconds", 1.0)
    client = await world.client(None)
    started = monotonic()
    first = asyncio.create_task(scoreboard(client, world))
    await asyncio.sleep(0.5)
    answers = [await scoreboard(client, world), await first]

    assert [(answer.status, answer.codes, answer.body["data"]) for answer in answers] == [
        (200, ["UNAVAILABLE"], None)
    ] * 2
    assert (len(begun), monotonic() - started < 1.4) == (1, True)
    told = [answer.errors[0]["extensions"]["requestId"] for answer in answers]
    assert told == [answer.extensions["requestId"] for answer in answers]
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_what_fails_for_all_is_executed_for_its_viewer_in_the_time_that_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    async def open_board(*_: Any, **__: Any) -> None:
        begun.append(1)
        await asyncio.sleep(0.7)
        raise NotFound("There is no board.")

    monkeypatch.setattr(leaderboards, "open_board", open_board)
    monkeypatch.setattr(Limits, "request_seconds", 1.0)
    started = monotonic()
    answer = await scoreboard(await world.client(None), world)

    assert (answer.codes, len(begun), monotonic() - started < 1.3) == (["UNAVAILABLE"], 2, True)


@pytest.mark.parametrize("how", ["token", "cookie"])
async def test_a_session_that_ends_elsewhere_is_noticed_soon(
    database_url: str, valkey_url: str, tmp_path: Path, how: str
) -> None:
    async with world_of(database_url, valkey_url, tmp_path, hub_poll_seconds=1) as world:
        token = await begin_session(world.api, world.ana)
        client = world.api.client(token if how == "token" else None)
        if how == "cookie":
            client.http.cookies.set(COOKIE, token)
        assert (await scoreboard(client, world)).status == 200
        await end_sessions(world.api, world.ana)
        async with asyncio.timeout(5):
            while (answer := await scoreboard(client, world)).status == 200:
                if answer.extensions.get("sessionEnded"):
                    break
                await asyncio.sleep(0.05)

    if how == "token":
        assert (answer.status, answer.codes) == (401, ["UNAUTHENTICATED"])
    else:
        assert f"{COOKIE}=" in answer.headers["set-cookie"]


async def test_who_signs_out_is_out_at_once(world: World) -> None:
    client = await world.client(world.ana)
    await scoreboard(client, world)
    assert (await client.operation("signOut")).data["signOut"]["errors"] == []

    assert (await scoreboard(client, world)).status == 401


@pytest.mark.parametrize("token", ["wrong", "", "x" * 600])
async def test_a_wrong_token_is_refused_whatever_is_kept(world: World, token: str) -> None:
    await scoreboard(await world.client(world.ana), world)
    answer = await world.api.client().run(
        read_operation("liveScoreboard"), {"id": world.tournament_id}, authorization=f"Bearer {token}"
    )
    assert answer.status == 401
