"""Schedules put straight into the database."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import insert

from domain.execution.model import Command, Operation, Target
from domain.ids import ExecutionId, ScheduleId, new_id
from domain.schedule import store
from domain.schedule.model import Schedule, ScheduleStatus
from domain.schedule.tables import schedule_runs

if TYPE_CHECKING:
    from domain.database import Database

FIRST_SLOT = datetime(2026, 1, 1, tzinfo=UTC)
ALL = Target()


async def put_schedule(
    database: "Database", name: str = "put", *, target: Target = ALL, execution_id: ExecutionId | None = None
) -> ScheduleId:
    """A paused daily schedule that had its first slot in the new year's night of 2026."""
    schedule = Schedule(
        id=ScheduleId(new_id()),
        name=name,
        command=Command(Operation.SETTLE_PENDING, target, {}),
        cron="0 0 * * *",
        run_at=None,
        time_zone="UTC",
        status=ScheduleStatus.PAUSED,
        next_slot=None,
    )
    outcome = "STARTED" if execution_id else "SKIPPED_OVERLAP"
    run = {"schedule_id": schedule.id, "slot": FIRST_SLOT, "outcome": outcome, "execution_id": execution_id}
    async with database.begin() as connection:
        await store.insert_missing(connection, [schedule])
        await connection.execute(insert(schedule_runs).values(run))
    return schedule.id
