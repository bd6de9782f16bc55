"""A running server driven by an off-the-shelf client (Python gql) over HTTP and websockets, during a replay."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from gql import GraphQLRequest, gql
from gql.transport.exceptions import TransportClosed, TransportError, TransportQueryError

from tests.support.gql_clients import Session, operation, over_http, over_socket, sign_up
from tests.support.palpite import RunningPalpite, run_palpite, started_palpite
from tests.support.up import Up

pytestmark = pytest.mark.timeout(240)

PAIRS = [("Arsenal FC", "Everton FC", [2, 1]), ("Fulham FC", "Chelsea FC", [0, 0]), ("Leeds FC", "Stoke FC", [1, 3])]


@pytest.fixture
def data(up: Up) -> Path:
    return up.data


@pytest.fixture
def server(up: Up) -> str:
    return up.address


@pytest.fixture(scope="module")
def seasons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seasons")
    (folder / "2024-25").mkdir()
    items = [
        {
            "round": "Matchday 1",
            "date": f"2024-08-{16 + day}",
            "time": "15:00",
            "team1": home,
            "team2": away,
            "score": {"ft": ft},
        }
        for day, (home, away, ft) in enumerate(PAIRS)
    ]
    (folder / "2024-25" / "en.1.json").write_text(json.dumps({"name": "A short season", "matches": items}))
    return folder


def begin_replay(data: Path, seasons: Path, starts_in: float) -> Any:
    return started_palpite(
        *("replay", "2024-25/en.1", "--from", str(seasons), "--starts-in", str(starts_in), "--speed", "20000"),
        PALPITE_DATA=str(data),
    )


async def ready(replay: RunningPalpite) -> str:
    line = await asyncio.to_thread(replay.wait_for_line, lambda text: text.startswith("ready "), 60)
    return line.removeprefix("ready ")


MATCHES = "query Matches($id: ID!) { tournament(id: $id) { matches { edges { node { id home { label } } } } } }"


async def test_a_member_joins_guesses_is_refused_after_the_lock_and_sees_the_board_change(
    server: str, data: Path, seasons: Path
) -> None:
    token = await sign_up(server, "clara")
    with begin_replay(data, seasons, starts_in=10) as replay:
        tournament = await ready(replay)
        async with over_http(server, token) as http, over_socket(server, token) as socket:
            joined = await http.execute(operation("joinTournament", input={"tournamentId": tournament}))
            assert joined["joinTournament"]["errors"] == []
            found = await http.execute(GraphQLRequest(MATCHES, variable_values={"id": tournament}))
            ids = {
                edge["node"]["home"]["label"]: edge["node"]["id"] for edge in found["tournament"]["matches"]["edges"]
            }
            assert len(ids) == len(PAIRS)
            guesses = [{"matchId": ids[home], "home": ft[0], "away": ft[1]} for home, _, ft in PAIRS]
            saved = await http.execute(operation("saveGuesses", input={"guesses": guesses}))
            assert [result["errors"] for result in saved["saveGuesses"]["results"]] == [[], [], []]

            final = await follow_until(socket, tournament, lambda rows: rows and rows[0]["points"] == 9)
            assert final["member"]["nickName"] == "clara"
            assert (final["exactScores"], final["rank"], final["tied"]) == (3, 1, 1)

            late = await http.execute(operation("saveGuess", input=guesses[0] | {"home": 5}))
            assert [error["code"] for error in late["saveGuess"]["errors"]] == ["MATCH_LOCKED"]
            assert late["saveGuess"]["guess"]["goals"] == {"home": 2, "away": 1}
        assert await asyncio.to_thread(replay.process.wait, 60) == 0


async def follow_until(socket: Session, tournament: str, wanted: Any) -> dict[str, Any]:
    """The first row, once the board that the stream's events add up to is as wanted; deltas by the rules."""
    rows: dict[str, dict[str, Any]] = {}
    version = -1
    deltas = 0
    request = operation("leaderboardUpdates", board={"tournamentId": tournament})
    async with asyncio.timeout(120):
        async for event in socket.subscribe(request):
            update = event["leaderboardUpdates"]
            if update["__typename"] == "LeaderboardSnapshot":
                rows = {row["id"]: row for row in update["rows"]}
            elif update["__typename"] == "LeaderboardDelta":
                assert update["fromVersion"] == version
                deltas += 1
                rows |= {row["id"]: row for row in update["rows"]}
                rows = {key: row for key, row in rows.items() if key not in update["removedRowIds"]}
            version = update["version"]
            board = sorted(rows.values(), key=lambda row: row["position"])
            if wanted(board):
                assert deltas > 0
                return board[0]
    raise AssertionError("the stream ended")


async def test_a_bad_token_is_refused_on_http_and_on_a_socket(server: str) -> None:
    with pytest.raises(TransportQueryError, match="UNAUTHENTICATED"):
        async with over_http(server, "nonsense") as session:
            await session.execute(gql("{ viewer { id } }"))
    with pytest.raises((TransportClosed, TransportError)) as refused:
        async with over_socket(server, "nonsense") as session:
            await session.execute(gql("{ viewer { id } }"))
    assert "4401" in repr(refused.value) + repr(refused.value.__cause__)


EXECUTION = """
subscription Follow($ids: [ID!]) {
  executionUpdates(executionIds: $ids) {
    state
    counts { created updated unchanged failed }
    tournament { id label }
    reportUrl
  }
}
"""


async def run_and_follow(http: Session, socket: Session, **named: Any) -> dict[str, Any]:
    """Run an operation as an admin does; the execution as it ended, told by the stream."""
    run = operation("runOperation", input={"operation": named, "reason": "a first season"})
    payload = (await http.execute(run))["runOperation"]
    assert payload["errors"] == []
    last: dict[str, Any] = {}
    follow = GraphQLRequest(EXECUTION, variable_values={"ids": [payload["execution"]["id"]]})
    async with asyncio.timeout(60):
        async for event in socket.subscribe(follow):
            last = event["executionUpdates"]
    return last


async def test_the_first_admin_ingests_a_season_twice(server: str, data: Path) -> None:
    token = await sign_up(server, "boss")
    source = {"provider": "OPENFOOTBALL", "competition": "worldcup", "season": "2022"}
    async with over_http(server, token) as http, over_socket(server, token) as socket:
        run = operation("runOperation", input={"operation": {"ingestTournament": {"source": source}}, "reason": "try"})
        refused = (await http.execute(run))["runOperation"]
        assert ([error["code"] for error in refused["errors"]], refused["execution"]) == (["FORBIDDEN"], None)
        promoted = await asyncio.to_thread(
            run_palpite, "members", "promote", "boss@example.org", PALPITE_DATA=str(data)
        )
        assert (promoted.returncode, promoted.stdout.strip()) == (0, "boss@example.org is an administrator now.")

        ended = await run_and_follow(http, socket, ingestTournament={"source": source})
        assert (ended["state"], ended["counts"]["created"]) == ("COMPLETED", 1)
        assert ended["tournament"]["label"] == "World Cup"
        scope = {"tournamentId": ended["tournament"]["id"]}
        names = ("ingestRounds", "ingestTeams", "ingestMatches", "ingestStandings")
        first = [await run_and_follow(http, socket, **{name: scope}) for name in names]
        assert [execution["counts"]["created"] for execution in first] == [8, 32, 64, 32]
        again = [await run_and_follow(http, socket, **{name: scope}) for name in names]
        assert [execution["counts"] for execution in again] == [
            {"created": 0, "updated": 0, "unchanged": count, "failed": 0} for count in (8, 32, 64, 32)
        ]
        report = await asyncio.to_thread(read_json, again[2]["reportUrl"])
        assert report["state"] == "COMPLETED"


def read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def test_promoting_an_unknown_address_says_so(server: str, data: Path) -> None:
    assert server
    refused = run_palpite("members", "promote", "nobody@example.org", PALPITE_DATA=str(data))
    assert refused.returncode == 2
    assert "No member has the address nobody@example.org" in refused.stderr
