"""Schedules: the ones that every installation has, the reading of all, and the running of slots that are due."""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from domain.audit import service as audit
from domain.audit.model import Act
from domain.database import Database
from domain.errors import NotFound, WrongState
from domain.execution.model import Command, ExecutionTrigger, Operation, Target
from domain.execution.service import accept
from domain.ids import ExecutionId, ScheduleId, new_id
from domain.schedule import slots, store
from domain.schedule.model import Schedule, ScheduleRun, ScheduleRunOutcome, ScheduleStatus, Turn
from domain.tournament import store as tournament_store
from domain.tournament.model import TournamentStatus

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# Name, operation on all active tournaments, cron expression in UTC.
DEFAULTS = (
    ("poll-open-matches", Operation.POLL_OPEN_MATCHES, "* * * * *"),
    ("settle-pending", Operation.SETTLE_PENDING, "* * * * *"),
    ("sync-current-round", Operation.SYNC_CURRENT_ROUND, "*/10 * * * *"),
    ("ingest-knockout-rounds", Operation.INGEST_KNOCKOUT_ROUNDS, "17 * * * *"),
    ("verify-projection", Operation.VERIFY_PROJECTION, "47 * * * *"),
    ("prune-history", Operation.PRUNE_HISTORY, "30 3 * * *"),
)
_SHOWN = (ScheduleStatus.ACTIVE, ScheduleStatus.PAUSED)


class ScheduleFailed(Exception):
    """A schedule could not run; the cause says why."""

    def __init__(self, schedule_id: ScheduleId) -> None:
        super().__init__(str(schedule_id))
        self.schedule_id = schedule_id


async def install_defaults(database: Database) -> None:
    """Put in the schedules of every installation that are not there; any number of times."""
    async with database.begin() as connection:
        now = await store.now(connection)
        await store.insert_missing(connection, [_default(*entry, now) for entry in DEFAULTS])


async def read_schedules(database: Database, ids: Collection[ScheduleId]) -> dict[ScheduleId, Schedule]:
    """The schedules by id; unknown ids are left out."""
    async with database.read() as connection:
        return {schedule.id: schedule for schedule in await store.read(connection, ids)}


async def by_name(database: Database, name: str) -> Schedule | None:
    """The schedule of this name."""
    async with database.read() as connection:
        return await store.read_by_name(connection, name)


async def page(
    database: Database,
    *,
    statuses: Collection[ScheduleStatus] | None = None,
    first: int,
    after: tuple[str, UUID] | None = None,
) -> list[Schedule]:
    """Up to `first + 1` schedules by name, then by id; of all statuses but retired when none are named."""
    async with database.read() as connection:
        return await store.page(connection, _SHOWN if statuses is None else statuses, first + 1, after)


async def runs_page(
    database: Database, schedule_id: ScheduleId, *, first: int, after: datetime | None = None
) -> list[ScheduleRun]:
    """Up to `first + 1` slots of a schedule, latest first, earlier than the slot `after`."""
    async with database.read() as connection:
        return await store.runs_page(connection, schedule_id, first + 1, after)


async def last_runs(database: Database, ids: Collection[ScheduleId]) -> dict[ScheduleId, ScheduleRun]:
    """The latest slot of each schedule; those that have had none are left out."""
    async with database.read() as connection:
        return {run.schedule_id: run for run in await store.last_runs(connection, ids)}


async def read_run(database: Database, schedule_id: ScheduleId, slot: datetime) -> ScheduleRun | None:
    """What became of a slot; None when nothing did."""
    async with database.read() as connection:
        return await store.read_run(connection, schedule_id, slot)


async def run_next_due(database: Database, leave: Collection[ScheduleId] = ()) -> Turn | None:
    """Run the latest slot that has passed of the schedule that has waited longest, but for those to `leave` alone.

    None when there is nothing to do. Any number of schedulers may do this at once: each takes another schedule. While
    the operation still lives, a recurring schedule skips the slot, which is recorded, and a one-time schedule waits. A
    schedule whose tournament was cancelled, or whose target is gone, is paused.

    Raises:
        ScheduleFailed: something went wrong with this schedule; nothing was changed.
    """
    schedule = None
    try:
        async with database.begin() as connection:
            schedule = await store.take_due_for_update(connection, leave)
            if schedule is None:
                return None
            slot = slots.due(schedule, await store.now(connection))
            if slot is None:
                return Turn(schedule.id, None, moved=False)
            return await _run_slot(connection, schedule, slot)
    except Exception as error:
        if schedule is None:
            raise
        raise ScheduleFailed(schedule.id) from error


async def problem_of_target(connection: "AsyncConnection", target: Target) -> str | None:
    """Why nothing is to be run on a target, in words for people."""
    if target.tournament_id is None:
        return None
    found = await tournament_store.read_tournaments(connection, [target.tournament_id])
    cancelled = any(tournament.status is TournamentStatus.CANCELLED for tournament in found)
    return "The tournament is cancelled." if cancelled else None


async def _run_slot(connection: "AsyncConnection", schedule: Schedule, slot: slots.Due) -> Turn:
    if await store.has_run(connection, schedule.id, slot.slot):  # the clock was set back
        await store.move_on(connection, schedule.id, slot.next_slot)
        return Turn(schedule.id, None, moved=True)
    if (problem := await problem_of_target(connection, schedule.command.target)) is not None:
        return await _pause(connection, schedule, slot, problem)
    try:
        started = await _start(connection, schedule, slot)
    except NotFound as refusal:
        return await _pause(connection, schedule, slot, refusal.message)
    if started is None and schedule.cron is None:  # a single run is not skipped: it waits until it may start
        return Turn(schedule.id, None, moved=False)
    outcome = ScheduleRunOutcome.SKIPPED_OVERLAP if started is None else ScheduleRunOutcome.STARTED
    await store.insert_run(connection, ScheduleRun(schedule.id, slot.slot, outcome, slot.missed, started))
    await store.move_on(connection, schedule.id, slot.next_slot)
    return Turn(schedule.id, started, moved=True)


async def _start(connection: "AsyncConnection", schedule: Schedule, slot: slots.Due) -> ExecutionId | None:
    try:
        accepted = await accept(
            connection,
            schedule.command,
            trigger=ExecutionTrigger.SCHEDULE,
            request_id=_request_id(schedule, slot),
            schedule_id=schedule.id,
        )
    except WrongState:
        return None
    return None if accepted.already_live else accepted.execution.id


async def _pause(connection: "AsyncConnection", schedule: Schedule, slot: slots.Due, problem: str) -> Turn:
    """An admin sees it paused, with the reason in the audit log, instead of one failure a slot."""
    paused = Act(
        action="pauseSchedule",
        actor_id=None,
        system=True,
        request_id=_request_id(schedule, slot),
        subject_kind="SCHEDULE",
        subject_id=schedule.id,
        reason=problem,
    )
    await store.pause(connection, schedule.id)
    await audit.record(connection, paused)
    return Turn(schedule.id, None, moved=True)


def _request_id(schedule: Schedule, slot: slots.Due) -> str:
    return f"schedule:{schedule.name}:{slot.slot:%Y-%m-%dT%H:%MZ}"


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
