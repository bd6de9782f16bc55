"""Boards of earlier moments through the API: their ids, cursors of all kinds, pages both ways, search, refusals."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, update

from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import RankedRow
from domain.leaderboard.projector import project
from domain.tournament.store import raise_versions
from domain.tournament.tables import rounds, tournaments
from integrations.valkey.projection import ValkeyProjection
from resolvers import leaderboard as leaderboards
from resolvers.context import Context
from schema.transport.limits import Limits
from tests.support.api import Api, running_api
from tests.support.api_world import World, make_world
from tests.support.football import make_league, make_members, make_tournament
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.settlement import play

pytestmark = pytest.mark.timeout(240)
BOARD = """
query ($id: ID!, $round: ID, $asOf: BoardMomentInput, $settledOnly: Boolean = false) {
  tournament(id: $id) {
    leaderboard(roundId: $round, asOf: $asOf, settledOnly: $settledOnly) {
      id settledVersion settledMatches streamPosition { version } freshness { source provisional pendingMatches }
      rows { edges { node { id rank points settledPoints movement history { rank } member { nickName } } } }
    }
  }
}
"""


@pytest.fixture
async def world(api: Api) -> World:
    """Version 1 is the world's; in version 2 Bob has another three points, in the second round."""
    made = await make_world(api, crowd=3)
    await _begin_round(made, 0)
    await _begin_round(made, 1)
    await play(api.database, made.locked, 3, 2)
    return made


async def _begin_round(world: World, number: int) -> None:
    version = (
        update(tournaments).where(tournaments.c.id == world.tournament.id).returning(tournaments.c.settled_version)
    )
    async with world.api.database.begin() as connection:
        since = {"movement_version": tournaments.c.settled_version, "movement_at": func.clock_timestamp()}
        current = await connection.execute(version.values(current_round_id=world.tournament.rounds[number], **since))
        begun = update(rounds).where(rounds.c.id == world.tournament.rounds[number])
        values = {"baseline_version": current.scalar_one(), "baseline_at": func.clock_timestamp()}
        await connection.execute(begun.values(values))
        await raise_versions(connection, world.tournament.id, board=True)


async def _board(client: GraphQLClient, world: World, **variables: Any) -> dict[str, Any]:
    answer = await client.run(BOARD, {"id": world.tournament_id, **variables})
    board: dict[str, Any] = answer.data["tournament"]["leaderboard"]
    return board


def _points(board: dict[str, Any]) -> dict[str, int]:
    return {edge["node"]["member"]["nickName"]: edge["node"]["points"] for edge in board["rows"]["edges"]}


async def test_a_board_of_an_earlier_moment(world: World) -> None:
    client = await world.client(None)
    now = await _board(client, world)
    by_version = await _board(client, world, asOf={"settledVersion": 1})
    by_round = await _board(client, world, asOf={"afterRoundId": world.round_id(0)})
    by_time = await _board(client, world, asOf={"time": datetime.now(UTC).isoformat()})
    before = await _board(client, world, asOf={"settledVersion": 0})
    latest = await _board(client, world, asOf={"afterRoundId": world.round_id(1)})

    assert (_points(now)["Ana"], _points(now)["Bob"]) == (3, 6)
    assert _points(by_time) == _points(latest) == _points(now)
    assert _points(by_version) == _points(by_round)
    assert (_points(by_version)["Ana"], _points(by_version)["Bob"]) == (3, 3)
    assert set(_points(before).values()) == {0}
    assert [board["settledVersion"] for board in (now, by_version, by_round, by_time, before)] == [2, 1, 1, 2, 0]
    assert [board["settledMatches"] for board in (now, by_version, by_round, by_time, before)] == [2, 1, 1, 2, 0]
    for board in (by_version, by_round, by_time, before, latest):
        assert board["streamPosition"] is None
        assert board["freshness"]["provisional"] is False
        assert {edge["node"]["movement"] for edge in board["rows"]["edges"]} == {None}
    assert now["streamPosition"]["version"] > 0
    assert {edge["node"]["movement"] for edge in now["rows"]["edges"]} != {None}
    assert all(edge["node"]["history"] == [] for edge in now["rows"]["edges"])


async def test_ids_tell_moments_apart_and_lead_back_to_them(world: World) -> None:
    client = await world.client(None)
    time = "2026-01-02T03:04:05.000006Z"
    moments: list[dict[str, Any]] = [
        {},
        {"settledOnly": True},
        {"asOf": {"settledVersion": 1}},
        {"asOf": {"settledVersion": 1}, "settledOnly": True},
        {"asOf": {"settledVersion": 2}},
        {"asOf": {"afterRoundId": world.round_id(0)}},
        {"asOf": {"afterRoundId": world.round_id(1)}},
        {"asOf": {"time": datetime.now(UTC).isoformat()}},
        {"asOf": {"settledVersion": 1}, "round": world.round_id(0)},
    ]
    boards = [await _board(client, world, **moment) for moment in moments]
    rows = [board["rows"]["edges"][0]["node"] for board in boards]

    assert len({board["id"] for board in boards}) == len({row["id"] for row in rows}) == len(moments)
    document = "query ($id: ID!) { node(id: $id) { id ... on Leaderboard { settledVersion settledMatches }"
    document += " ... on LeaderboardRow { rank points } } }"
    for board, row in zip(boards, rows, strict=True):
        again = (await client.run(document, {"id": board["id"]})).data["node"]
        assert again == {name: board[name] for name in ("id", "settledVersion", "settledMatches")}
        again = (await client.run(document, {"id": row["id"]})).data["node"]
        assert again == {name: row[name] for name in ("id", "rank", "points")}
    assert boards[0]["id"] == id_of("Leaderboard", None, world.tournament.id, None)
    empty = await _board(client, world, asOf={"time": time})
    assert empty["rows"]["edges"] == []
    assert empty["id"] == id_of("Leaderboard", None, world.tournament.id, None, "t1767323045000006", None)


async def test_an_id_of_no_moment_is_of_nothing(world: World) -> None:
    none = ["v01", "v-1", "v3", "x1", "t9" * 12]
    client, tournament_id = await world.client(None), world.tournament.id
    round_id = world.tournament.rounds[0]
    nodes = [id_of("LeaderboardRow", None, tournament_id, None)]
    for board in ((None, None, None), (None, None, round_id), (world.league, None, round_id)):
        nodes.append(id_of("Leaderboard", *board))
        nodes.append(id_of("LeaderboardRow", *board, world.ana))
        nodes.append(id_of("Leaderboard", *board, "v0", None))
    for moment in (("", ""), *((each, "") for each in none), ("v1", "x"), ("v1",), ("v1", "", "")):
        nodes.append(id_of("Leaderboard", None, tournament_id, None, *moment))
        nodes.append(id_of("LeaderboardRow", None, tournament_id, None, world.ana, *moment))

    for node in nodes:
        answer = await client.run("query ($id: ID!) { node(id: $id) { id } }", {"id": node})
        assert answer.data == {"node": None}, node


async def test_only_what_is_settled_is_the_same_while_nothing_is_provisional(world: World) -> None:
    client = await world.client(None)
    now, settled = await _board(client, world), await _board(client, world, settledOnly=True)

    assert settled["streamPosition"] is None
    assert settled["id"] != now["id"]
    assert _points(settled) == _points(now)
    movements = [[edge["node"]["movement"] for edge in board["rows"]["edges"]] for board in (now, settled)]
    assert movements[0] == movements[1]


async def test_moments_that_a_board_has_not_had(world: World) -> None:
    client = await world.client(None)
    for moment, code in (
        ({"settledVersion": 3}, "INVALID_INPUT"),
        ({"settledVersion": -1}, "INVALID_INPUT"),
        ({"time": "3026-01-02T03:04:05Z"}, "INVALID_INPUT"),
        ({"afterRoundId": "nonsense"}, "NOT_FOUND"),
        ({"afterRoundId": id_of("Round", "0" * 32)}, "NOT_FOUND"),
    ):
        answer = await client.run(BOARD, {"id": world.tournament_id, "asOf": moment})

        assert answer.codes == [code], moment
        assert answer.body["data"]["tournament"]["leaderboard"] is None
        assert next(iter(moment)) in answer.errors[0]["message"] or code == "NOT_FOUND"


async def test_a_leagues_total_has_no_version_and_outsiders_see_no_past(world: World) -> None:
    ana, eve = await world.client(world.ana), await world.client(world.eve)
    total = await ana.operation("leagueLeaderboard", id=world.league_id, asOf={"settledVersion": 1})
    one: dict[str, Any] = {"tournament": world.tournament_id, "asOf": {"settledVersion": 1}}
    in_one = await ana.operation("leagueLeaderboard", id=world.league_id, **one)
    foreign = await eve.operation("leagueLeaderboard", id=world.league_id, **one)
    board = in_one.data["league"]["leaderboard"]
    node = await eve.run("query ($id: ID!) { node(id: $id) { id } }", {"id": board["id"]})

    assert total.codes == ["INVALID_INPUT"]
    assert board["settledVersion"] == 1
    assert board["viewerRow"]["points"] == 3
    assert [row["position"] for row in board["viewerNeighbours"]] == [1, 2, 3]
    assert foreign.data == {"league": None}
    assert node.data == {"node": None}
    again = await ana.run("query ($id: ID!) { node(id: $id) { id } }", {"id": board["id"]})
    assert again.data == {"node": {"id": board["id"]}}


async def test_the_history_of_a_leagues_members(world: World) -> None:
    client = await world.client(world.ana)
    answer = await client.operation("leagueHistory", id=world.league_id, tournament=world.tournament_id)
    edges = answer.data["league"]["leaderboard"]["rows"]["edges"]

    shown = {
        edge["node"]["member"]["nickName"]: [
            (after["round"]["position"], after["rank"], after["points"], after["roundPoints"])
            for after in edge["node"]["history"]
        ]
        for edge in edges
    }
    assert shown["Bob"] == [(1, 2, 3, 3), (2, 1, 6, 3)]
    assert shown["Ana"] == [(1, 1, 3, 3), (2, 2, 3, 0)]
    assert len(shown) == 5


# ---------------------------------------------------------------- pages

ROWS = """
query ($id: ID!, $round: ID, $asOf: BoardMomentInput, $settledOnly: Boolean = false,
    $first: Int, $after: String, $last: Int, $before: String, $search: String) {
  tournament(id: $id) {
    leaderboard(roundId: $round, asOf: $asOf, settledOnly: $settledOnly) {
      rows(first: $first, after: $after, last: $last, before: $before, search: $search) {
        totalCount boardMoved edges { cursor node { position } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
}
"""


async def _rows(client: GraphQLClient, world: World, **variables: Any) -> dict[str, Any]:
    answer = await client.run(ROWS, {"id": world.tournament_id, **variables})
    rows: dict[str, Any] = answer.data["tournament"]["leaderboard"]["rows"]
    return rows


def _positions(rows: dict[str, Any]) -> list[int]:
    return [edge["node"]["position"] for edge in rows["edges"]]


async def test_rows_are_paged_both_ways(world: World) -> None:
    client = await world.client(None)
    top = await _rows(client, world, first=2)
    end = await _rows(client, world, last=2)
    before_end = await _rows(client, world, last=3, before=end["pageInfo"]["startCursor"])
    before_top = await _rows(client, world, last=3, before=top["pageInfo"]["startCursor"])
    behind_end = await _rows(client, world, after=end["pageInfo"]["endCursor"])
    whole = await _rows(client, world)

    assert [_positions(rows) for rows in (top, before_end, end, whole)] == [
        [1, 2],
        [2, 3, 4],
        [5, 6],
        [1, 2, 3, 4, 5, 6],
    ]
    ends = [(rows["pageInfo"]["hasPreviousPage"], rows["pageInfo"]["hasNextPage"]) for rows in (top, before_end, end)]
    assert ends == [(False, True), (True, True), (True, False)]
    assert (_positions(before_top), before_top["pageInfo"]) == (
        [],
        {"hasNextPage": True, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    )
    assert (_positions(behind_end), behind_end["pageInfo"]["hasPreviousPage"]) == ([], True)
    assert _positions(await _rows(client, world, before=end["pageInfo"]["endCursor"])) == [1, 2, 3, 4, 5]


async def test_a_search_keeps_positions_and_has_cursors_of_its_own(world: World) -> None:
    client = await world.client(None)
    found = await _rows(client, world, search="MEMBER", first=2)
    rest = await _rows(client, world, search="MEMBER", after=found["pageInfo"]["endCursor"])
    whole = await _rows(client, world, search="")

    assert len(found["edges"]) + len(rest["edges"]) == 3
    assert (found["totalCount"], whole["totalCount"], len(whole["edges"])) == (6, 6, 6)
    assert (await _rows(client, world, search="nobody"))["edges"] == []
    for elsewhere in ({"search": "Mem"}, {}):
        variables = {"id": world.tournament_id, "after": found["pageInfo"]["endCursor"], **elsewhere}
        assert (await client.run(ROWS, variables)).codes == ["INVALID_INPUT"]


async def test_what_no_page_can_be(world: World) -> None:
    client = await world.client(None)
    for variables in (
        *({name: size} for name in ("first", "last") for size in (0, -1, 101, 10**9)),
        {"first": 5, "last": 5},
        {"search": "x" * 101},
        {"search": "a\u202eb"},
        {"search": "a\nb"},
    ):
        answer = await client.run(ROWS, {"id": world.tournament_id, **variables})
        assert answer.codes == ["INVALID_INPUT"], variables


async def test_neighbours_are_one_to_ten_rows_on_each_side(world: World) -> None:
    bob = await world.client(world.bob)
    for radius in (-1, 0, 11):
        answer = await bob.operation("tournamentLeaderboard", id=world.tournament_id, radius=radius)
        assert answer.codes == ["INVALID_INPUT"], radius
    for radius, positions in ((1, [1, 2]), (10, [1, 2, 3, 4, 5, 6])):
        answer = await bob.operation("tournamentLeaderboard", id=world.tournament_id, radius=radius)
        rows = answer.data["tournament"]["leaderboard"]["viewerNeighbours"]
        assert [row["position"] for row in rows] == positions


OWN = """
query ($tournament: ID!, $league: ID!, $after: String) {
  tournament(id: $tournament) { leaderboard { ...Own } }
  league(id: $league) { leaderboard { ...Own } }
}
fragment Own on Leaderboard {
  rows(first: 1, after: $after) { edges { node { position rank points } } pageInfo { endCursor hasNextPage } }
  viewerRow { position rank points }
  viewerNeighbours(radius: 1) { position rank points }
}
"""


async def test_the_viewers_row_is_the_same_beside_every_page_and_nobodys_else_has_one(world: World) -> None:
    bob = await world.client(world.bob)
    document = OWN.replace("  league(id: $league) { leaderboard { ...Own } }\n", "").replace(", $league: ID!", "")
    rows, own, after = [], [], None
    for _ in range(6):
        answer = await bob.run(document, {"tournament": world.tournament_id, "after": after})
        board = answer.data["tournament"]["leaderboard"]
        rows += [edge["node"] for edge in board["rows"]["edges"]]
        own.append((board["viewerRow"], board["viewerNeighbours"]))
        after = board["rows"]["pageInfo"]["endCursor"]
    assert board["rows"]["pageInfo"]["hasNextPage"] is False
    assert own == [(rows[0], rows[:2])] * 6

    ids = {"tournament": world.tournament_id, "league": world.league_id}
    as_watcher, as_outsider, as_nobody = [
        (await (await world.client(who)).run(OWN, ids)).data for who in (world.vic, world.eve, None)
    ]
    nothing: dict[str, Any] = {"viewerRow": None, "viewerNeighbours": []}
    for board in (as_watcher["league"], as_outsider["tournament"], as_nobody["tournament"]):
        assert {name: board["leaderboard"][name] for name in nothing} == nothing
    assert as_watcher["tournament"]["leaderboard"]["viewerRow"] in rows


async def test_cursors_are_of_their_board_moment_and_direction(world: World) -> None:
    client = await world.client(None)
    past = {"asOf": {"settledVersion": 1}}
    cursor = (await _rows(client, world, first=2))["pageInfo"]["endCursor"]
    of_past = (await _rows(client, world, first=2, **past))["pageInfo"]["endCursor"]
    of_round = (await _rows(client, world, first=2, round=world.round_id(0)))["pageInfo"]["endCursor"]
    forged = [
        "",
        "nonsense",
        "x" * 3000,
        _forged(cursor, ["1", "2"]),
        _forged(cursor, ["-1", "2", world.ana.hex]),
        _forged(cursor, ["1", str(2**60), world.ana.hex]),
        _forged(cursor, ["1", "2", "nobody"]),
        _forged(cursor, ["1", "2", world.ana.hex], mark="0" * 16),
    ]
    well_formed = await _rows(client, world, after=_forged(cursor, ["1", "2", world.ana.hex]))
    assert well_formed["boardMoved"] is True
    foreign = [
        *({"after": text} for text in (*forged, of_past, of_round)),
        *({"before": text} for text in (*forged, of_past, of_round)),
        {"after": cursor, **past},
        {"before": cursor, "settledOnly": True},
        {"after": of_past, "asOf": {"settledVersion": 2}},
        {"after": cursor, "last": 2},
        {"after": cursor, "before": cursor},
        {"before": cursor, "first": 2},
    ]
    for variables in foreign:
        answer = await client.run(ROWS, {"id": world.tournament_id, **variables})
        assert answer.codes == ["INVALID_INPUT"], variables


LEAGUE_ROWS = """
query ($id: ID!, $tournament: ID, $round: ID, $after: String) {
  league(id: $id) {
    leaderboard(tournamentId: $tournament, roundId: $round) {
      rows(first: 1, after: $after) { boardMoved edges { node { position } } pageInfo { endCursor } }
    }
  }
}
"""


async def test_boards_of_elsewhere_are_refused(world: World) -> None:
    database = world.api.database
    other = await make_tournament(database, matches=1)
    foreign_round, foreign = id_of("Round", other.rounds[0]), id_of("Tournament", other.id)
    second = await make_league(database, "Family", world.ana, plays=[world.tournament])
    ana, eve = await world.client(world.ana), await world.client(world.eve)
    refused = [
        await ana.run(ROWS, {"id": world.tournament_id, "round": foreign_round}),
        await ana.run(LEAGUE_ROWS, {"id": world.league_id, "tournament": foreign}),
        await ana.run(LEAGUE_ROWS, {"id": world.league_id, "round": foreign_round}),
        await ana.run(LEAGUE_ROWS, {"id": world.league_id, "tournament": foreign, "round": world.round_id(0)}),
        await ana.run(LEAGUE_ROWS, {"id": world.league_id, "tournament": world.league_id}),
    ]
    outside = await eve.run(LEAGUE_ROWS, {"id": world.league_id})
    page = await ana.run(LEAGUE_ROWS, {"id": world.league_id})
    cursor = page.data["league"]["leaderboard"]["rows"]["pageInfo"]["endCursor"]
    of_other_league = await ana.run(LEAGUE_ROWS, {"id": id_of("League", second), "after": cursor})
    of_total = await ana.run(LEAGUE_ROWS, {"id": world.league_id, "tournament": world.tournament_id, "after": cursor})

    assert [answer.codes for answer in refused] == [["NOT_FOUND"]] * len(refused)
    assert outside.data == {"league": None}
    assert [of_other_league.codes, of_total.codes] == [["INVALID_INPUT"]] * 2


async def test_an_outdated_cursor_goes_on_and_says_so_but_not_on_a_past_board(world: World) -> None:
    client = await world.client(None)
    past = {"asOf": {"settledVersion": 2}}
    cursor = (await _rows(client, world, first=2))["pageInfo"]["endCursor"]
    of_past = await _rows(client, world, first=2, **past)
    await play(world.api.database, world.settled, 0, 1)

    moved = await _rows(client, world, after=cursor)
    still = await _rows(client, world, after=of_past["pageInfo"]["endCursor"], **past)

    assert moved["boardMoved"] is True
    assert still["boardMoved"] is False
    assert _positions(of_past) + _positions(still) == [1, 2, 3, 4, 5, 6]


def _forged(cursor: str, values: list[str], mark: str | None = None) -> str:
    """A cursor of the same list, unless `mark` says of which, with other values."""
    own, _ = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    text = json.dumps([mark or own, values], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


async def test_the_clock_of_the_database_says_what_is_past(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    answer = await (await world.client(None)).run(
        BOARD, {"id": world.tournament_id, "asOf": {"time": soon.isoformat()}}
    )

    assert answer.codes == ["INVALID_INPUT"]


ONE_ANSWER = """
query ($id: ID!) {
  tournament(id: $id) {
    leaderboard {
      settledMatches streamPosition { version }
      rows { edges { node { rank points version member { nickName } } } }
      viewerRow { rank points version guessedMatches member { nickName } }
      viewerNeighbours(radius: 10) { rank points version member { nickName } }
    }
  }
}
"""


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], Awaitable[None]]], None]:
    """Has something done between the page of an answer and the viewer's row, and told how often it was."""

    def set_up(move: Callable[[int], Awaitable[None]]) -> None:
        times, plain = count(), leaderboards.viewer_rows

        async def moved(context: Context, board: OpenBoard, *, radius: int) -> Sequence[RankedRow]:
            await move(next(times))
            return await plain(context, board, radius=radius)

        monkeypatch.setattr(leaderboards, "viewer_rows", moved)

    return set_up


async def _projected(api: Api, valkey: Redis) -> tuple[World, ValkeyProjection, GraphQLClient]:
    """A world whose board is in Valkey, and Ana's client."""
    world, projection = await make_world(api, crowd=3), ValkeyProjection(valkey)
    await project(api.database, projection, world.tournament.id)
    return world, projection, await world.client(world.ana)


async def test_all_that_an_answer_shows_of_a_board_is_of_one_version(
    api: Api, valkey: Redis, moves: Callable[[Callable[[int], Awaitable[None]]], None]
) -> None:
    world, projection, client = await _projected(api, valkey)
    done = []

    async def settle(number: int) -> None:
        done.append(number)
        if number == 0:
            await play(api.database, world.locked, 3, 2)  # an exact guess of Bob's, who overtakes
            await project(api.database, projection, world.tournament.id)

    moves(settle)
    board = (await client.run(ONE_ANSWER, {"id": world.tournament_id})).data["tournament"]["leaderboard"]

    assert done == [0, 1]
    page = [edge["node"] for edge in board["rows"]["edges"]]
    assert board["viewerNeighbours"] == page
    own = {name: value for name, value in board["viewerRow"].items() if name != "guessedMatches"}
    assert own in page
    assert {row["version"] for row in page} == {board["streamPosition"]["version"]}
    assert (page[0]["member"]["nickName"], board["settledMatches"], board["viewerRow"]["guessedMatches"]) == (
        "Bob",
        2,
        2,
    )


async def test_a_board_that_never_stands_still_is_answered_all_the_same(
    api: Api, valkey: Redis, moves: Callable[[Callable[[int], Awaitable[None]]], None]
) -> None:
    world, projection, client = await _projected(api, valkey)
    done = []

    async def move(number: int) -> None:
        done.append(number)
        async with api.database.begin() as connection:
            await raise_versions(connection, world.tournament.id, board=True)
        await project(api.database, projection, world.tournament.id)

    moves(move)
    board = (await client.run(ONE_ANSWER, {"id": world.tournament_id})).data["tournament"]["leaderboard"]

    assert done == [0, 1, 2]
    assert board["viewerRow"]["member"]["nickName"] == "Ana"


async def test_an_answer_that_is_there_is_given_when_there_is_no_time_for_another(
    database_url: str,
    valkey: Redis,
    valkey_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moves: Callable[[Callable[[int], Awaitable[None]]], None],
) -> None:
    async with running_api(database_url, valkey_url, tmp_path) as api:
        world, projection, client = await _projected(api, valkey)
        executed = []

        async def move(number: int) -> None:
            executed.append(number)
            if number:
                await asyncio.sleep(600)
            async with api.database.begin() as connection:
                await raise_versions(connection, world.tournament.id, board=True)
            await project(api.database, projection, world.tournament.id)

        moves(move)
        monkeypatch.setattr(Limits, "request_seconds", 3.0)
        board = (await client.run(ONE_ANSWER, {"id": world.tournament_id})).data["tournament"]["leaderboard"]
        assert executed == [0, 1]
        assert board["viewerRow"]["member"]["nickName"] == "Ana"


async def test_an_answer_during_which_somebody_joins_is_of_one_board(
    api: Api, valkey: Redis, moves: Callable[[Callable[[int], Awaitable[None]]], None]
) -> None:
    world, _, client = await _projected(api, valkey)

    async def move(number: int) -> None:
        if number == 0:
            await make_members(api.database, 2, joins=[world.tournament])
            await valkey.flushall()

    moves(move)
    board = (await client.run(ONE_ANSWER, {"id": world.tournament_id})).data["tournament"]["leaderboard"]
    assert board["viewerNeighbours"] == [edge["node"] for edge in board["rows"]["edges"]]
