"""Equal streams over sockets: executed once, and equal to what each would have been sent alone."""

from typing import Any

import pytest
from sqlalchemy import text

from resolvers import desks
from schema.transport.limits import Limits
from schema.transport.subscriptions import Rendering
from tests.support.api import Api, open_stream
from tests.support.api_world import begin_session, make_world
from tests.support.football import set_match
from tests.support.graphql_client import read_operation
from tests.support.live import until
from tests.support.settlement import play

ROUNDS = """subscription ($board: BoardInput!) {
  leaderboardUpdates(board: $board) {
    __typename
    ... on Resync { reason }
    ... on LeaderboardSnapshot { leaderboard { tournament { rounds { id } } } }
  }
}"""
IDS = ["1", 'with "quotes" and \\', "ein Tor für Köln 🏟", "x" * 300]


def without(value: Any, name: str) -> Any:
    """A value without a field, wherever it stands."""
    if isinstance(value, dict):
        return {key: without(item, name) for key, item in value.items() if key != name}
    return [without(item, name) for item in value] if isinstance(value, list) else value


async def test_what_is_spliced_equals_what_is_executed_alone(address: str, api: Api) -> None:
    world = await make_world(api)
    boards, matches = read_operation("leaderboardUpdates"), read_operation("matchUpdates")
    cases: list[tuple[str, str, str, dict[str, Any]]] = [
        (boards, "fragment BoardFields on Leaderboard {", "viewerRow { id }", {"board": {"leagueId": world.league_id}}),
        (
            matches,
            "fragment MatchCardFields on Match {",
            "viewerGuess { id }",
            {"scope": {"roundId": world.round_id(1)}},
        ),
    ]
    token = await begin_session(api, world.bob)
    async with (
        open_stream(address, token) as shared,
        open_stream(address, token) as alone,
    ):
        for document, place, private, variables in cases:
            name = private.split()[0]
            alone_document = document.replace(place, f"{place} {private}")
            assert alone_document != document
            for operation_id in IDS:
                await shared.subscribe(operation_id, document, **variables)
            await alone.subscribe("alone", alone_document, **variables)
            frames = [await shared.receive() for _ in IDS]
            native = await alone.receive()
            assert name in str(native)
            await set_match(api.database, world.locked, home_goals=4)
            await play(api.database, world.locked, 3, 2)
            frames += [await shared.receive() for _ in IDS]
            natives = [native, await alone.receive()]
            for index, operation_id in enumerate(IDS):
                for kind in range(2):
                    expected = {**without(natives[kind], name), "id": operation_id}
                    frame = next(one for one in frames[kind * len(IDS) :][: len(IDS)] if one["id"] == operation_id)
                    assert _still(frame) == _still(expected), (index, kind)
            for operation_id in IDS:
                await shared.send({"id": operation_id, "type": "complete"})
            await alone.send({"id": "alone", "type": "complete"})


def _still(frame: dict[str, Any]) -> Any:
    """Without what differs between two executions of any kind: the moment at which each ran."""
    return without(without(without(frame, "computedAt"), "stalenessMs"), "lastCheckedAt")


async def test_an_event_that_takes_too_long_to_be_read_is_given_up_and_made_good(
    address: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(api)
    board = {"tournamentId": world.tournament_id}
    begun: list[object] = []
    executed = Rendering._executed

    async def noting(*given: Any) -> Any:
        begun.append(given)
        return await executed(*given)

    monkeypatch.setattr(Rendering, "_executed", noting)
    monkeypatch.setattr(desks, "_PATIENCE", 60.0)
    async with open_stream(address) as stream:
        await stream.subscribe("read before", read_operation("leaderboardUpdates"), board=board)
        await stream.data()
        monkeypatch.setattr(Limits, "request_seconds", 0.3)
        async with api.database.begin() as other:
            await other.execute(text("LOCK TABLE rounds IN ACCESS EXCLUSIVE MODE"))
            await stream.subscribe("1", ROUNDS, board=board)
            await until(lambda: len(begun) >= 2)
        resync, snapshot = [(await stream.data())["leaderboardUpdates"] for _ in range(2)]
    assert resync == {"__typename": "Resync", "reason": "SOURCE_RESTORED"}
    assert len(snapshot["leaderboard"]["tournament"]["rounds"]) == 2
