"""Schedules: the ones that every installation has, and the running of slots that are due."""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from domain.database import Database
from domain.errors import WrongState
from domain.execution.model import Command, ExecutionTrigger, Operation, Target
from domain.execution.service import accept
from domain.ids import ExecutionId, ScheduleId, new_id
from domain.schedule import slots, store
from domain.schedule.model import Schedule, ScheduleStatus

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# Name, operation on all active tournaments, cron expression in UTC.
DEFAULTS = (
    ("settle-pending", Operation.SETTLE_PENDING, "* * * * *"),
    ("sync-current-round", Operation.SYNC_CURRENT_ROUND, "*/10 * * * *"),
)


async def install_defaults(database: Database) -> None:
    """Put in the schedules of every installation that are not there; any number of times."""
    async with database.begin() as connection:
        now = await store.now(connection)
        await store.insert_missing(connection, [_default(*entry, now) for entry in DEFAULTS])


async def read_schedules(database: Database, ids: Collection[ScheduleId]) -> dict[ScheduleId, Schedule]:
    """The schedules by id; unknown ids are left out."""
    async with database.read() as connection:
        return {schedule.id: schedule for schedule in await store.read(connection, ids)}


async def due(database: Database) -> list[ScheduleId]:
    """Schedules that have something to run."""
    async with database.read() as connection:
        return await store.due(connection)


async def run_due_slot(database: Database, schedule_id: ScheduleId) -> ExecutionId | None:
    """Run the latest slot that has passed, once however many schedulers try; the execution that it started.

    None when there is nothing to do, or when the operation still lives: then the slot is skipped, and recorded.
    """
    async with database.begin() as connection:
        schedule = await store.take_for_update(connection, schedule_id)
        if schedule is None:
            return None
        slot = slots.due(schedule, await store.now(connection))
        if slot is None:
            return None
        started = await _start(connection, schedule, slot)
        await store.insert_run(
            connection,
            schedule.id,
            slot.slot,
            outcome="SKIPPED_OVERLAP" if started is None else "STARTED",
            missed=slot.missed,
            execution_id=started,
        )
        await store.move_on(connection, schedule.id, slot.next_slot)
        return started


async def _start(connection: "AsyncConnection", schedule: Schedule, slot: slots.Due) -> ExecutionId | None:
    try:
        accepted = await accept(
            connection,
            schedule.command,
            trigger=ExecutionTrigger.SCHEDULE,
            request_id=f"schedule:{schedule.name}:{slot.slot:%Y-%m-%dT%H:%MZ}",
            schedule_id=schedule.id,
        )
    except WrongState:
        return None
    return None if accepted.already_live else accepted.execution.id


def _default(name: str, operation: Operation, cron: str, now: datetime) -> Schedule:
    return Schedule(
        id=ScheduleId(new_id()),
        name=name,
        command=Command(operation, Target(), {}),
        cron=cron,
        run_at=None,
        time_zone="UTC",
        status=ScheduleStatus.ACTIVE,
        next_slot=slots.first_slot(cron, "UTC", now),
    )
