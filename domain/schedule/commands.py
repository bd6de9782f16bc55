"""What admins do with schedules: make them, change them, run them now. Each is audited in its own transaction."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.rules import reason_faults
from domain.database import Database
from domain.errors import Fault, NotFound, Refused, WrongState
from domain.execution import service as executions
from domain.execution import store as execution_store
from domain.execution.model import ExecutionTrigger, Target
from domain.execution.service import Accepted
from domain.ids import MemberId, ScheduleId, new_id
from domain.member.rules import is_time_zone
from domain.schedule import rules, slots, store
from domain.schedule.model import NewSchedule, Schedule, ScheduleChange, ScheduleStatus
from domain.schedule.service import problem_of_target

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def create(
    database: Database, new: NewSchedule, *, actor_id: MemberId | None, reason: str, request_id: str
) -> Schedule:
    """Make an active schedule; nobody as the actor is an operator at the command line.

    Raises:
        Refused: all that is wrong with the input, a target that does not exist included.
    """
    new, reason = replace(new, name=new.name.strip()), reason.strip()
    async with database.begin() as connection:
        now = await store.now(connection)
        (target,) = await execution_store.complete_targets(connection, [new.command.target])
        faults = rules.new_faults(new, now) + _cron_faults(new.cron, new.time_zone, now)
        faults += await _target_faults(connection, target) + reason_faults(reason)
        if (unknown := await executions.unknown_ruleset(connection, new.command)) is not None:
            faults.append(unknown)
        if await store.read_by_name(connection, new.name) is not None:
            faults.append(_name_is_taken())
        if faults or target is None:
            raise Refused(faults)
        schedule = _made(replace(new, command=replace(new.command, target=target)), now)
        if not await store.insert_missing(connection, [schedule]):
            raise Refused([_name_is_taken()])
        await _record(connection, "createSchedule", schedule, actor_id, reason, request_id, after=_shown(schedule))
        return schedule


async def update(
    database: Database,
    schedule_id: ScheduleId,
    change: ScheduleChange,
    *,
    actor_id: MemberId | None,
    reason: str,
    request_id: str,
) -> Schedule:
    """Change, pause, resume or retire a schedule. Other slots than before count from now on; none is caught up.

    Raises:
        NotFound: there is no such schedule.
        WrongState: it is retired.
        Refused: all that is wrong with the input.
    """
    reason = reason.strip()
    async with database.begin() as connection:
        before = await _active_or_paused(connection, schedule_id)
        now = await store.now(connection)
        after = rules.changed(before, change)
        faults = rules.change_faults(before, change, now) + reason_faults(reason)
        if isinstance(change.cron, str) and before.cron is not None:
            faults += _cron_faults(change.cron, after.time_zone, now)
        if faults:
            raise Refused(faults)
        after = replace(after, next_slot=_next_slot(before, after, now))
        await store.write(connection, after)
        changes = {"before": _shown(before), "after": _shown(after)}
        await _record(connection, "updateSchedule", after, actor_id, reason, request_id, **changes)
        return after


async def run_now(
    database: Database, schedule_id: ScheduleId, *, actor_id: MemberId | None, reason: str, request_id: str
) -> Accepted:
    """Run a schedule's operation apart from its slots, paused or not; answers with an equal execution if one lives.

    Raises:
        NotFound: there is no such schedule.
        WrongState: it is retired, or its operation lives on the same target with other parameters.
        Refused: the reason is too short or too long.
    """
    reason = reason.strip()
    async with database.begin() as connection:
        schedule = await _active_or_paused(connection, schedule_id)
        if faults := reason_faults(reason):
            raise Refused(faults)
        accepted = await executions.accept(
            connection,
            schedule.command,
            trigger=ExecutionTrigger.ADMIN,
            request_id=request_id,
            actor_id=actor_id,
            reason=reason,
            schedule_id=schedule.id,
        )
        await audit.record(
            connection,
            Act(
                action="runScheduleNow",
                actor_id=actor_id,
                request_id=request_id,
                subject_kind="SCHEDULE",
                subject_id=schedule.id,
                reason=reason,
                execution_id=accepted.execution.id,
                after={"name": schedule.name, "alreadyLive": accepted.already_live},
            ),
        )
        return accepted


async def _active_or_paused(connection: "AsyncConnection", schedule_id: ScheduleId) -> Schedule:
    schedule = await store.read_for_update(connection, schedule_id)
    if schedule is None:
        raise NotFound("There is no such schedule.", field=("scheduleId",))
    if schedule.status is ScheduleStatus.RETIRED:
        raise WrongState("The schedule is retired; create a new one.")
    return schedule


def _made(new: NewSchedule, now: datetime) -> Schedule:
    slot = new.run_at if new.cron is None else slots.first_slot(new.cron, new.time_zone, now)
    return Schedule(
        id=ScheduleId(new_id()),
        name=new.name,
        command=new.command,
        cron=new.cron,
        run_at=new.run_at,
        time_zone=new.time_zone,
        status=ScheduleStatus.ACTIVE,
        next_slot=slot,
    )


def _next_slot(before: Schedule, after: Schedule, now: datetime) -> datetime | None:
    """What was due already stays due, unless the slots or the status became others."""
    if after.status is not ScheduleStatus.ACTIVE:
        return None
    if replace(after, next_slot=before.next_slot) == before:
        return before.next_slot
    return after.run_at if after.cron is None else slots.first_slot(after.cron, after.time_zone, now)


def _cron_faults(cron: str | None, time_zone: str, now: datetime) -> list[Fault]:
    """The zone, when it is none, is at fault itself."""
    if cron is None:
        return []
    problem = slots.cron_problem(cron, time_zone if is_time_zone(time_zone) else "UTC", now)
    return [] if problem is None else [rules.fault("cron", problem)]


async def _target_faults(connection: "AsyncConnection", target: Target | None) -> list[Fault]:
    if target is None:
        return [Fault("NOT_FOUND", "The target of the operation does not exist.", ("operation",))]
    problem = await problem_of_target(connection, target)
    return [] if problem is None else [rules.fault("operation", problem)]


def _name_is_taken() -> Fault:
    return rules.fault("name", "Another schedule has this name; retired ones keep theirs.")


async def _record(
    connection: "AsyncConnection",
    action: str,
    schedule: Schedule,
    actor_id: MemberId | None,
    reason: str,
    request_id: str,
    **shown: dict[str, Any],
) -> None:
    act = Act(
        action=action,
        actor_id=actor_id,
        request_id=request_id,
        subject_kind="SCHEDULE",
        subject_id=schedule.id,
        reason=reason,
        before=shown.get("before"),
        after=shown.get("after"),
    )
    await audit.record(connection, act)


def _shown(schedule: Schedule) -> dict[str, Any]:
    """A schedule as the audit log keeps it."""
    return {
        "name": schedule.name,
        "operation": schedule.command.operation,
        "params": schedule.command.params,
        "cron": schedule.cron,
        "timeZone": schedule.time_zone,
        "runAt": schedule.run_at.isoformat() if schedule.run_at else None,
        "status": schedule.status,
        "nextRunAt": schedule.next_slot.isoformat() if schedule.next_slot else None,
    }
