"""Schedules: for platform admins alone."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.execution.service import Accepted
from domain.ids import ScheduleId
from domain.schedule import commands
from domain.schedule import service as schedules
from domain.schedule.model import NewSchedule, Schedule, ScheduleChange, ScheduleRun, ScheduleStatus
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, instant, page_size, words
from resolvers.permissions import allow, platform_admin


@allow(platform_admin)
async def create(context: Context, *, new: NewSchedule, reason: str) -> Schedule:
    """Make a schedule."""
    return await commands.create(
        context.database, new, actor_id=context.member_id, reason=reason, request_id=context.request.id
    )


@allow(platform_admin)
async def update(context: Context, *, schedule_id: ScheduleId, change: ScheduleChange, reason: str) -> Schedule:
    """Change, pause, resume or retire a schedule."""
    return await commands.update(
        context.database,
        schedule_id,
        change,
        actor_id=context.member_id,
        reason=reason,
        request_id=context.request.id,
    )


@allow(platform_admin)
async def run_now(context: Context, *, schedule_id: ScheduleId, reason: str) -> Accepted:
    """Run a schedule's operation now; answers with its execution, or with an equal one that is live."""
    return await commands.run_now(
        context.database,
        schedule_id,
        actor_id=context.member_id,
        reason=reason,
        request_id=context.request.id,
    )


@allow(platform_admin)
async def read(context: Context, *, schedule_id: ScheduleId) -> Schedule | None:
    """One schedule."""
    return await context.loaders.schedule.load(schedule_id)


@allow(platform_admin)
async def read_run(context: Context, *, schedule_id: ScheduleId, slot: datetime) -> ScheduleRun | None:
    """One slot of a schedule."""
    return await schedules.read_run(context.database, schedule_id, slot)


async def page(
    context: Context, *, statuses: Sequence[ScheduleStatus] | None, first: int, after: str | None
) -> Page[Schedule]:
    """Schedules by name, retired ones only when they are asked for. Only below `Query.admin`."""
    cursors = Cursors("admin.schedules", sorted(statuses) if statuses is not None else None)
    rows = await schedules.page(
        context.database,
        statuses=statuses,
        first=page_size(first),
        after=cursors.read(after, words, UUID) if after is not None else None,
    )
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.name, row.id))


async def runs_page(context: Context, schedule_id: ScheduleId, *, first: int, after: str | None) -> Page[ScheduleRun]:
    """Slots of a schedule, latest first. Only below a schedule, which only admins see."""
    cursors = Cursors("schedule.runs", schedule_id)
    (earlier_than,) = cursors.read(after, instant) if after is not None else (None,)
    rows = await schedules.runs_page(context.database, schedule_id, first=page_size(first), after=earlier_than)
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.slot.isoformat()))
