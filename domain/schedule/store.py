"""SQL of schedules and of their slots."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.execution.model import Command, Operation, Target
from domain.ids import ExecutionId, ScheduleId
from domain.schedule.model import Schedule, ScheduleStatus
from domain.schedule.tables import schedule_runs, schedules
from domain.tables import among

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def now(connection: "AsyncConnection") -> datetime:
    """The present instant by the database's clock."""
    at: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return at


async def insert_missing(connection: "AsyncConnection", new: Iterable[Schedule]) -> None:
    """Put in schedules whose names are new; the others stay as somebody has set them."""
    for schedule in new:
        await connection.execute(insert(schedules).values(_row(schedule)).on_conflict_do_nothing())


async def read(connection: "AsyncConnection", ids: Iterable[ScheduleId]) -> list[Schedule]:
    rows = await connection.execute(select(schedules).where(among(schedules.c.id, ids)))
    return [_to_schedule(row) for row in rows]


async def due(connection: "AsyncConnection") -> list[ScheduleId]:
    """Schedules with a slot that has passed."""
    statement = select(schedules.c.id).where(schedules.c.next_slot <= func.clock_timestamp())
    return [ScheduleId(row.id) for row in await connection.execute(statement.order_by(schedules.c.next_slot))]


async def take_for_update(connection: "AsyncConnection", schedule_id: ScheduleId) -> Schedule | None:
    """Lock an active schedule; None when it is none, or another scheduler is at it."""
    statement = (
        select(schedules)
        .where(schedules.c.id == schedule_id, schedules.c.status == ScheduleStatus.ACTIVE)
        .with_for_update(skip_locked=True)
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else _to_schedule(row)


async def insert_run(
    connection: "AsyncConnection",
    schedule_id: ScheduleId,
    slot: datetime,
    *,
    outcome: str,
    missed: int,
    execution_id: ExecutionId | None,
) -> None:
    """Record what became of a slot; each slot once."""
    values = {
        "schedule_id": schedule_id,
        "slot": slot,
        "outcome": outcome,
        "missed_slots": missed,
        "execution_id": execution_id,
    }
    await connection.execute(insert(schedule_runs).values(values))


async def move_on(connection: "AsyncConnection", schedule_id: ScheduleId, next_slot: datetime | None) -> None:
    """Have the schedule wait for its next slot; without one it has done its duty."""
    status = ScheduleStatus.ACTIVE if next_slot is not None else ScheduleStatus.RETIRED
    await connection.execute(
        update(schedules).where(schedules.c.id == schedule_id).values(next_slot=next_slot, status=status)
    )


def _row(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "name": schedule.name,
        "operation": schedule.command.operation,
        "tournament_id": schedule.command.target.tournament_id,
        "params": schedule.command.params,
        "cron": schedule.cron,
        "run_at": schedule.run_at,
        "time_zone": schedule.time_zone,
        "status": schedule.status,
        "next_slot": schedule.next_slot,
    }


def _to_schedule(row: Any) -> Schedule:
    return Schedule(
        id=ScheduleId(row.id),
        name=row.name,
        command=Command(Operation(row.operation), Target(tournament_id=row.tournament_id), row.params),
        cron=row.cron,
        run_at=row.run_at,
        time_zone=row.time_zone,
        status=ScheduleStatus(row.status),
        next_slot=row.next_slot,
    )
