"""`palpite schedules list|pause|resume|run`."""

from typing import Any

from domain.execution.service import Accepted
from domain.ids import ScheduleId
from domain.schedule import commands
from domain.schedule import service as schedules
from domain.schedule.model import Schedule, ScheduleChange, ScheduleRun, ScheduleStatus
from runtime.database import PostgresDatabase
from runtime.errors import SetupError
from runtime.operator import Row, request_id, say, show_rows, with_database

_MOST = 1000
_COLUMNS = {
    "name": "NAME",
    "operation": "OPERATION",
    "slots": "SLOTS",
    "status": "STATUS",
    "nextRunAt": "NEXT",
    "lastRun": "LAST",
}


def list_(*, json: bool = False) -> None:
    """List schedules by name, retired ones too.

    Example: `palpite schedules list`

    Parameters
    ----------
    json
        Print JSON for scripts.
    """
    rows = with_database(_rows)
    show_rows(rows, _COLUMNS, as_json=json, nothing="No schedule: a running scheduler puts in the usual ones.")


def pause(name: str, /, *, reason: str) -> None:
    """Pause a schedule until it is resumed.

    Example: `palpite schedules pause poll-open-matches --reason "catching up"`

    Parameters
    ----------
    name
        Its name, from the list.
    reason
        Why, for the audit log; 3 to 500 characters.
    """
    changed = with_database(lambda database: _set_status(database, name, ScheduleStatus.PAUSED, reason))
    say(f"{changed.name} is paused.")


def resume(name: str, /, *, reason: str) -> None:
    """Resume a paused schedule, from its next slot on.

    Example: `palpite schedules resume poll-open-matches --reason "caught up"`

    Parameters
    ----------
    name
        Its name, from the list.
    reason
        Why, for the audit log; 3 to 500 characters.
    """
    changed = with_database(lambda database: _set_status(database, name, ScheduleStatus.ACTIVE, reason))
    say(f"{changed.name} runs next at {changed.next_slot:%Y-%m-%d %H:%M}Z.")


def run(name: str, /, *, reason: str) -> None:
    """Run a schedule's operation now, apart from its slots.

    Example: `palpite schedules run settle-pending --reason "matches are late"`

    Parameters
    ----------
    name
        Its name, from the list.
    reason
        Why, for the audit log; 3 to 500 characters.
    """
    accepted = with_database(lambda database: _run(database, name, reason))
    state = "was live already" if accepted.already_live else "is queued"
    say(f"{accepted.execution.operation} {accepted.execution.id} {state}.")


async def _set_status(database: PostgresDatabase, name: str, status: ScheduleStatus, reason: str) -> Schedule:
    schedule = await _named(database, name)
    change = ScheduleChange(status=status)
    return await commands.update(database, schedule.id, change, actor_id=None, reason=reason, request_id=request_id())


async def _run(database: PostgresDatabase, name: str, reason: str) -> Accepted:
    schedule = await _named(database, name)
    return await commands.run_now(database, schedule.id, actor_id=None, reason=reason, request_id=request_id())


async def _named(database: PostgresDatabase, name: str) -> Schedule:
    schedule = await schedules.by_name(database, name)
    if schedule is None:
        raise SetupError(f"There is no schedule {name!r}; `palpite schedules list` shows them.")
    return schedule


async def _rows(database: PostgresDatabase) -> list[Row]:
    found = await schedules.page(database, statuses=list(ScheduleStatus), first=_MOST)
    runs = await schedules.last_runs(database, [schedule.id for schedule in found])
    return [_row(schedule, runs) for schedule in found]


def _row(schedule: Schedule, runs: dict[ScheduleId, ScheduleRun]) -> dict[str, Any]:
    last = runs.get(schedule.id)
    once = f"once at {schedule.run_at:%Y-%m-%d %H:%M}Z" if schedule.run_at else None
    return {
        "id": schedule.id,
        "name": schedule.name,
        "operation": schedule.command.operation,
        "tournamentId": schedule.command.target.tournament_id,
        "roundId": schedule.command.target.round_id,
        "matchId": schedule.command.target.match_id,
        "cron": schedule.cron,
        "timeZone": schedule.time_zone,
        "runAt": schedule.run_at,
        "slots": once or f"{schedule.cron} {schedule.time_zone}",
        "status": schedule.status,
        "nextRunAt": schedule.next_slot,
        "lastRun": None if last is None else f"{last.slot:%Y-%m-%d %H:%M}Z {last.outcome}",
        "lastExecutionId": None if last is None else last.execution_id,
    }
