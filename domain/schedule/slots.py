"""When a schedule runs. A slot is an instant in UTC; cron expressions are read on the clock of the schedule's zone.

On the days that the clock changes, a time that is skipped runs once after the gap, one that comes twice runs once.
Expressions for every hour go on in real time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from domain.schedule.model import Schedule

_COUNTED = timedelta(days=7)
_FIELDS = 5
_LONGEST_CRON = 200


@dataclass(frozen=True, slots=True)
class Due:
    """What is to run now: the latest slot that has passed, how many before it were missed, and the next one."""

    slot: datetime
    missed: int
    next_slot: datetime | None


def cron_problem(cron: str, time_zone: str, now: datetime) -> str | None:
    """What is wrong with a cron expression, in words for people."""
    if len(cron) > _LONGEST_CRON or len(cron.split()) != _FIELDS:
        return "A cron expression has five fields: minute, hour, day of the month, month, day of the week."
    try:
        comes = next(_slots(cron, time_zone, now), None) is not None
    except CronSimError as problem:
        return f"{problem}: see `man 5 crontab` for what its five fields may hold."
    return None if comes else "No date ever fits this cron expression."


def first_slot(cron: str, time_zone: str, after: datetime) -> datetime:
    """The first slot later than `after`, of an expression without problems."""
    return next(_slots(cron, time_zone, after))


def due(schedule: Schedule, now: datetime) -> Due | None:
    """What a schedule has to run at `now`. Missed slots are counted over the last week before `now`."""
    if schedule.next_slot is None or schedule.next_slot > now:
        return None
    if schedule.cron is None:
        return Due(schedule.next_slot, 0, None)
    since = max(schedule.next_slot, now - _COUNTED) - timedelta(microseconds=1)
    return _latest(schedule, since, now) or _latest(schedule, schedule.next_slot - timedelta(microseconds=1), now)


def _latest(schedule: Schedule, since: datetime, now: datetime) -> Due | None:
    latest, passed = None, 0
    for slot in _slots(schedule.cron or "", schedule.time_zone, since):
        if slot > now:
            return Due(latest, passed - 1, slot) if latest is not None else None
        latest, passed = slot, passed + 1
    return None


def _slots(cron: str, time_zone: str, after: datetime) -> Iterator[datetime]:
    """Slots later than `after`, rising."""
    last = after
    for local in CronSim(_spelled_out(cron), after.astimezone(ZoneInfo(time_zone))):
        slot = local.astimezone(UTC)
        if slot > last:
            yield slot
            last = slot


def _spelled_out(cron: str) -> str:
    """The expression with `*` written as a range where it names times of day.

    The library takes any `*` among minutes and hours for an interval, which goes on in real time when clocks change.
    For us that is so only when every hour counts.
    """
    minute, hour, *days = cron.split()
    if hour != "*":
        minute, hour = _range(minute, "0-59"), _range(hour, "0-23")
    return " ".join([minute, hour, *days])


def _range(field: str, whole: str) -> str:
    return whole + field[1:] if field.startswith("*") else field
