"""What is removed and what stays: by age, by what refers to it, in batches, with the reports, and in the docs."""

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, text, update

from domain.all_tables import metadata
from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.tables import audit_log
from domain.execution.dead_letter.tables import dead_letters
from domain.execution.model import ExecutionState, Operation
from domain.execution.report import report_key_of
from domain.execution.retention import service, store
from domain.execution.retention.rules import RETENTIONS, History
from domain.execution.run import LeaseLost, Run
from domain.execution.tables import execution_steps, executions
from domain.ids import ExecutionId, new_id
from domain.member.tables import sessions
from domain.outbox.tables import outbox
from domain.schedule.tables import schedule_runs, schedules
from domain.settlement.tables import idempotency_keys
from integrations.object_store.folder import FolderStore
from tests.support.football import make_member
from tests.support.runs import run_now

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

DOCS = Path(__file__).parents[2] / "docs" / "executions.md"
KEEPS = {retention.history: retention.keep for retention in RETENTIONS}
DAY = timedelta(days=1)


@pytest.fixture
def reports(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


async def prune(
    database: "PostgresDatabase", reports: FolderStore, *, dry_run: bool = False, batch: int = service.BATCH
) -> dict[History, tuple[int, int, int]]:
    """Removed, only counted, and refused, of each kind."""
    params = {"dryRun": True} if dry_run else {}

    async def handler(run: Run) -> None:
        await service.prune_history(run, reports, batch=batch)

    run = await run_now(database, Operation.PRUNE_HISTORY, handler, params=params)
    assert run.execution.dry_run is dry_run
    labels = {retention.label: retention.history for retention in RETENTIONS}
    return {
        labels[step.name]: (step.counts.updated, step.counts.unchanged, step.counts.failed)
        for step in run.progress().steps
    }


async def put_execution(
    database: "PostgresDatabase", age: timedelta, *, state: ExecutionState = ExecutionState.COMPLETED, **values: Any
) -> ExecutionId:
    execution_id = ExecutionId(new_id())
    at = func.clock_timestamp() - age
    is_over = state not in {ExecutionState.QUEUED, ExecutionState.IN_PROGRESS}
    row = {
        "id": execution_id,
        "operation": "SETTLE_PENDING",
        "params": {},
        "operation_key": str(execution_id),
        "state": state,
        "trigger": "SCHEDULE",
        "request_id": "test",
        "max_attempts": 3,
        "not_before": at,
        "queued_at": at,
        "finished_at": at if is_over else None,
        "error_code": "INTERNAL" if state is ExecutionState.FAILED else None,
        "fence": 1,
    }
    async with database.begin() as connection:
        await connection.execute(insert(executions).values(**row, **values))
        step = {"execution_id": execution_id, "position": 1, "name": "Step", "state": "COMPLETED"}
        await connection.execute(insert(execution_steps).values(step))
    return execution_id


async def there(database: "PostgresDatabase", ids: list[ExecutionId]) -> list[ExecutionId]:
    async with database.read() as connection:
        found = set((await connection.execute(select(executions.c.id))).scalars())
    return [execution_id for execution_id in ids if execution_id in found]


async def put_schedule(database: "PostgresDatabase") -> UUID:
    schedule_id = new_id()
    row = {"id": schedule_id, "name": "s", "operation": "SETTLE_PENDING", "params": {}, "cron": "* * * * *"}
    async with database.begin() as connection:
        await connection.execute(insert(schedules).values(**row, status="PAUSED"))
    return schedule_id


async def put_run(
    database: "PostgresDatabase", schedule_id: UUID, age: timedelta, execution_id: ExecutionId | None = None
) -> None:
    at = func.clock_timestamp() - age
    async with database.begin() as connection:
        await connection.execute(
            insert(schedule_runs).values(
                schedule_id=schedule_id, slot=at, outcome="STARTED", execution_id=execution_id, at=at
            )
        )


async def put_dead_letter(
    database: "PostgresDatabase", execution_id: ExecutionId, resolved_before: timedelta | None
) -> None:
    resolved = (
        {}
        if resolved_before is None
        else {
            "resolution": "DISCARDED",
            "resolved_at": func.clock_timestamp() - resolved_before,
            "reason": "It was a drill.",
        }
    )
    row = {
        "id": new_id(),
        "execution_id": execution_id,
        "operation": "SETTLE_PENDING",
        "message": {},
        "attempts": 3,
        "error_code": "INTERNAL",
        "error_message": "x",
    }
    async with database.begin() as connection:
        await connection.execute(insert(dead_letters).values(**row, **resolved))


async def test_executions_go_when_they_are_over_for_long_with_steps_and_reports(
    database: "PostgresDatabase", reports: FolderStore
) -> None:
    states = (ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.CANCELLED)
    old = [await put_execution(database, 31 * DAY, state=state) for state in states]
    young = [await put_execution(database, 29 * DAY, state=state) for state in states]
    waiting = await put_execution(database, 300 * DAY, state=ExecutionState.QUEUED)
    for execution_id in old + young:
        assert await reports.put(report_key_of(execution_id, 1), b"{}", content_type="application/json")

    found = await prune(database, reports)

    assert found[History.EXECUTIONS] == (3, 0, 0)
    assert await there(database, [*old, *young, waiting]) == [*young, waiting]
    assert [await reports.get(report_key_of(execution_id, 1)) for execution_id in old] == [None] * 3
    assert [await reports.get(report_key_of(execution_id, 1)) for execution_id in young] == [b"{}"] * 3
    async with database.read() as connection:
        steps = select(func.count()).where(execution_steps.c.execution_id.in_(old))
        assert (await connection.execute(steps)).scalar_one() == 0
    assert (await prune(database, reports))[History.EXECUTIONS] == (0, 0, 0)


async def test_reports_of_all_tries_go(database: "PostgresDatabase", reports: FolderStore) -> None:
    execution_id = await put_execution(database, 31 * DAY)
    async with database.begin() as connection:
        await connection.execute(update(executions).where(executions.c.id == execution_id).values(fence=4))
    for fence in (2, 4):
        await reports.put(report_key_of(execution_id, fence), b"{}", content_type="application/json")
    await prune(database, reports)
    assert [await reports.get(report_key_of(execution_id, fence)) for fence in (2, 4)] == [None, None]


async def test_a_dry_run_only_counts(database: "PostgresDatabase", reports: FolderStore) -> None:
    old = await put_execution(database, 31 * DAY)
    schedule_id = await put_schedule(database)
    await put_run(database, schedule_id, 31 * DAY, old)
    await put_run(database, schedule_id, DAY)

    counted = await prune(database, reports, dry_run=True)

    assert counted == {
        History.SCHEDULE_RUNS: (0, 1, 0),
        History.DEAD_LETTERS: (0, 0, 0),
        History.EXPORTS: (0, 0, 0),
        History.EXECUTIONS: (0, 1, 0),
        History.SESSIONS: (0, 0, 0),
        History.OUTBOX: (0, 0, 0),
    }
    assert await there(database, [old]) == [old]
    removed = await prune(database, reports)
    assert {history: counts[0] for history, counts in removed.items()} == {
        history: counts[1] for history, counts in counted.items()
    }


async def test_what_something_refers_to_stays(database: "PostgresDatabase", reports: FolderStore) -> None:
    audited, keyed, retried, waiting, resolved, last = [await put_execution(database, 400 * DAY) for _ in range(6)]
    await put_execution(database, DAY, retry_of=retried)
    schedule_id = await put_schedule(database)
    await put_run(database, schedule_id, 400 * DAY, last)
    await put_dead_letter(database, waiting, None)
    await put_dead_letter(database, resolved, 89 * DAY)
    async with database.begin() as connection:
        await audit.record(connection, Act("runOperation", None, "test", execution_id=audited, system=True))
        key = {"key": "k", "execution_id": keyed, "effect_digest": "", "status": "APPLIED"}
        await connection.execute(insert(idempotency_keys).values(key))
    kept = [audited, keyed, retried, waiting, resolved, last]

    found = await prune(database, reports)

    assert {history: counts[0] for history, counts in found.items()} == dict.fromkeys(History, 0)
    assert await there(database, kept) == kept
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(audit_log))).scalar_one() == 1


def test_every_table_that_refers_to_an_execution_is_thought_of() -> None:
    """A new one must keep its executions, or go before them: else removing fails on its foreign key."""
    referring = {
        f"{column.table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        for key in column.foreign_keys
        if key.target_fullname == "executions.id" and key.ondelete != "CASCADE"
    }
    condition = " ".join(str(kept) for kept in store.keepers(KEEPS))
    assert referring
    assert {name for name in referring if name.split(".")[1] not in condition} == set()
    tables = {name.split(".")[0] for name in referring} - {"executions"}
    assert {table for table in tables if table not in condition} == set()


async def test_dead_letters_go_long_after_they_were_resolved(
    database: "PostgresDatabase", reports: FolderStore
) -> None:
    gone, resolved, waiting = [await put_execution(database, 400 * DAY) for _ in range(3)]
    await put_dead_letter(database, gone, 91 * DAY)
    await put_dead_letter(database, resolved, 89 * DAY)
    await put_dead_letter(database, waiting, None)

    found = await prune(database, reports)

    assert (found[History.DEAD_LETTERS], found[History.EXECUTIONS]) == ((1, 0, 0), (1, 0, 0))
    assert await there(database, [gone, resolved, waiting]) == [resolved, waiting]


async def test_the_latest_run_of_a_schedule_stays(database: "PostgresDatabase", reports: FolderStore) -> None:
    schedule_id = await put_schedule(database)
    for age in (33, 32, 31):
        await put_run(database, schedule_id, age * DAY)
    assert (await prune(database, reports))[History.SCHEDULE_RUNS] == (2, 0, 0)
    async with database.read() as connection:
        left = select(func.clock_timestamp() - schedule_runs.c.slot)
        assert (await connection.execute(left)).scalar_one() < 32 * DAY


async def test_sessions_and_messages_go_after_their_time(database: "PostgresDatabase", reports: FolderStore) -> None:
    member_id = await make_member(database, "Somebody")
    now = func.clock_timestamp()
    ages: list[dict[str, Any]] = [
        {"expires_at": now - 31 * DAY},
        {"expires_at": now + DAY, "revoked_at": now - 31 * DAY},
        {"expires_at": now - 29 * DAY},
        {"expires_at": now + DAY},
    ]
    async with database.begin() as connection:
        for n, age in enumerate(ages):
            row = {"id": new_id(), "token_hash": bytes([n]), "member_id": member_id}
            await connection.execute(insert(sessions).values(**row, **age))
        for days in (8, 6):
            await connection.execute(insert(outbox).values(topic="TICK", message={}, not_before=now - days * DAY))

    found = await prune(database, reports)

    assert (found[History.SESSIONS], found[History.OUTBOX]) == ((2, 0, 0), (1, 0, 0))


async def test_more_than_a_batch_is_removed(database: "PostgresDatabase", reports: FolderStore) -> None:
    schedule_id = await put_schedule(database)
    fill = (
        "INSERT INTO schedule_runs (schedule_id, slot, outcome, at)"
        " SELECT :id, at, 'STARTED', at FROM generate_series(1, 35) n,"
        " LATERAL (SELECT clock_timestamp() - interval '1 day' * (30 + n)) AS slot (at)"
    )
    async with database.begin() as connection:
        await connection.execute(text(fill), {"id": schedule_id})
    for _ in range(25):
        await put_execution(database, 40 * DAY)
    found = await prune(database, reports, batch=10)
    assert (found[History.SCHEDULE_RUNS], found[History.EXECUTIONS]) == ((34, 0, 0), (25, 0, 0))


async def test_an_execution_whose_report_cannot_be_removed_stays(database: "PostgresDatabase", tmp_path: Path) -> None:
    stuck, gone = [await put_execution(database, 31 * DAY) for _ in range(2)]
    # A folder where the report should be cannot be removed as a file.
    (tmp_path / report_key_of(stuck, 1) / "x").mkdir(parents=True)

    found = await prune(database, FolderStore(tmp_path))

    assert found[History.EXECUTIONS] == (1, 0, 1)
    assert await there(database, [stuck, gone]) == [stuck]


async def test_a_worker_that_lost_its_lease_removes_nothing(database: "PostgresDatabase", reports: FolderStore) -> None:
    old = await put_execution(database, 31 * DAY)

    async def handler(run: Run) -> None:
        async with database.begin() as connection:
            taken = update(executions).where(executions.c.id == run.execution.id)
            await connection.execute(taken.values(fence=executions.c.fence + 1))
        await service.prune_history(run, reports)

    with pytest.raises(LeaseLost):
        await run_now(database, Operation.PRUNE_HISTORY, handler)
    assert await there(database, [old]) == [old]


def test_the_docs_say_how_long_history_is_kept() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (\d+) days? \| ([^|]+) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [(retention.label, str(retention.days), retention.kept) for retention in RETENTIONS]
