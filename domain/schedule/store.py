"""SQL of schedules and of their slots."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import exists, func, not_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from domain.execution.model import Command, Operation, Target
from domain.ids import ScheduleId
from domain.schedule.model import Schedule, ScheduleRun, ScheduleRunOutcome, ScheduleStatus
from domain.schedule.tables import schedule_runs, schedules
from domain.tables import among

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def now(connection: "AsyncConnection") -> datetime:
    """The present instant by the database's clock."""
    at: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return at


async def insert_missing(connection: "AsyncConnection", new: Iterable[Schedule]) -> list[ScheduleId]:
    """Put in schedules whose names are new; the others stay as somebody has set them. The ids of the new ones."""
    inserted = []
    for schedule in new:
        statement = insert(schedules).values(_row(schedule)).on_conflict_do_nothing().returning(schedules.c.id)
        inserted += [ScheduleId(row.id) for row in await connection.execute(statement)]
    return inserted


async def write(connection: "AsyncConnection", schedule: Schedule) -> None:
    """Write what may change of a schedule."""
    values = {"cron": schedule.cron, "run_at": schedule.run_at, "time_zone": schedule.time_zone}
    state = {"status": schedule.status, "next_slot": schedule.next_slot}
    await connection.execute(update(schedules).where(schedules.c.id == schedule.id).values(values | state))


async def read(connection: "AsyncConnection", ids: Iterable[ScheduleId]) -> list[Schedule]:
    rows = await connection.execute(select(schedules).where(among(schedules.c.id, ids)))
    return [_to_schedule(row) for row in rows]


async def read_by_name(connection: "AsyncConnection", name: str) -> Schedule | None:
    row = (await connection.execute(select(schedules).where(schedules.c.name == name))).first()
    return None if row is None else _to_schedule(row)


async def page(
    connection: "AsyncConnection",
    statuses: Collection[ScheduleStatus],
    limit: int,
    after: tuple[str, UUID] | None,
) -> list[Schedule]:
    """Schedules of these statuses by name, behind `after`."""
    behind = tuple_(schedules.c.name, schedules.c.id) > after if after is not None else true()
    statement = select(schedules).where(schedules.c.status.in_(statuses), behind)
    rows = await connection.execute(statement.order_by(schedules.c.name, schedules.c.id).limit(limit))
    return [_to_schedule(row) for row in rows]


async def runs_page(
    connection: "AsyncConnection", schedule_id: ScheduleId, limit: int, before: datetime | None
) -> list[ScheduleRun]:
    """The slots of a schedule, latest first, earlier than `before`."""
    earlier = schedule_runs.c.slot < before if before is not None else true()
    statement = select(schedule_runs).where(schedule_runs.c.schedule_id == schedule_id, earlier)
    rows = await connection.execute(statement.order_by(schedule_runs.c.slot.desc()).limit(limit))
    return [_to_run(row) for row in rows]


async def last_runs(connection: "AsyncConnection", ids: Iterable[ScheduleId]) -> list[ScheduleRun]:
    """The latest slot of each schedule that has had one."""
    latest = (
        select(schedule_runs)
        .where(schedule_runs.c.schedule_id == schedules.c.id)
        .order_by(schedule_runs.c.slot.desc())
        .limit(1)
        .lateral()
    )
    rows = await connection.execute(
        select(latest).select_from(schedules.join(latest, true())).where(among(schedules.c.id, ids))
    )
    return [_to_run(row) for row in rows]


async def read_run(connection: "AsyncConnection", schedule_id: ScheduleId, slot: datetime) -> ScheduleRun | None:
    statement = select(schedule_runs).where(schedule_runs.c.schedule_id == schedule_id, schedule_runs.c.slot == slot)
    row = (await connection.execute(statement)).first()
    return None if row is None else _to_run(row)


async def take_due_for_update(connection: "AsyncConnection", leave: Collection[ScheduleId]) -> Schedule | None:
    """Lock the schedule whose slot passed longest ago, but for those to leave alone or that another scheduler is at."""
    statement = (
        select(schedules)
        .where(schedules.c.next_slot <= func.statement_timestamp(), not_(among(schedules.c.id, leave)))
        .order_by(schedules.c.next_slot)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else _to_schedule(row)


async def read_for_update(connection: "AsyncConnection", schedule_id: ScheduleId) -> Schedule | None:
    """Lock a schedule, after whoever is at it."""
    statement = select(schedules).where(schedules.c.id == schedule_id).with_for_update()
    row = (await connection.execute(statement)).first()
    return None if row is None else _to_schedule(row)


async def has_run(connection: "AsyncConnection", schedule_id: ScheduleId, slot: datetime) -> bool:
    """Whether something became of a slot already."""
    found = exists().where(schedule_runs.c.schedule_id == schedule_id, schedule_runs.c.slot == slot)
    return bool((await connection.execute(select(found))).scalar_one())


async def insert_run(connection: "AsyncConnection", run: ScheduleRun) -> None:
    """Record what became of a slot; each slot once."""
    values = {
        "schedule_id": run.schedule_id,
        "slot": run.slot,
        "outcome": run.outcome,
        "missed_slots": run.missed_slots,
        "execution_id": run.execution_id,
    }
    await connection.execute(insert(schedule_runs).values(values))


async def move_on(connection: "AsyncConnection", schedule_id: ScheduleId, next_slot: datetime | None) -> None:
    """Have the schedule wait for its next slot; without one it has done its duty."""
    status = ScheduleStatus.ACTIVE if next_slot is not None else ScheduleStatus.RETIRED
    await connection.execute(
        update(schedules).where(schedules.c.id == schedule_id).values(next_slot=next_slot, status=status)
    )


async def pause(connection: "AsyncConnection", schedule_id: ScheduleId) -> None:
    """Have the schedule run no more until somebody resumes it."""
    await connection.execute(
        update(schedules).where(schedules.c.id == schedule_id).values(next_slot=None, status=ScheduleStatus.PAUSED)
    )


def _row(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "name": schedule.name,
        "operation": schedule.command.operation,
        "tournament_id": schedule.command.target.tournament_id,
        "round_id": schedule.command.target.round_id,
        "match_id": schedule.command.target.match_id,
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
        command=Command(Operation(row.operation), Target(row.tournament_id, row.round_id, row.match_id), row.params),
        cron=row.cron,
        run_at=row.run_at,
        time_zone=row.time_zone,
        status=ScheduleStatus(row.status),
        next_slot=row.next_slot,
    )


def _to_run(row: Any) -> ScheduleRun:
    return ScheduleRun(
        schedule_id=ScheduleId(row.schedule_id),
        slot=row.slot,
        outcome=ScheduleRunOutcome(row.outcome),
        missed_slots=row.missed_slots,
        execution_id=row.execution_id,
    )
