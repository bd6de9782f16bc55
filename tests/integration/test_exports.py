"""Boards as files: what is in them, whose they are, how they are asked for and fetched, and when they go."""

import asyncio
import base64
import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import func, select, update

from domain.audit import service as audit
from domain.audit.model import Act
from domain.clock import utc_now
from domain.execution import commands
from domain.execution.exports import file_key
from domain.execution.model import ExecutionState, Operation
from domain.execution.retention import service as retention
from domain.execution.run import CancelRequested, Run
from domain.execution.tables import executions
from domain.ids import ExecutionId, MemberId
from domain.leaderboard.board import OpenBoard, Opened
from domain.leaderboard.export.rules import CsvWriter, ExportedRow, JsonWriter
from domain.leaderboard.export.service import PAGE, BoardGone, export_leaderboard
from domain.leaderboard.model import AfterRound, BoardKey, RankedRow
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.service import Boards
from domain.league.tables import league_members, league_tournaments
from domain.member.erasure.work import erase_member
from domain.member.tables import members
from domain.tournament.tables import tournaments
from integrations.object_store.folder import FolderStore
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from tasks.handlers import HANDLERS, Ports
from tests.support.api import Api
from tests.support.api_world import World, make_world
from tests.support.boards import ranked_by_sql
from tests.support.erasure import REMOVE, delete
from tests.support.executions import ended, running
from tests.support.football import make_members, make_tournament
from tests.support.graphql_client import Answer, GraphQLClient, id_of
from tests.support.runs import run_now
from tests.support.settlement import claim, in_play, play, work

pytestmark = pytest.mark.timeout(240)
FETCH = "query ($id: ID!) { node(id: $id) { id ... on Export { state requestedAt url expiresAt } } }"


@pytest.fixture
async def world(api: Api) -> World:
    return await make_world(api, crowd=3)


async def ask(client: GraphQLClient, board: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    answer = await client.operation("exportLeaderboard", input={"board": board, **wanted})
    payload: dict[str, Any] = answer.data["exportLeaderboard"]
    return payload


async def asked(client: GraphQLClient, board: dict[str, Any], **wanted: Any) -> ExecutionId:
    payload = await ask(client, board, **wanted)
    assert payload["errors"] == []
    return execution_of(payload["export"]["id"])


def execution_of(export_id: str) -> ExecutionId:
    kind, _, part = base64.urlsafe_b64decode(export_id + "=" * (-len(export_id) % 4)).decode().partition(":")
    assert kind == "Export"
    return ExecutionId(UUID(part))


def files_of(world: World) -> FolderStore:
    return FolderStore(world.api.settings.data / "files")


async def write(world: World, export_id: ExecutionId) -> Run:
    """What a worker does."""
    boards = Boards(world.api.database, None, utc_now)
    return await work(world.api.database, lambda run: export_leaderboard(run, boards, files_of(world)), export_id)


async def node(client: GraphQLClient, export_id: ExecutionId) -> dict[str, Any] | None:
    answer: Answer = await client.run(FETCH, {"id": id_of("Export", export_id)})
    found: dict[str, Any] | None = answer.data["node"]
    return found


async def fetch(world: World, url: str) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=world.api.app)) as client:
        return await client.get(url)


async def written(world: World, client: GraphQLClient, board: dict[str, Any], **wanted: Any) -> httpx2.Response:
    """The file, by the link that the API gives."""
    export_id = await asked(client, board, **wanted)
    await write(world, export_id)
    found = await node(client, export_id)
    assert found is not None
    assert found["state"] == "COMPLETED"
    return await fetch(world, found["url"])


# ---------------------------------------------------------------- what is in them


async def test_a_file_has_the_rows_of_the_board(world: World) -> None:
    client = await world.client(world.ana)
    board = {"tournamentId": world.tournament_id}
    as_csv = await written(world, client, board)
    as_json = await written(world, client, board, format="JSON")

    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    expected = await ranked_by_sql(world.api.database, tournament_id=world.tournament.id)
    names = ("position", "rank", "denseRank", "tied", "points", "exactScores", "goalDifferences", "outcomes")
    assert [(UUID(row["memberId"]), *(int(row[name]) for name in names)) for row in rows] == expected
    assert [
        {name: str(value) if value is not None else "" for name, value in row.items()} for row in as_json.json()
    ] == rows
    shown = {row["nickName"]: (row["rank"], row["guessedMatches"], row["separatedBy"]) for row in rows}
    assert (shown["Ana"], shown["Bob"]) == (("1", "1", ""), ("2", "1", "EXACT_SCORES"))
    assert as_csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert as_csv.headers["content-disposition"].endswith('-1.csv"')
    assert as_json.headers["content-type"] == "application/json"


async def test_provisional_points_are_in_a_file_when_they_are_asked_for(world: World) -> None:
    await in_play(world.api.database, world.tournament.id, world.locked, 3, 2)
    client, board = await world.client(world.ana), {"tournamentId": world.tournament_id}

    for is_settled_only, points in ((None, (3, 3, 0)), (True, (3, 3, 0)), (False, (6, 3, 3))):
        wanted = {} if is_settled_only is None else {"settledOnly": is_settled_only}
        found = await written(world, client, board, format="JSON", **wanted)
        (bob,) = [row for row in found.json() if row["memberId"] == str(world.bob)]
        assert (bob["points"], bob["settledPoints"], bob["provisionalPoints"]) == points


async def test_a_board_longer_than_a_page_is_written_whole(world: World) -> None:
    found = await make_members(world.api.database, PAGE + 7, joins=[world.tournament])
    export_id = await asked(await world.client(world.eve), {"tournamentId": world.tournament_id}, format="JSON")
    run = await write(world, export_id)
    content = await files_of(world).get(file_key(export_id, 1, "json"))

    assert content is not None
    rows = json.loads(content)
    assert [row["position"] for row in rows] == list(range(1, len(found) + 7))
    assert run.progress().counts.created == len(rows)


async def test_every_kind_of_board_and_moment_can_be_asked_for(world: World) -> None:
    client = await world.client(world.vic)
    await play(world.api.database, world.locked, 3, 2)
    league, tournament = {"leagueId": world.league_id}, {"tournamentId": world.tournament_id}
    points = {}
    for name, board, wanted in (
        ("total", league, {}),
        ("in one", league | tournament, {}),
        ("round", {"roundId": world.round_id(0)}, {}),
        ("round in league", league | {"roundId": world.round_id(0)}, {}),
        ("past", league | tournament, {"asOf": {"settledVersion": 1}}),
    ):
        rows = (await written(world, client, board, format="JSON", **wanted)).json()
        points[name] = {row["nickName"]: row["points"] for row in rows if row["nickName"] in ("Ana", "Bob", "Vic")}

    assert points == {
        "total": {"Ana": 3, "Bob": 6},
        "in one": {"Ana": 3, "Bob": 6},
        "round": {"Ana": 3, "Bob": 3, "Vic": 0},
        "round in league": {"Ana": 3, "Bob": 3},
        "past": {"Ana": 3, "Bob": 3},
    }


async def test_no_name_is_a_formula_to_a_spreadsheet(api: Api) -> None:
    names = ["=1+1", "+1", "-1", "@sum", "＝1", " =cmd|' /C calc'!A0", '=HYPERLINK("http://x")']  # noqa: RUF001
    world = await make_world(api, crowd=len(names) - 2)
    async with api.database.begin() as connection:
        ranked = select(league_members.c.member_id).where(league_members.c.role != "VIEWER")
        for member_id, name in zip((await connection.execute(ranked)).scalars(), names, strict=True):
            await connection.execute(update(members).where(members.c.id == member_id).values(nick_name=name))
    client = await world.client(world.ana)
    as_csv = await written(world, client, {"leagueId": world.league_id})
    as_json = await written(world, client, {"leagueId": world.league_id}, format="JSON")

    in_csv = [row["nickName"] for row in csv.DictReader(io.StringIO(as_csv.text))]
    assert sorted(in_csv) == sorted(f"'{name}" for name in names)
    assert sorted(row["nickName"] for row in as_json.json()) == sorted(names)


@pytest.mark.parametrize("name", ["a;=cmd|' /C calc'!A0;", "a; @sum;", ";+1", "=1;=2", 'a;"=cmd|1;', 'a; "" +1;'])
def test_no_name_is_a_formula_where_a_semicolon_ends_a_cell(name: str) -> None:
    row = RankedRow(member(1), 1, 1, 1, 1, None, *(0, 0, 0, 0), 1, 0)

    line = CsvWriter().rows([ExportedRow(row, name, 0, None)])

    (cells,) = csv.reader(io.StringIO(line), delimiter=";")
    for cell in (*cells, *line.split(";")):
        assert not cell.strip().startswith(("=", "+", "@"))
    (read,) = csv.reader(io.StringIO(line))
    assert read[5].replace("'", "") == name.replace("'", "")


def test_names_of_all_kinds_come_back_and_an_empty_board_is_a_file() -> None:
    names = ["Ana, Bob", 'the "best"', "Jürgen", "a'b", "العربية", "1-0"]
    rows = [
        ExportedRow(RankedRow(member(n), n, 1, 1, 6, None, *(0, 0, 0, 0), 1, 0), name, 0, None)
        for n, name in enumerate(names)
    ]
    text = CsvWriter().begin() + CsvWriter().rows(rows)
    writer = JsonWriter()

    assert [row["nickName"] for row in csv.DictReader(io.StringIO(text))] == names
    assert [row["nickName"] for row in json.loads(writer.begin() + writer.rows(rows) + writer.end())] == names
    assert json.loads(JsonWriter().begin() + JsonWriter().end()) == []
    assert list(csv.DictReader(io.StringIO(CsvWriter().begin() + CsvWriter().end()))) == []


# ---------------------------------------------------------------- asking and fetching


async def test_an_export_from_its_request_to_its_file_through_queue_and_worker(
    world: World, valkey_url: str, tmp_path: Path
) -> None:
    client = await world.client(world.ana)
    export_id = await asked(client, {"leagueId": world.league_id})
    waiting = await node(client, export_id)
    async with connect(valkey_url) as valkey:
        ports = Ports({}, ValkeyProjection(valkey), utc_now, files_of(world))
        handler = HANDLERS[Operation.EXPORT_LEADERBOARD]
        async with running(world.api.database, valkey_url, tmp_path / "reports", lambda run: handler(run, ports)):
            execution = await ended(world.api.database, export_id)

    assert waiting is not None
    assert (waiting["state"], waiting["url"], waiting["expiresAt"]) == ("QUEUED", None, None)
    assert execution.state is ExecutionState.COMPLETED
    assert (execution.trigger, execution.actor_id, execution.report_key is not None) == ("MEMBER", world.ana, True)
    found = await node(client, export_id)
    assert found is not None
    assert found["expiresAt"] > found["requestedAt"]
    assert (await fetch(world, found["url"])).text.startswith("position,rank,")


async def test_an_equal_export_under_way_is_the_answer(world: World) -> None:
    ana, bob = await world.client(world.ana), await world.client(world.bob)
    board = {"tournamentId": world.tournament_id}
    first = await asked(ana, board)

    assert await asked(ana, board) == first
    assert await asked(ana, {"roundId": world.round_id(0)}) == await asked(
        ana, {"roundId": world.round_id(0), "tournamentId": world.tournament_id}
    )
    others = [
        await asked(ana, board, format="JSON"),
        await asked(ana, board, settledOnly=False),
        await asked(ana, board, asOf={"settledVersion": 1}),
        await asked(ana, board | {"leagueId": world.league_id}),
        await asked(bob, board),
    ]
    assert len({first, *others}) == 6
    await write(world, first)
    assert await asked(ana, board) != first


async def test_others_do_not_see_an_export(world: World) -> None:
    export_id = await asked(await world.client(world.ana), {"tournamentId": world.tournament_id})
    await write(world, export_id)

    for stranger in (None, world.bob, world.eve, world.root):
        assert await node(await world.client(stranger), export_id) is None
    assert await node(await world.client(world.ana), export_id) is not None
    async with world.api.database.read() as connection:
        settled = (
            await connection.execute(executions.select().where(executions.c.operation == "SETTLE_MATCH"))
        ).first()
    assert settled is not None
    assert await node(await world.client(world.ana), ExecutionId(settled.id)) is None


async def test_boards_and_moments_that_there_are_not(world: World) -> None:
    ana, eve = await world.client(world.ana), await world.client(world.eve)
    other = await a_foreign_round(world)
    tournament = {"tournamentId": world.tournament_id}
    refused = [
        (ana, {"tournamentId": world.tournament_id, "roundId": other}, {}, "NOT_FOUND"),
        (ana, {"leagueId": world.league_id, "roundId": other}, {}, "NOT_FOUND"),
        (ana, {"tournamentId": "nonsense"}, {}, "NOT_FOUND"),
        (ana, {}, {}, "INVALID_INPUT"),
        (ana, tournament, {"asOf": {"settledVersion": 9}}, "INVALID_INPUT"),
        (ana, tournament, {"asOf": {"settledVersion": -1}}, "INVALID_INPUT"),
        (ana, tournament, {"asOf": {"time": "3026-01-02T03:04:05Z"}}, "INVALID_INPUT"),
        (ana, tournament, {"asOf": {"afterRoundId": other}}, "NOT_FOUND"),
        (ana, {"leagueId": world.league_id}, {"asOf": {"settledVersion": 0}}, "INVALID_INPUT"),
        (eve, {"leagueId": world.league_id}, {}, "NOT_FOUND"),
        (await world.client(None), tournament, {}, "UNAUTHENTICATED"),
    ]
    for client, board, wanted, code in refused:
        payload = await ask(client, board, **wanted)
        assert (payload["export"], [error["code"] for error in payload["errors"]]) == (None, [code]), (board, wanted)
    async with world.api.database.read() as connection:
        statement = executions.select().where(executions.c.operation == Operation.EXPORT_LEADERBOARD)
        assert (await connection.execute(statement)).all() == []


class LeavingBoards(Boards):
    """Bob leaves the league when a board of it is opened."""

    async def open(self, *args: Any, **named: Any) -> OpenBoard | None:
        async with self._database.begin() as connection:
            bob = select(members.c.id).where(members.c.nick_name == "Bob").scalar_subquery()
            leaves = update(league_members).where(league_members.c.member_id == bob)
            await connection.execute(leaves.values(left_at=func.clock_timestamp(), left_cause="LEFT"))
        return await super().open(*args, **named)


async def test_who_has_left_the_league_meanwhile_gets_no_file(world: World) -> None:
    """Though it was only while the file was written."""
    export_id = await asked(await world.client(world.bob), {"leagueId": world.league_id})
    boards, files = LeavingBoards(world.api.database, None, utc_now), files_of(world)

    with pytest.raises(BoardGone, match="no longer in the league"):
        await work(world.api.database, lambda run: export_leaderboard(run, boards, files), export_id)
    assert await files_of(world).get(file_key(export_id, 1, "csv")) is None


class CancelledBoards(Boards):
    """An admin has asked an export to stop, and its worker hears of it, when a board is opened."""

    run: Run

    async def open(self, *args: Any, **named: Any) -> OpenBoard | None:
        export_id = self.run.execution.id
        self.run.notice(
            await commands.cancel(self._database, export_id, actor_id=None, reason="Too long.", request_id="test")
        )
        return await super().open(*args, **named)


async def test_a_cancelled_export_stops_where_it_is(world: World) -> None:
    export_id = await asked(await world.client(world.bob), {"tournamentId": world.tournament_id})
    boards, files = CancelledBoards(world.api.database, None, utc_now), files_of(world)
    boards.run = await claim(world.api.database, export_id)

    with pytest.raises(CancelRequested):
        await export_leaderboard(boards.run, boards, files)

    (step,) = boards.run.progress().steps
    assert (step.name, step.state, step.counts.created) == ("Write rows", ExecutionState.CANCELLED, 0)
    assert await files.get(file_key(export_id, 1, "csv")) is None


async def test_a_board_that_is_gone_meanwhile_is_no_file(world: World) -> None:
    board = {"leagueId": world.league_id, "tournamentId": world.tournament_id}
    export_id = await asked(await world.client(world.bob), board)
    async with world.api.database.begin() as connection:
        await connection.execute(update(league_tournaments).values(removed_at=func.clock_timestamp()))

    with pytest.raises(BoardGone, match="does not exist any more"):
        await write(world, export_id)


async def test_a_version_that_a_restored_database_has_not_had_is_no_file(world: World) -> None:
    board = {"tournamentId": world.tournament_id}
    export_id = await asked(await world.client(world.bob), board, asOf={"settledVersion": 1})
    async with world.api.database.begin() as connection:
        await connection.execute(update(tournaments).values(settled_version=0))

    with pytest.raises(BoardGone, match="must be 0 to 0"):
        await write(world, export_id)


async def test_a_member_asks_for_so_many_files_and_no_more(world: World) -> None:
    ana, bob = await world.client(world.ana), await world.client(world.bob)
    board = {"tournamentId": world.tournament_id}
    payloads = [await ask(ana, board) for _ in range(31)]

    assert [len(payload["errors"]) for payload in payloads] == [0] * 30 + [1]
    assert payloads[-1]["errors"][0]["code"] == "RATE_LIMITED"
    assert payloads[-1]["errors"][0]["retryAfterSeconds"] > 0
    assert (await ask(bob, board))["errors"] == []


# ---------------------------------------------------------------- their end


async def test_a_file_goes_after_a_day_and_its_link_before_it(world: World) -> None:
    ana = await world.client(world.ana)
    old, kept, young = [
        await asked(ana, {"tournamentId": world.tournament_id}, asOf={"settledVersion": 1}, format=kind)
        for kind in ("CSV", "JSON")
    ] + [await asked(ana, {"tournamentId": world.tournament_id})]
    for export_id in (old, kept, young):
        await write(world, export_id)
    async with world.api.database.begin() as connection:
        await audit.record(connection, Act("retryExecution", None, "test", execution_id=kept, system=True))
        aged = update(executions).where(executions.c.id.in_([old, kept]))
        day = timedelta(days=1, seconds=1)
        await connection.execute(
            aged.values(queued_at=executions.c.queued_at - day, finished_at=executions.c.finished_at - day)
        )

    before = await node(ana, old)
    assert before is not None
    assert (before["state"], before["url"]) == ("COMPLETED", None)
    await run_now(
        world.api.database, Operation.PRUNE_HISTORY, lambda run: retention.prune_history(run, files_of(world))
    )
    there = [
        await files_of(world).get(file_key(export_id, 1, ending)) is not None
        for export_id, ending in ((old, "csv"), (kept, "json"), (young, "csv"))
    ]
    assert there == [False, False, True]
    assert [await node(ana, export_id) is not None for export_id in (old, kept, young)] == [False, True, True]


def member(number: int) -> MemberId:
    return MemberId(UUID(int=number))


async def a_foreign_round(world: World) -> str:
    """The round of another tournament."""
    other = await make_tournament(world.api.database, matches=1)
    return id_of("Round", other.rounds[0])


# ---------------------------------------------------------------- what happens while one is written


@pytest.mark.parametrize("of", ["league", "tournament"])
async def test_a_member_who_is_taken_off_all_boards_meanwhile_is_in_no_file(world: World, of: str) -> None:
    ana = await world.client(world.ana)
    board = {"leagueId": world.league_id} if of == "league" else {"tournamentId": world.tournament_id}
    export_id = await asked(ana, board, format="JSON")
    database, files = world.api.database, files_of(world)

    class Erasing(Boards):
        """Somebody is erased right after the first ranking."""

        has_ranked = False

        async def ranked(self, opened: Opened) -> tuple[Opened, Ranking]:
            found = await super().ranked(opened)
            if not self.has_ranked:
                self.has_ranked = True
                execution = await delete(database, world.bob, REMOVE)
                await work(database, lambda run: erase_member(run, files), execution)
            return found

    boards = Erasing(database, None, utc_now)
    run = await work(database, lambda run: export_leaderboard(run, boards, files), export_id)
    found = await node(ana, export_id)
    assert found is not None
    rows = (await fetch(world, found["url"])).json()
    whose: dict[str, Any] = {"league_id": world.league} if of == "league" else {"tournament_id": world.tournament.id}
    others = await ranked_by_sql(database, **whose)
    places = [(place[1], place[2], place[5]) for place in others]
    assert [(row["position"], row["rank"], row["points"]) for row in rows] == places
    step = run.progress().steps[0]
    assert (step.counts.created, step.counts.total) == (len(others), len(others))


async def test_a_board_after_a_round_of_what_the_league_has_given_up_is_gone(world: World) -> None:
    ana = await world.client(world.ana)
    export_id = await asked(ana, {"leagueId": world.league_id}, asOf={"afterRoundId": world.round_id(0)})
    link = id_of("LeagueTournament", world.league, world.tournament.id)
    gone = await ana.operation("removeLeagueTournament", input={"leagueTournamentId": link})
    assert gone.data["removeLeagueTournament"]["errors"] == []
    with pytest.raises(BoardGone):
        await write(world, export_id)


async def test_a_kept_board_of_the_past_is_written_once_though_others_were_removed(world: World) -> None:
    """From the tournament, and not in the league: its board of then is kept, and stays."""
    ana, after = await world.client(world.ana), {"afterRoundId": world.round_id(0)}
    export_id = await asked(ana, {"leagueId": world.league_id}, asOf=after)
    wanted = BoardKey(league_id=world.league)
    boards, files = Boards(world.api.database, None, utc_now), files_of(world)
    assert await boards.open(wanted, as_of=AfterRound(world.tournament.rounds[0])) is not None
    async with world.api.database.begin() as connection:
        await connection.execute(update(tournaments).values(removals=tournaments.c.removals + 1))
    async with asyncio.timeout(20):
        await work(world.api.database, lambda run: export_leaderboard(run, boards, files), export_id)
