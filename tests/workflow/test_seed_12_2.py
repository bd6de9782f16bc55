"""The high-value cases of the design that the product grew from (its section 12.2), one test each.

Beside each, what else covers it:

1. `open -> ended` settles once: tests/integration/test_finality.py, test_settlement.py; tests/faults/test_workers.py.
2. A replayed event pays once: tests/integration/test_settlement.py, test_corrections.py;
   tests/workflow/test_delivery.py; tests/faults/test_duplicates.py.
3. A failure between database and Redis is recovered: tests/integration/test_projection.py, test_leaderboard.py,
   test_board_audit.py; tests/workflow/test_streams.py.
4. Reports on success and failure: tests/workflow/test_executions.py; tests/faults/test_reports.py;
   tests/contract/test_object_store.py.
5. Ties are ranked the same everywhere: tests/unit/test_ranking.py; tests/integration/test_leaderboard.py,
   test_past_boards.py, test_graphql_boards.py.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import select

from domain.execution.model import ExecutionState, Operation, Target
from domain.execution.run import Run
from domain.execution.tables import executions
from domain.ids import MatchId, MemberId, RulesetId, TournamentId, new_id
from domain.ingestion import service as ingestion
from domain.ingestion.errors import ProviderUnavailable
from domain.ingestion.finality.model import Gate
from domain.leaderboard.model import BoardKey, BoardSource, RankedRow
from domain.leaderboard.projector import project
from domain.leaderboard.service import Boards
from domain.match.model import Goals, MatchStatus
from domain.settlement.service import settle_match
from domain.settlement.tables import idempotency_keys, member_scores, settlements
from domain.tournament.model import Provider
from integrations.object_store.folder import FolderStore
from integrations.valkey.projection import ValkeyProjection
from runtime.database import PostgresDatabase
from tests.support.api import running_api
from tests.support.boards import ids_of, projected
from tests.support.executions import executor_of, job_of, queue, read_one
from tests.support.football import MadeTournament, join, make_members, make_tournament, put_guess
from tests.support.graphql_client import id_of
from tests.support.ingester import OPEN, Ingester, changed, match_of
from tests.support.openfootball import a_match, map_matches
from tests.support.settlement import accept, assert_balanced, play, queued, settle_queued

HOME = "Arsenal FC"


async def exact_scores(database: PostgresDatabase) -> dict[MemberId, int]:
    async with database.read() as connection:
        rows = await connection.execute(select(member_scores.c.member_id, member_scores.c.exact))
        return {MemberId(row.member_id): row.exact for row in rows}


async def count(database: PostgresDatabase, table: Any) -> int:
    async with database.read() as connection:
        return len((await connection.execute(select(table))).all())


@pytest.mark.parametrize("gate", [None, Gate()], ids=["final by nature", "behind a gate"])
async def test_1_open_to_ended_emits_one_settlement_and_applies_points_once(
    database: PostgresDatabase, gate: Gate | None
) -> None:
    ingester = Ingester(database)
    ingester.provider.gate = gate
    coming = map_matches(a_match(**OPEN)).snapshot
    coming = changed(coming, "Liverpool FC", status=MatchStatus.NOT_STARTED, regulation=None)
    tournament_id = await ingester.whole(coming)
    (ana,) = await make_members(database, 1)
    await join(database, tournament_id, [ana])
    match_id = MatchId((await match_of(database, HOME)).id)
    await put_guess(database, MadeTournament(tournament_id, RulesetId(new_id()), (), (), ()), match_id, ana, 2, 1)

    ended = changed(coming, HOME, status=MatchStatus.ENDED, regulation=Goals(2, 1))
    in_play = changed(coming, HOME, status=MatchStatus.IN_PLAY, running=Goals(2, 1))
    emitted = []
    for told in (coming, in_play, in_play, ended, ended, ended, ended):
        ingester.tell(told)
        await ingester.matches(tournament_id)
        emitted += [match for _, match in await queued(database)]
        await settle_queued(database)

    assert emitted == [match_id]
    assert await count(database, settlements) == 1
    assert await exact_scores(database) == {ana: 1}
    await assert_balanced(database, tournament_id)


async def test_2_replaying_the_same_settlement_event_does_not_apply_it_twice(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    (ana,) = await make_members(database, 1, joins=[made])
    await put_guess(database, made, match_id, ana, 2, 1)
    await accept(database, match_id, 2, 1)
    executor = executor_of(database, partial(settle_match, match_id=match_id), FolderStore(tmp_path))
    ((execution_id, _),) = await queued(database)
    first = await read_one(database, execution_id)
    for _ in range(10):
        # The same job of the queue, and the same event as a job of its own.
        await executor.deliver(job_of(first))
        again = await queue(database, operation=Operation.SETTLE_MATCH, target=Target(made.id, None, match_id))
        await executor.deliver(job_of(again.execution))

    assert await exact_scores(database) == {ana: 1}
    assert await count(database, settlements) == 1
    async with database.read() as connection:
        (key,) = await connection.execute(select(idempotency_keys))
    assert (key.status, key.replays) == ("APPLIED", 10)
    await assert_balanced(database, made.id)


async def test_3_a_failure_between_database_and_redis_is_recovered(database: PostgresDatabase, valkey: Redis) -> None:
    made = await make_tournament(database, matches=2)
    ana, bea = await make_members(database, 2, joins=[made])
    await put_guess(database, made, made.matches[0], bea, 2, 1)
    boards = await projected(database, valkey, made.id)
    # Committed, and then the worker is gone before anything reaches Valkey.
    await play(database, made.matches[0], 2, 1)
    source, rows = await _read(boards, made.id)
    assert (source, ids_of(rows), [row.points for row in rows]) == (BoardSource.DATABASE, [bea, ana], [3, 0])

    assert await project(database, ValkeyProjection(valkey), made.id) is not None
    assert await _read(boards, made.id) == (BoardSource.PROJECTION, rows)
    # Nothing at all is left in Valkey: the same once more.
    await valkey.flushall()
    assert await _read(boards, made.id) == (BoardSource.DATABASE, rows)


async def _read(boards: Boards, tournament_id: TournamentId) -> tuple[BoardSource, tuple[RankedRow, ...]]:
    board = await boards.open(BoardKey(tournament_id=tournament_id))
    assert board is not None
    return board.head.source, tuple((await board.page(first=10)).rows)


async def test_4_the_report_of_an_ingestion_is_kept_on_success_and_on_failure(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    ingester = Ingester(database)
    season = map_matches(a_match()).snapshot
    target = Target(await ingester.whole(season))
    await settle_queued(database)
    store = FolderStore(tmp_path)

    async def ingest(run: Run) -> None:
        await ingestion.ingest_matches(run, {Provider.OPENFOOTBALL: ingester.provider}, lambda: ingester.now)

    reports = []
    for failure in (None, ProviderUnavailable("no answer")):
        ingester.provider.failure = failure
        accepted = await queue(database, operation=Operation.INGEST_MATCHES, target=target)
        async with database.begin() as connection:
            await connection.execute(
                executions.update().where(executions.c.id == accepted.execution.id).values(max_attempts=1)
            )
        await executor_of(database, ingest, store).deliver(job_of(accepted.execution))
        ended = await read_one(database, accepted.execution.id)
        reports.append((ended.state, json.loads(await store.get(ended.report_key or "") or b"{}")))

    (done, good), (failed, bad) = reports
    assert (done, good["state"], good["counts"]["unchanged"]) == (ExecutionState.COMPLETED, "COMPLETED", 2)
    assert (failed, bad["state"]) == (ExecutionState.FAILED, "FAILED")
    assert "no answer" in json.dumps(bad)
    assert [step["name"] for step in bad["steps"]] == [step["name"] for step in good["steps"]] == ["Matches"]


async def test_5_the_scoreboard_endpoint_ranks_ties_the_same_each_time(
    database: PostgresDatabase, database_url: str, valkey_url: str, valkey: Redis, tmp_path: Path
) -> None:
    made = await make_tournament(database, matches=1)
    members = await make_members(database, 6, joins=[made])
    for member, goals in zip(members, [(1, 0), (2, 1), (0, 0), (1, 0), (2, 1), (1, 0)], strict=True):
        await put_guess(database, made, made.matches[0], member, *goals)
    await play(database, made.matches[0], 2, 1)
    exact, right, wrong = (sorted(members[n] for n in group) for group in ((1, 4), (0, 3, 5), (2,)))
    expected = [
        (id_of("Member", member), position, rank)
        for position, (member, rank) in enumerate(
            [*((one, 1) for one in exact), *((one, 3) for one in right), *((one, 6) for one in wrong)], start=1
        )
    ]
    async with running_api(database_url, valkey_url, tmp_path) as api:
        client = api.client(None)
        answers = []
        for number, source in enumerate(("DATABASE", "DATABASE", "PROJECTION", "PROJECTION"), start=1):
            if source == "PROJECTION":
                assert await project(database, ValkeyProjection(valkey), made.id) is not None
            # Each is another query, so that none is answered by what was kept for the one before.
            answer = await client.operation("liveScoreboard", id=id_of("Tournament", made.id), matches=number)
            board = answer.data["tournament"]["leaderboard"]
            assert board["freshness"]["source"] == source
            answers.append(
                [
                    (edge["node"]["member"]["id"], edge["node"]["position"], edge["node"]["rank"])
                    for edge in board["rows"]["edges"]
                ]
            )
    assert answers == [expected] * 4
