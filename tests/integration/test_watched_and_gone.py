"""What is watched is unlinked, deleted, or no longer for who watches: streams end as the contract says, or go on."""

from typing import Any

import pytest

from tests.support.api import Api, Stream, open_stream
from tests.support.api_world import begin_session, make_world
from tests.support.graphql_client import GraphQLClient, id_of, read_operation
from tests.support.settlement import play

BOARDS = read_operation("leaderboardUpdates")
LINKS = "query ($id: ID!) { league(id: $id) { tournaments { id } } }"
pytestmark = pytest.mark.timeout(300)


async def test_a_board_of_a_tournament_that_a_league_drops_ends_and_its_total_goes_on(address: str, api: Api) -> None:
    world = await make_world(api)
    ana = await world.client(world.ana)
    part = {"leagueId": world.league_id, "tournamentId": world.tournament_id}
    async with open_stream(address, await begin_session(api, world.bob)) as stream:
        await _follow(stream, "part", part)
        total = await _follow(stream, "total", {"leagueId": world.league_id})
        (link,) = (await ana.run(LINKS, {"id": world.league_id})).data["league"]["tournaments"]
        await _done(ana, "removeLeagueTournament", leagueTournamentId=link["id"])
        messages = {message["id"]: message for message in [await stream.receive(30), await stream.receive(30)]}
        assert (messages["part"]["type"], _code(messages["part"])) == ("error", "FORBIDDEN")
        delta = messages["total"]["payload"]["data"]["leaderboardUpdates"]
        assert (delta["__typename"], delta["fromVersion"]) == ("LeaderboardDelta", total["version"])
        assert {row["points"] for row in delta["rows"]} == {0}
        await stream.subscribe("again", BOARDS, board=part)
        refused = await stream.receive(30)
        assert (refused["id"], _code(refused)) == ("again", "NOT_FOUND")
        await _done(ana, "addLeagueTournament", leagueId=world.league_id, tournamentId=world.tournament_id)
        linked = await stream.data(30)
        assert linked["leaderboardUpdates"]["fromVersion"] == delta["version"]
        again = await _follow(stream, "again", part)
        shown = linked["leaderboardUpdates"]["rows"]
        assert {row["points"] for row in again["rows"]} == {row["points"] for row in shown} == {3}


async def test_a_league_that_is_deleted_is_shown_to_nobody_any_more(address: str, api: Api) -> None:
    world = await make_world(api)
    ana = await world.client(world.ana)
    async with (
        open_stream(address, await begin_session(api, world.bob)) as bob,
        open_stream(address, await begin_session(api, world.ana)) as founder,
    ):
        boards = ({"leagueId": world.league_id}, {"leagueId": world.league_id, "tournamentId": world.tournament_id})
        for stream in (bob, founder):
            for number, board in enumerate(boards):
                await _follow(stream, str(number), board)
            await _follow(stream, "public", {"tournamentId": world.tournament_id})
        await _done(ana, "deleteLeague", leagueId=world.league_id)
        await play(api.database, world.locked, 3, 2)
        for stream in (bob, founder):
            messages = [await stream.receive(30) for _ in range(3)]
            ended = {message["id"]: _code(message) for message in messages if message["type"] == "error"}
            assert ended == {"0": "FORBIDDEN", "1": "FORBIDDEN"}
            assert [message["id"] for message in messages if message["type"] == "next"] == ["public"]


async def test_who_is_no_platform_admin_any_more_follows_nothing_of_operations(address: str, api: Api) -> None:
    world = await make_world(api)
    root = await world.client(world.root)
    await _done(root, "changePlatformRole", memberId=id_of("Member", world.ana), role="ADMIN", reason="to see")
    async with open_stream(address, await begin_session(api, world.ana)) as stream:
        await stream.subscribe("operations", read_operation("operationsUpdates"))
        await stream.data(30)
        await stream.subscribe("executions", read_operation("executionUpdates"))
        await _done(root, "changePlatformRole", memberId=id_of("Member", world.ana), role="MEMBER", reason="has seen")
        ended: dict[str, str] = {}
        while len(ended) < 2:
            message = await stream.receive(6)
            if message["type"] == "error":
                ended[message["id"]] = _code(message)
        assert ended == {"operations": "FORBIDDEN", "executions": "FORBIDDEN"}
        assert await stream.is_answered()


async def _follow(stream: Stream, operation_id: str, board: dict[str, str]) -> dict[str, Any]:
    """The snapshot; a machine that is busy may be too late at first."""
    while True:
        await stream.subscribe(operation_id, BOARDS, board=board)
        message = await stream.receive(30)
        if message["type"] == "next":
            first: dict[str, Any] = message["payload"]["data"]["leaderboardUpdates"]
            assert first["__typename"] == "LeaderboardSnapshot"
            return first
        assert _code(message) == "UNAVAILABLE"


async def _done(client: GraphQLClient, name: str, **given: Any) -> None:
    answer = await client.operation(name, input=given)
    assert answer.data[name]["errors"] == [], answer


def _code(message: dict[str, Any]) -> str:
    code: str = message["payload"][0]["extensions"]["code"]
    return code
