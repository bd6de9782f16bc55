"""graphql-transport-ws to the letter, the streams over it, and why a socket is closed."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import func, text
from websockets.exceptions import InvalidStatus

from domain.execution.model import Operation, Target
from domain.league.tables import league_members
from domain.match.model import MatchStatus
from domain.tournament.store import raise_versions
from schema.transport.credentials import COOKIE
from tests.support.api import Api, Stream, closing, open_socket, open_stream, running_api, served
from tests.support.api_world import World, begin_session, end_sessions, make_world
from tests.support.executions import queue
from tests.support.football import set_match
from tests.support.graphql_client import GraphQLClient, id_of, read_operation
from tests.support.settlement import play

INIT = {"type": "connection_init"}
OWN_GUESSES = """
subscription ($scope: MatchScopeInput!) {
  matchUpdates(scope: $scope) {
    __typename
    ... on MatchSnapshot { matches { viewerGuess { goals { home away } } } }
    ... on MatchDelta { matches { viewerGuess { goals { home away } } } }
  }
}
"""
NAME = "{ __typename }"


BAD_MESSAGES: list[Any] = [
    b"binary",
    "",
    "{",
    "[]",
    '"x"',
    "17",
    "null",
    "{}",
    '{"type":17}',
    '{"type":"nonsense"}',
    '{"type":"next","id":"1","payload":{}}',
    '{"type":"ping","payload":17}',
    '{"type":"pong","payload":[]}',
    '{"type":"connection_init","payload":[]}',
    '{"type":"subscribe","payload":{"query":"{ __typename }"}}',
    '{"type":"subscribe","id":17,"payload":{"query":"{ __typename }"}}',
    '{"type":"subscribe","id":"","payload":{"query":"{ __typename }"}}',
    '{"type":"subscribe","id":"1"}',
    '{"type":"subscribe","id":"1","payload":{}}',
    '{"type":"subscribe","id":"1","payload":{"query":17}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","variables":[]}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","extensions":1}}',
    '{"type":"complete"}',
    '{"type":"x","deep":' + "[" * 200 + "]" * 200 + "}",
    '{"type":"ping","number":' + "1" * 5_000 + "}",
    '{"type":"' + "long" * 200 + '"}',
]


async def test_what_breaks_the_protocol_closes_with_4400(address: str) -> None:
    for message in BAD_MESSAGES:
        async with open_socket(address) as connection:
            await connection.send(message)
            assert (await closing(connection))[0] == 4400, message


async def test_the_other_closings_of_the_protocol(address: str) -> None:
    async with open_socket(address) as connection:
        await Stream(connection).subscribe("1", NAME)
        assert (await closing(connection))[0] == 4401
    async with open_socket(address) as connection:
        await Stream(connection).send(INIT)
        await Stream(connection).send(INIT)
        assert (await closing(connection))[0] == 4429
    async with open_stream(address) as stream:
        for _ in range(2):
            await stream.subscribe("x" * 500, "subscription { matchUpdates(scope: {matchIds: []}) { __typename } }")
        assert (await closing(stream.connection))[0] == 4409
    async with open_socket(address, subprotocols=["graphql-ws"]) as connection:
        assert (await closing(connection))[0] == 4406
    async with open_socket(address) as connection:
        await connection.send('{"type":"ping","payload":{"x":"' + "y" * 70_000 + '"}}')
        assert (await closing(connection))[0] == 1009


async def test_who_says_nothing_or_stays_too_long_is_closed(database_url: str, valkey_url: str, tmp_path: Path) -> None:
    times = {"init_timeout_seconds": 0.1, "socket_life_seconds": 0.4}
    async with running_api(database_url, valkey_url, tmp_path, **times) as api, served(api) as address:
        async with open_socket(address) as connection:
            assert (await closing(connection))[0] == 4408
        async with open_socket(address) as connection:
            await Stream(connection).begin()
            assert (await closing(connection))[0] == 1012


async def test_queries_run_and_wrong_ones_end_alone(address: str) -> None:
    async with open_stream(address) as stream:
        await stream.subscribe("1", NAME)
        first, done = await stream.receive(), await stream.receive()
        for wrong in (
            "{",
            "{ nothing }",
            "mutation { signOut { errors { code } } }",
            "query A { a: __typename } query B { b: __typename }",
        ):
            await stream.subscribe("1", wrong)
            error = await stream.receive()
            assert (error["id"], error["type"]) == ("1", "error"), wrong
            assert error["payload"][0]["extensions"]["code"] == "INVALID_INPUT"
        assert await stream.is_answered()

    assert first["payload"]["data"] == {"__typename": "Query"}
    assert first["payload"]["extensions"]["cost"] == 0
    assert done == {"id": "1", "type": "complete"}


async def test_a_socket_has_twenty_operations_and_no_more(address: str, api: Api) -> None:
    world = await make_world(api)
    document = "subscription ($id: ID!) { matchUpdates(scope: {liveOfTournamentId: $id}) { __typename } }"
    async with open_stream(address) as stream:
        for number in range(21):
            await stream.subscribe(str(number), document, id=world.tournament_id)
        messages = [await stream.receive() for _ in range(21)]
        refused = [message for message in messages if message["type"] == "error"]
        await stream.send({"id": "0", "type": "complete"})
        await stream.subscribe("another", document, id=world.tournament_id)
        again = await stream.receive()

    assert [(message["id"], message["payload"][0]["extensions"]["code"]) for message in refused] == [
        ("20", "LIMIT_REACHED")
    ]
    assert (again["id"], again["type"]) == ("another", "next")


@pytest.mark.parametrize("origin", ["https://evil.example", "http://[::1", "http://]x["])
async def test_pages_of_other_sites_open_no_socket(origin: str, address: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(address, origin=origin):
            pass
    async with open_socket(address, origin=f"http://{address}") as connection:
        await Stream(connection).begin()

    assert refused.value.response.status_code == 403
    assert [record for record in caplog.records if record.exc_info] == []


async def test_bad_tokens_and_ended_cookies_close_with_4401(address: str, api: Api) -> None:
    world = await make_world(api)
    token = await begin_session(api, world.ana)
    for payload in ({"authorization": "Bearer nonsense"}, {"authorization": 17}, {"authorization": "Basic x"}):
        async with open_socket(address) as connection:
            await Stream(connection).send({"type": "connection_init", "payload": payload})
            assert (await closing(connection))[0] == 4401, payload
    async with open_socket(address, additional_headers={"cookie": f"{COOKIE}={token}"}) as connection:
        stream = Stream(connection)
        await stream.begin()
        await stream.subscribe("1", "{ viewer { member { nickName } } }")
        assert await stream.data() == {"viewer": {"member": {"nickName": "Ana"}}}
    await end_sessions(api, world.ana)
    async with open_socket(address, additional_headers={"cookie": f"{COOKIE}={token}"}) as connection:
        await Stream(connection).send(INIT)
        assert (await closing(connection))[0] == 4401


async def test_a_session_that_ends_closes_its_sockets(address: str, api: Api) -> None:
    world = await make_world(api)
    async with (
        open_stream(address, await begin_session(api, world.ana)) as stream,
        open_stream(address, await begin_session(api, world.bob)) as stays,
    ):
        await end_sessions(api, world.ana)

        assert (await closing(stream.connection))[0] == 4401
        assert await stays.is_answered()


async def test_a_board_is_followed_from_snapshot_to_delta(address: str, api: Api) -> None:
    world = await make_world(api)
    board = {"tournamentId": world.tournament_id}
    async with open_stream(address) as stream:
        await stream.subscribe("1", read_operation("leaderboardUpdates"), board=board)
        snapshot = (await stream.data())["leaderboardUpdates"]
        await play(api.database, world.locked, 3, 2)
        delta = (await stream.data())["leaderboardUpdates"]
        while delta["__typename"] == "LeaderboardDelta" and delta["leaderboard"]["settledMatches"] < 2:
            delta = (await stream.data())["leaderboardUpdates"]

    assert snapshot["__typename"] == "LeaderboardSnapshot"
    assert [(row["member"]["nickName"], row["points"]) for row in snapshot["rows"]] == [
        ("Ana", 3),
        ("Bob", 3),
        ("Vic", 0),
    ]
    assert snapshot["version"] == snapshot["leaderboard"]["streamPosition"]["version"]
    assert delta["__typename"] == "LeaderboardDelta"
    assert delta["version"] > delta["fromVersion"] >= snapshot["version"]
    assert delta["epoch"] == snapshot["epoch"]
    rows = {row["member"]["nickName"]: row for row in delta["rows"]}
    assert (rows["Bob"]["points"], rows["Bob"]["position"], rows["Bob"]["guessedMatches"]) == (6, 1, 2)
    assert rows["Bob"]["id"] == id_of("LeaderboardRow", None, world.tournament.id, None, world.bob)


async def test_who_comes_back_current_hears_a_heartbeat_and_others_begin_anew(address: str, api: Api) -> None:
    world = await make_world(api)
    board = {"tournamentId": world.tournament_id}
    document = read_operation("leaderboardUpdates")
    async with open_stream(address) as stream:
        await stream.subscribe("1", document, board=board)
        position = (await stream.data())["leaderboardUpdates"]["leaderboard"]["streamPosition"]
        await stream.subscribe("2", document, board=board, after=position)
        current = (await stream.data())["leaderboardUpdates"]
        await stream.subscribe("3", document, board=board, after={**position, "version": 0})
        old = [(await stream.data())["leaderboardUpdates"] for _ in range(2)]
        await stream.subscribe("4", document, board=board, after={**position, "epoch": "another"})
        restored = [(await stream.data())["leaderboardUpdates"] for _ in range(2)]

    assert (current["__typename"], current["version"]) == ("Heartbeat", position["version"])
    assert [event["__typename"] for event in old] == ["Resync", "LeaderboardSnapshot"]
    assert old[0]["reason"] == "TOO_OLD"
    assert [event["__typename"] for event in restored] == ["Resync", "LeaderboardSnapshot"]
    assert restored[0]["reason"] == "UNKNOWN_EPOCH"


async def test_matches_in_play_are_followed(address: str, api: Api) -> None:
    world = await make_world(api)
    scope = {"liveOfTournamentId": world.tournament_id}
    async with open_stream(address) as stream:
        await stream.subscribe("1", read_operation("matchUpdates"), scope=scope)
        snapshot = (await stream.data())["matchUpdates"]
        await set_match(api.database, world.locked, home_goals=2)
        await _tell(api, world)
        goal = (await stream.data())["matchUpdates"]
        await set_match(api.database, world.locked, status=MatchStatus.ENDED)
        await _tell(api, world)
        end = (await stream.data())["matchUpdates"]

    assert [match["id"] for match in snapshot["matches"]] == [id_of("Match", world.locked)]
    assert [match["version"] for match in goal["matches"]] > [match["version"] for match in snapshot["matches"]]
    assert (goal["__typename"], goal["removedMatchIds"]) == ("MatchDelta", [])
    assert (end["matches"], end["removedMatchIds"]) == ([], [id_of("Match", world.locked)])


async def _tell(api: Api, world: World) -> None:
    async with api.database.begin() as connection:
        await raise_versions(connection, world.tournament.id, matches=True)


async def _first(address: str, token: str | None, document: str, **variables: Any) -> dict[str, Any]:
    """The first message of an operation."""
    async with open_stream(address, token) as stream:
        await stream.subscribe("1", document, **variables)
        return await stream.receive()


def _outcome(message: dict[str, Any]) -> str:
    return "OK" if message["type"] == "next" else str(message["payload"][0]["extensions"]["code"])


async def test_streams_are_for_whom_they_are(address: str, api: Api) -> None:
    world = await make_world(api)
    roles = [None, world.eve, world.vic, world.bob, world.ana, world.root]
    boards = read_operation("leaderboardUpdates")
    cases: list[tuple[str, dict[str, Any], list[str]]] = [
        (boards, {"board": {"tournamentId": world.tournament_id}}, ["OK"] * 6),
        (
            boards,
            {"board": {"leagueId": world.league_id}},
            ["UNAUTHENTICATED", "NOT_FOUND", "OK", "OK", "OK", "NOT_FOUND"],
        ),
        (read_operation("matchUpdates"), {"scope": {"roundId": world.round_id(0)}}, ["OK"] * 6),
    ]
    for document, variables, expected in cases:
        found = []
        for member_id in roles:
            token = await begin_session(api, member_id) if member_id else None
            found.append(_outcome(await _first(address, token, document, **variables)))
        assert found == expected, variables


async def test_executions_are_followed_by_admins_until_they_are_over(address: str, api: Api) -> None:
    world = await make_world(api)
    token = await begin_session(api, world.root)
    document = read_operation("executionUpdates")
    assert _outcome(await _first(address, None, document)) == "UNAUTHENTICATED"
    assert _outcome(await _first(address, await begin_session(api, world.ana), document)) == "FORBIDDEN"

    wanted = {"operation": {"settlePending": {}}, "reason": "to follow"}
    queued = (await api.client(token).operation("runOperation", input=wanted)).data["runOperation"]["execution"]
    async with open_stream(address, token) as stream:
        await stream.subscribe("1", document, ids=[queued["id"]])
        first = (await stream.data())["executionUpdates"]
        await stream.subscribe("2", document, ids=[id_of("Execution", world.ana)])
        unknown = await stream.receive()

    assert (first["id"], first["state"], first["reason"]) == (queued["id"], "QUEUED", "to follow")
    assert _outcome(unknown) == "NOT_FOUND"


async def test_a_change_of_an_execution_that_cannot_be_read_is_not_passed_over(address: str, api: Api) -> None:
    world = await make_world(api)
    token = await begin_session(api, world.root)
    target = Target(world.tournament.id, None, world.tournament.matches[-1])
    made = await queue(api.database, operation=Operation.SETTLE_MATCH, target=target)
    name = id_of("Execution", made.execution.id)
    async with open_stream(address, token) as stream:
        async with api.database.begin() as connection:
            await connection.execute(text("LOCK TABLE teams"))  # those of the match
            await stream.subscribe("1", read_operation("executionUpdates"), ids=[name])
            refused = await stream.receive(30)
        await stream.subscribe("2", read_operation("executionUpdates"), ids=[name])
        shown = (await stream.data())["executionUpdates"]

    assert (refused["type"], _outcome(refused)) == ("error", "UNAVAILABLE")
    assert shown["id"] == name


async def test_a_hundred_executions_are_followed_by_name_and_not_one_more(address: str, api: Api) -> None:
    world = await make_world(api, matches=104)
    token = await begin_session(api, world.root)
    targets = [Target(world.tournament.id, None, match) for match in world.tournament.matches[3:]]
    made = [await queue(api.database, operation=Operation.SETTLE_MATCH, target=target) for target in targets]
    names = [id_of("Execution", one.execution.id) for one in made]
    document = read_operation("executionUpdates")
    async with open_stream(address, token) as stream:
        await stream.subscribe("1", document, ids=names[:100])
        seen = [(await stream.data(60))["executionUpdates"]["id"] for _ in range(100)]
        for operation_id, wanted in (("2", names[:101]), ("3", [])):
            await stream.subscribe(operation_id, document, ids=wanted)
            refusal = await stream.receive(60)
            assert (refusal["id"], _outcome(refusal)) == (operation_id, "INVALID_INPUT")

    assert sorted(seen) == sorted(names[:100])


async def test_who_is_removed_from_a_league_hears_no_more_of_it(address: str, api: Api) -> None:
    world = await make_world(api)
    async with open_stream(address, await begin_session(api, world.bob)) as stream:
        await stream.subscribe("1", read_operation("leaderboardUpdates"), board={"leagueId": world.league_id})
        await stream.data()
        async with api.database.begin() as database:
            gone = league_members.update().where(league_members.c.member_id == world.bob)
            await database.execute(gone.values(left_at=func.clock_timestamp(), left_cause="REMOVED"))
        await play(api.database, world.locked, 3, 2)
        last = await stream.receive()

    assert (last["type"], _outcome(last)) == ("error", "FORBIDDEN")


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"board": {}}, "INVALID_INPUT"),
        ({"board": {"tournamentId": "nonsense"}}, "NOT_FOUND"),
        ({"board": {"tournamentId": id_of("Tournament", "0" * 32)}}, "NOT_FOUND"),
    ],
)
async def test_a_board_that_makes_no_sense_is_refused(variables: dict[str, Any], code: str, address: str) -> None:
    assert _outcome(await _first(address, None, read_operation("leaderboardUpdates"), **variables)) == code


async def test_a_window_has_one_to_a_hundred_rows(address: str, api: Api) -> None:
    world = await make_world(api)
    document = read_operation("leaderboardUpdates")
    board = {"tournamentId": world.tournament_id}
    found = [_outcome(await _first(address, None, document, board=board, first=first)) for first in (0, 1, 100, 101)]

    assert found == ["INVALID_INPUT", "OK", "OK", "INVALID_INPUT"]


async def test_it_is_served_over_http_too_and_stops_in_good_order(api: Api) -> None:
    world = await make_world(api)
    async with served(api) as address:
        async with GraphQLClient(f"http://{address}") as client:
            answer = await client.operation("liveScoreboard", id=world.tournament_id)
        connection = await open_socket(address)
        await connection.send(orjson.dumps(INIT).decode())
        await connection.recv()
    assert answer.data["tournament"]["label"] == "Test League"
    assert "server" not in answer.headers
    assert (await closing(connection))[0] == 1012


async def test_what_is_a_viewers_own_is_not_sent_to_an_ended_session(
    database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    """Anyone may follow matches; the watcher of sessions, who looks now and then, is not at work here."""
    async with running_api(database_url, valkey_url, tmp_path) as api, served(api) as address:
        api.app.state.connections._watch_seconds = 600.0
        await asyncio.sleep(0.3)  # it has looked for the last time
        world = await make_world(api)
        async with open_stream(address, await begin_session(api, world.bob)) as stream:
            await stream.subscribe("1", OWN_GUESSES, scope={"matchIds": [id_of("Match", world.locked)]})
            (shown,) = (await stream.data())["matchUpdates"]["matches"]
            assert shown["viewerGuess"]["goals"] == {"home": 3, "away": 2}
            await end_sessions(api, world.bob)
            await play(api.database, world.locked, 3, 2)
            ending = await stream.receive()
            assert (ending["type"], ending["payload"][0]["extensions"]["code"]) == ("error", "UNAUTHENTICATED")
