"""The state of operations, read from real tables: queues, dead letters, processes, providers, what is late."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, update

from domain.execution.model import ExecutionErrorCode, ExecutionState, Operation, Target
from domain.execution.status.model import Process, ProcessKind, QueueStatus, RecentlyEnded
from domain.execution.status.service import beat, leave, read_status, recently_ended
from domain.execution.status.tables import processes
from domain.ingestion.breaker.model import BreakerState, ProviderState
from domain.ingestion.breaker.tables import provider_states
from domain.match.model import MatchStatus, ResultState
from domain.match.tables import match_results
from domain.outbox import store as outbox
from domain.outbox.model import Topic
from domain.outbox.tables import outbox as outbox_table
from domain.settlement.service import settle
from domain.tournament.model import Provider, TournamentStatus
from domain.tournament.tables import tournaments
from tests.support.football import make_tournament, set_match
from tests.support.operations import (
    ago,
    of,
    put_dead_letter,
    put_ended,
    put_process,
    put_queued,
    put_running,
)
from tests.support.settlement import accept
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from domain.ids import MatchId
    from runtime.database import PostgresDatabase

HOUR = 3_600


async def test_a_new_installation_has_a_line_for_everything(database: "PostgresDatabase") -> None:
    status = await read_status(database)

    assert status.queues == tuple(QueueStatus(operation) for operation in Operation)
    assert status.providers == tuple(ProviderState(provider) for provider in Provider)
    assert {state.breaker for state in status.providers} == {BreakerState.CLOSED}
    assert (status.outbox_backlog, status.workers) == (0, 0)
    assert (status.scheduler_seen_at, status.settlement_lag_seconds) == (None, None)
    assert abs(datetime.now(UTC) - status.at) < timedelta(minutes=1)


async def test_each_live_execution_is_counted_once_where_it_belongs(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=6)
    targets = [Target(made.id, None, match) for match in made.matches]
    await put_queued(database, Operation.SETTLE_MATCH, targets[0], due=90)
    await put_queued(database, Operation.SETTLE_MATCH, targets[1], due=5)
    await put_queued(database, Operation.SETTLE_MATCH, targets[2], due=-600)
    await put_running(database, Operation.SETTLE_MATCH, targets[3])
    await put_running(database, Operation.SYNC_CURRENT_ROUND)
    await put_ended(database, Operation.INGEST_ROUNDS)

    status = await read_status(database)

    found = of(status, Operation.SETTLE_MATCH)
    assert (found.queued, found.waiting, found.in_progress, found.dead_letters) == (2, 1, 1, 0)
    assert found.oldest_seconds is not None
    assert 90 <= found.oldest_seconds < 150
    assert of(status, Operation.SYNC_CURRENT_ROUND) == QueueStatus(Operation.SYNC_CURRENT_ROUND, in_progress=1)
    assert of(status, Operation.INGEST_ROUNDS) == QueueStatus(Operation.INGEST_ROUNDS)


async def test_open_dead_letters_are_counted_also_without_anything_live(database: "PostgresDatabase") -> None:
    await put_dead_letter(database, Operation.INGEST_TEAMS)
    await put_dead_letter(database, Operation.INGEST_TEAMS)
    await put_dead_letter(database, Operation.INGEST_TEAMS, is_open=False)

    assert of(await read_status(database), Operation.INGEST_TEAMS) == QueueStatus(
        Operation.INGEST_TEAMS, dead_letters=2
    )


async def test_the_backlog_is_what_is_due_and_not_sent(database: "PostgresDatabase") -> None:
    async with database.begin() as connection:
        await outbox.put_many(connection, [(Topic.JOB, {}), (Topic.TICK, {})])
        late = (await connection.execute(select(ago(-HOUR)))).scalar_one()
        await outbox.put(connection, Topic.JOB, {}, not_before=late)
    assert (await read_status(database)).outbox_backlog == 2

    async with database.begin() as connection:
        await connection.execute(outbox_table.delete())
    assert (await read_status(database)).outbox_backlog == 0


async def test_providers_show_their_breakers(database: "PostgresDatabase") -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    values = {"provider": Provider.SOFASCORE, "breaker": "OPEN", "reason": "PROVIDER_BLOCKED", "retry_at": at}
    async with database.begin() as connection:
        await connection.execute(insert(provider_states).values({**values, "last_good_at": at - timedelta(days=1)}))

    sofascore, openfootball = (await read_status(database)).providers

    assert (sofascore.breaker, sofascore.reason) == (BreakerState.OPEN, ExecutionErrorCode.PROVIDER_BLOCKED)
    assert (sofascore.retry_at, sofascore.last_good_at) == (at, at - timedelta(days=1))
    assert openfootball == ProviderState(Provider.OPENFOOTBALL)


@pytest.mark.parametrize("size", [1, 30])
async def test_it_takes_four_statements_however_much_there_is(database: "PostgresDatabase", size: int) -> None:
    made = await make_tournament(database, matches=size)
    for match in made.matches:
        await put_queued(database, Operation.SETTLE_MATCH, Target(made.id, None, match))
        await put_process(database, ProcessKind.WORKER, silent=1)
    await put_dead_letter(database, Operation.INGEST_TEAMS)

    with recorded_statements(database) as statements:
        status = await read_status(database)

    assert (of(status, Operation.SETTLE_MATCH).queued, status.workers) == (size, size)
    assert len(statements) == 4


# ---------------------------------------------------------------- processes


async def test_workers_count_for_a_minute_and_until_they_leave(database: "PostgresDatabase") -> None:
    await put_process(database, ProcessKind.WORKER, silent=61)
    await put_process(database, ProcessKind.SCHEDULER, silent=1)
    first, second = Process("first", ProcessKind.WORKER), Process("second", ProcessKind.WORKER)
    for process in (first, second, first):
        await beat(database, process)
    assert (await read_status(database)).workers == 2

    await leave(database, second)
    assert (await read_status(database)).workers == 1


async def test_the_scheduler_heard_of_last_is_told(database: "PostgresDatabase") -> None:
    await put_process(database, ProcessKind.WORKER, silent=0)
    await put_process(database, ProcessKind.SCHEDULER, silent=500)
    await put_process(database, ProcessKind.SCHEDULER, silent=200)

    status = await read_status(database)

    assert status.scheduler_seen_at is not None
    assert 200 <= (status.at - status.scheduler_seen_at).total_seconds() < 260


async def test_the_long_silent_are_forgotten_but_for_the_last_scheduler(database: "PostgresDatabase") -> None:
    await put_process(database, ProcessKind.WORKER, silent=HOUR + 60, name="gone worker")
    await put_process(database, ProcessKind.WORKER, silent=HOUR - 60, name="silent worker")
    await put_process(database, ProcessKind.SCHEDULER, silent=3 * HOUR, name="older scheduler")
    await put_process(database, ProcessKind.SCHEDULER, silent=2 * HOUR, name="last scheduler")

    await beat(database, Process("alive", ProcessKind.WORKER))

    async with database.read() as connection:
        names = (await connection.execute(select(processes.c.name).order_by(processes.c.name))).scalars().all()
    assert names == ["alive", "last scheduler", "silent worker"]
    assert (await read_status(database)).scheduler_seen_at is not None


# ---------------------------------------------------------------- what ended


async def test_what_ended_within_the_hour_is_counted_with_its_retries(database: "PostgresDatabase") -> None:
    await put_ended(database, Operation.INGEST_TEAMS)
    await put_ended(database, Operation.INGEST_TEAMS, tries=3)
    await put_ended(database, Operation.INGEST_TEAMS, ExecutionState.FAILED, tries=2)
    await put_ended(database, Operation.INGEST_TEAMS, seconds_ago=HOUR + 60)
    await put_running(database, Operation.INGEST_ROUNDS)

    found = sorted(await recently_ended(database), key=lambda one: one.state)

    assert found == [
        RecentlyEnded(Operation.INGEST_TEAMS, ExecutionState.COMPLETED, executions=2, retries=2),
        RecentlyEnded(Operation.INGEST_TEAMS, ExecutionState.FAILED, executions=1, retries=1),
    ]


# ---------------------------------------------------------------- settlement


async def _accept(database: "PostgresDatabase", match_id: "MatchId", home: int, *, seconds_ago: float) -> None:
    """A result that was accepted so long ago."""
    revision = await accept(database, match_id, home, 0)
    async with database.begin() as connection:
        await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # it is append-only
        await connection.execute(
            update(match_results)
            .where(match_results.c.match_id == match_id, match_results.c.revision == revision)
            .values(accepted_at=ago(seconds_ago))
        )


async def _lag(database: "PostgresDatabase") -> int | None:
    return (await read_status(database)).settlement_lag_seconds


async def test_the_lag_is_that_of_the_oldest_result_that_waits(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=3)
    first, second, _ = made.matches
    await _accept(database, first, 1, seconds_ago=500)
    await _accept(database, second, 1, seconds_ago=100)
    lag = await _lag(database)
    assert lag is not None
    assert 500 <= lag < 560

    async with database.begin() as connection:
        await settle(connection, first, None)
    lag = await _lag(database)
    assert lag is not None
    assert 100 <= lag < 160

    async with database.begin() as connection:
        await settle(connection, second, None)
    assert await _lag(database) is None

    await _accept(database, first, 2, seconds_ago=30)  # the provider corrects what was settled
    lag = await _lag(database)
    assert lag is not None
    assert 30 <= lag < 90


async def test_a_match_that_ended_without_a_score_is_late_too(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=2)
    held = {"status": MatchStatus.ENDED, "result_state": ResultState.AWAITING_CONFIRMATION}
    await set_match(database, made.matches[0], kick_off=datetime.now(UTC) - timedelta(hours=5), **held)

    lag = await _lag(database)

    assert lag is not None
    assert 3 * HOUR <= lag < 3 * HOUR + 60
    async with database.begin() as connection:
        await connection.execute(
            update(tournaments).where(tournaments.c.id == made.id).values(status=TournamentStatus.CANCELLED)
        )
    assert await _lag(database) is None
