"""Schedules: which slot runs when, when clocks change too, and each once however many schedulers run."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from domain.audit.tables import audit_log
from domain.clock import utc_now
from domain.execution.model import Command, ExecutionState, ExecutionTrigger, Operation, Target
from domain.execution.run import Run
from domain.execution.service import live_executions
from domain.ids import ScheduleId, new_id
from domain.match.lock import service as locks
from domain.match.tables import matches
from domain.outbox.tables import outbox
from domain.schedule import service as schedules
from domain.schedule import store
from domain.schedule.model import Schedule, ScheduleStatus
from domain.schedule.tables import schedule_runs
from domain.schedule.tables import schedules as schedules_table
from domain.tournament.model import TournamentStatus
from domain.tournament.tables import tournaments
from integrations.object_store.folder import FolderStore
from integrations.valkey.projection import ValkeyProjection
from tasks.due import announce_locks_once, run_due_once
from tasks.handlers import HANDLERS, Ports
from tests.support.executions import queue
from tests.support.football import make_tournament
from tests.support.runs import run_now
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase

ALL = Target()
NOW = datetime(2026, 8, 1, 12, 0, 30, tzinfo=UTC)


def schedule(
    *,
    cron: str | None = "* * * * *",
    next_slot: datetime | None = NOW,
    time_zone: str = "UTC",
    name: str = "test",
    operation: Operation = Operation.SETTLE_PENDING,
    target: Target = ALL,
) -> Schedule:
    return Schedule(
        id=ScheduleId(new_id()),
        name=name,
        command=Command(operation, target, {}),
        cron=cron,
        run_at=None if cron else next_slot,
        time_zone=time_zone,
        status=ScheduleStatus.ACTIVE if next_slot else ScheduleStatus.PAUSED,
        next_slot=next_slot,
    )


def at(text_: str) -> datetime:
    return datetime.fromisoformat(text_).replace(tzinfo=UTC)


# ---------------------------------------------------------------- running


async def put(database: "PostgresDatabase", *new: Schedule) -> None:
    async with database.begin() as connection:
        await store.insert_missing(connection, new)


async def make_due(database: "PostgresDatabase", minutes: int = 0) -> datetime:
    """Let all schedules have a slot this minute, `minutes` ago or since; the answer is the minute."""
    async with database.begin() as connection:
        minute: datetime = (
            await connection.execute(text("SELECT date_trunc('minute', clock_timestamp())"))
        ).scalar_one()
        await connection.execute(
            update(schedules_table)
            .where(schedules_table.c.next_slot.is_not(None))
            .values(next_slot=minute - timedelta(minutes=minutes))
        )
    return minute


async def runs(database: "PostgresDatabase") -> list[tuple[str, int, UUID | None]]:
    async with database.read() as connection:
        rows = await connection.execute(select(schedule_runs).order_by(schedule_runs.c.slot))
        return [(row.outcome, row.missed_slots, row.execution_id) for row in rows]


async def test_a_due_slot_starts_an_execution_that_names_its_schedule(database: "PostgresDatabase") -> None:
    mine = schedule()
    await put(database, mine)
    minute = await make_due(database, minutes=3)
    await run_due_once(database)
    (execution,) = await live_executions(database)

    assert (execution.operation, execution.trigger) == (Operation.SETTLE_PENDING, ExecutionTrigger.SCHEDULE)
    assert (execution.schedule_id, execution.target) == (mine.id, Target())
    assert execution.request_id.startswith("schedule:test:")
    ((outcome, missed, execution_id),) = await runs(database)
    assert (outcome, execution_id) == ("STARTED", execution.id)
    assert missed in {3, 4}  # the minute may end while the test runs
    after = (await schedules.read_schedules(database, [mine.id]))[mine.id]
    assert after.next_slot is not None
    assert after.next_slot > minute


async def test_twenty_schedulers_at_once_start_it_once(database: "PostgresDatabase") -> None:
    mine = schedule(cron="0 0 1 1 *")
    await put(database, mine)
    for _ in range(5):
        async with database.begin() as connection:
            await connection.execute(text("DELETE FROM outbox"))
            await connection.execute(text("TRUNCATE schedule_runs"))
            await connection.execute(text("DELETE FROM executions"))
            await connection.execute(update(schedules_table).values(next_slot=at("2026-01-01T00:00")))
        turns = await asyncio.gather(*(schedules.run_next_due(database) for _ in range(20)))

        assert [turn.execution_id is not None for turn in turns if turn is not None] == [True]
        assert len(await live_executions(database)) == 1
        assert len(await runs(database)) == 1


async def test_a_slot_is_skipped_while_the_operation_still_lives(database: "PostgresDatabase") -> None:
    await put(database, schedule())
    await make_due(database)
    await run_due_once(database)
    await make_due(database, minutes=-0)
    async with database.begin() as connection:  # the slot of this minute has run: let it be an older one
        await connection.execute(text("UPDATE schedule_runs SET slot = slot - interval '1 day'"))
    await run_due_once(database)

    assert [outcome for outcome, _, _ in await runs(database)] == ["STARTED", "SKIPPED_OVERLAP"]
    assert len(await live_executions(database)) == 1


async def test_a_one_time_schedule_retires(database: "PostgresDatabase") -> None:
    once = schedule(cron=None, next_slot=at("2026-01-01T00:00"))
    await put(database, once)
    await run_due_once(database)
    await run_due_once(database)

    assert len(await runs(database)) == 1
    after = (await schedules.read_schedules(database, [once.id]))[once.id]
    assert (after.status, after.next_slot) == (ScheduleStatus.RETIRED, None)


async def test_a_one_time_schedule_waits_for_its_turn_instead_of_being_skipped(database: "PostgresDatabase") -> None:
    once = schedule(cron=None, next_slot=at("2026-01-01T00:00"))
    await put(database, once)
    live = await queue(database, params={"other": "parameters"})
    await run_due_once(database)

    assert await runs(database) == []
    async with database.begin() as connection:
        await connection.execute(
            text("UPDATE executions SET state = 'CANCELLED', finished_at = clock_timestamp() WHERE id = :id"),
            {"id": live.execution.id},
        )
    await run_due_once(database)
    ((outcome, missed, _),) = await runs(database)
    assert (outcome, missed) == ("STARTED", 0)


async def test_a_slot_that_has_run_does_not_run_again_when_the_clock_is_set_back(
    database: "PostgresDatabase",
) -> None:
    mine = schedule(cron="0 0 1 1 *")
    await put(database, mine)
    for _ in range(2):
        async with database.begin() as connection:
            await connection.execute(text("UPDATE executions SET state = 'CANCELLED', finished_at = queued_at"))
            await connection.execute(update(schedules_table).values(next_slot=at("2026-01-01T00:00")))
        await run_due_once(database)

    assert len(await runs(database)) == 1
    after = (await schedules.read_schedules(database, [mine.id]))[mine.id]
    assert after.next_slot is not None
    assert after.next_slot >= at("2027-01-01T00:00")


async def test_a_cancelled_tournament_pauses_its_schedules_and_no_others(database: "PostgresDatabase") -> None:
    cancelled = await make_tournament(database, status=TournamentStatus.CANCELLED)
    active = await make_tournament(database)
    mine = schedule(name="of a cancelled one", target=Target(cancelled.id), next_slot=at("2026-01-01T00:00"))
    other = schedule(name="of another", target=Target(active.id), next_slot=at("2026-02-01T00:00"))
    await put(database, mine, other)
    await run_due_once(database)
    after = await schedules.read_schedules(database, [mine.id, other.id])
    (execution,) = await live_executions(database)
    async with database.read() as connection:
        (act,) = (await connection.execute(select(audit_log))).all()

    assert (after[mine.id].status, after[mine.id].next_slot) == (ScheduleStatus.PAUSED, None)
    assert after[other.id].status is ScheduleStatus.ACTIVE
    assert execution.target == Target(active.id)
    assert (act.action, act.actor_kind, act.subject_id) == ("pauseSchedule", "SYSTEM", mine.id)
    assert act.reason == "The tournament is cancelled."


async def test_a_schedule_that_cannot_run_does_not_keep_others_from_it(database: "PostgresDatabase") -> None:
    await put(
        database,
        schedule(name="broken", next_slot=at("2026-01-01T00:00")),
        schedule(name="good", operation=Operation.SYNC_CURRENT_ROUND, next_slot=at("2026-02-01T00:00")),
    )
    async with database.begin() as connection:
        await connection.execute(text("UPDATE schedules SET cron = 'nonsense' WHERE name = 'broken'"))
    await run_due_once(database)
    (execution,) = await live_executions(database)

    assert (execution.operation, execution.state) == (Operation.SYNC_CURRENT_ROUND, ExecutionState.QUEUED)


async def test_a_backlog_is_run_in_parts_past_what_is_stuck_in_front_of_it(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=110)
    broken = schedule(name="broken", next_slot=at("2026-01-01T00:00"))
    waiting = schedule(name="waiting", cron=None, next_slot=at("2026-01-02T00:00"))
    backlog = [
        schedule(
            name=f"{match}",
            cron=None,
            next_slot=at("2026-01-03T00:00"),
            operation=Operation.SETTLE_MATCH,
            target=Target(match_id=match),
        )
        for match in made.matches
    ]
    await put(database, broken, waiting, *backlog)
    await queue(database, params={"other": "parameters"})
    async with database.begin() as connection:
        await connection.execute(text("UPDATE schedules SET cron = 'nonsense' WHERE name = 'broken'"))

    assert await run_due_once(database)
    assert len(await runs(database)) == 100
    assert not await run_due_once(database)
    assert {outcome for outcome, _, _ in await runs(database)} == {"STARTED"}
    assert len(await runs(database)) == 110


async def test_default_schedules_are_installed_once_and_kept_as_they_were_set(database: "PostgresDatabase") -> None:
    await asyncio.gather(*(schedules.install_defaults(database) for _ in range(5)))
    async with database.begin() as connection:
        await connection.execute(
            text("UPDATE schedules SET status = 'PAUSED', next_slot = NULL WHERE name = 'settle-pending'")
        )
    await schedules.install_defaults(database)
    async with database.read() as connection:
        rows = (await connection.execute(select(schedules_table).order_by(schedules_table.c.name))).all()

    assert [(row.name, row.operation, row.cron, row.time_zone, row.status) for row in rows] == [
        ("ingest-knockout-rounds", "INGEST_KNOCKOUT_ROUNDS", "17 * * * *", "UTC", "ACTIVE"),
        ("poll-open-matches", "POLL_OPEN_MATCHES", "* * * * *", "UTC", "ACTIVE"),
        ("prune-history", "PRUNE_HISTORY", "30 3 * * *", "UTC", "ACTIVE"),
        ("settle-pending", "SETTLE_PENDING", "* * * * *", "UTC", "PAUSED"),
        ("sync-current-round", "SYNC_CURRENT_ROUND", "*/10 * * * *", "UTC", "ACTIVE"),
        ("verify-projection", "VERIFY_PROJECTION", "47 * * * *", "UTC", "ACTIVE"),
    ]


@pytest.mark.parametrize(("_", "operation", "cron"), schedules.DEFAULTS, ids=str)
async def test_default_schedules_do_next_to_nothing_on_an_idle_installation(
    _: str, operation: Operation, cron: str, database: "PostgresDatabase", valkey: "Redis", tmp_path: Path
) -> None:
    """No provider is there to be asked, and the number of statements is small, smallest each minute."""
    ports = Ports({}, ValkeyProjection(valkey), utc_now, FolderStore(tmp_path))
    counted: list[str] = []

    async def work(run: Run) -> None:
        with recorded_statements(database) as statements:
            await HANDLERS[operation](run, ports)
        counted.extend(statements)

    run = await run_now(database, operation, work)

    assert run.progress().counts.failed == 0
    assert len(counted) <= (3 if cron == "* * * * *" else 40), counted


# ---------------------------------------------------------------- locks


async def test_a_passed_lock_is_told_once(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=3)
    async with database.begin() as connection:
        await connection.execute(text("ALTER TABLE matches DISABLE TRIGGER keep_passed_lock"))
        await connection.execute(text("UPDATE matches SET lock_at = NULL, lock_announced_at = NULL, version = 1"))
        passed = update(matches).values(lock_at=at("2026-01-01T00:00"))
        await connection.execute(passed.where(matches.c.id.in_(made.matches[:2])))
        later = update(matches).values(lock_at=at("2126-01-01T00:00"))
        await connection.execute(later.where(matches.c.id == made.matches[2]))
        await connection.execute(text("DELETE FROM outbox"))
        before = (await connection.execute(select(tournaments.c.match_version))).scalar_one()
    told = await asyncio.gather(*(locks.announce(database) for _ in range(5)))

    assert sum(told) == 2
    assert not await announce_locks_once(database)
    async with database.read() as connection:
        rows = (
            await connection.execute(select(matches.c.version, matches.c.lock_announced_at).order_by(matches.c.id))
        ).all()
        version = (await connection.execute(select(tournaments.c.match_version))).scalar_one()
        ticks = (await connection.execute(select(outbox.c.message))).scalars().all()
    assert sorted(row.version for row in rows) == [1, 2, 2]
    assert {row.lock_announced_at for row in rows} == {None, at("2026-01-01T00:00")}
    assert version > before
    assert {tick["kind"] for tick in ticks} == {"matches"}
