"""Rules of schedules: bounds of what somebody asks for, and what a change makes of a schedule."""

from dataclasses import replace
from datetime import datetime

from domain.errors import Fault
from domain.member.rules import is_plain, time_zone_faults
from domain.schedule.model import KEPT, Kept, NewSchedule, Schedule, ScheduleChange, ScheduleStatus

SHORTEST_NAME = 3
LONGEST_NAME = 80


def new_faults(new: NewSchedule, now: datetime) -> list[Fault]:
    """All that is wrong with a new schedule but its cron expression and its target; its name is stripped already."""
    faults = []
    if not SHORTEST_NAME <= len(new.name) <= LONGEST_NAME or not is_plain(new.name):
        faults.append(fault("name", f"A name has {SHORTEST_NAME} to {LONGEST_NAME} characters, on one line."))
    if (new.cron is None) is (new.run_at is None):
        faults.append(fault("cron", "Give either `cron`, for a recurring schedule, or `runAt`, for a single run."))
    elif new.run_at is not None:
        faults += _moment_faults(new.run_at, now)
    return faults + time_zone_faults(new.time_zone)


def change_faults(schedule: Schedule, change: ScheduleChange, now: datetime) -> list[Fault]:
    """All that is wrong with a change but its cron expression."""
    faults = []
    if schedule.cron is None and change.cron not in {KEPT, None}:
        faults.append(fault("cron", "A one-time schedule cannot have a cron expression; set `runAt`."))
    if schedule.cron is not None and change.cron is None:
        faults.append(fault("cron", "A recurring schedule needs a cron expression."))
    if schedule.run_at is None and change.run_at not in {KEPT, None}:
        faults.append(fault("runAt", "A recurring schedule cannot have `runAt`; set `cron`."))
    elif schedule.run_at is not None:
        faults += _new_moment_faults(schedule, change, now)
    if change.time_zone is None:
        faults.append(fault("timeZone", "A schedule needs a time zone."))
    elif not isinstance(change.time_zone, Kept):
        faults += time_zone_faults(change.time_zone)
    if change.status is None:
        faults.append(fault("status", "A schedule needs a status."))
    return faults


def changed(schedule: Schedule, change: ScheduleChange) -> Schedule:
    """The schedule after a change without faults; its next slot stands as it was."""
    return replace(
        schedule,
        cron=schedule.cron if isinstance(change.cron, Kept) else change.cron,
        time_zone=change.time_zone if isinstance(change.time_zone, str) else schedule.time_zone,
        run_at=schedule.run_at if isinstance(change.run_at, Kept) else change.run_at,
        status=change.status if isinstance(change.status, ScheduleStatus) else schedule.status,
    )


def fault(field: str, message: str) -> Fault:
    """A fault of one field of the input."""
    return Fault("INVALID_INPUT", message, (field,))


def _new_moment_faults(schedule: Schedule, change: ScheduleChange, now: datetime) -> list[Fault]:
    """Of a one-time schedule. Resumed, it needs a time that is still to come."""
    if change.run_at is None:
        return [fault("runAt", "A one-time schedule needs `runAt`.")]
    if isinstance(change.run_at, datetime):
        return _moment_faults(change.run_at, now)
    resumed = schedule.status is ScheduleStatus.PAUSED and change.status is ScheduleStatus.ACTIVE
    if resumed and schedule.run_at is not None and schedule.run_at <= now:
        return [fault("runAt", "`runAt` passed while the schedule was paused; set a new one.")]
    return []


def _moment_faults(moment: datetime, now: datetime) -> list[Fault]:
    return [] if moment > now else [fault("runAt", "`runAt` must be in the future.")]
