"""Runs what is due by the database's clock: slots of schedules, and locks that have passed."""

import structlog

from domain.database import Database
from domain.ids import ScheduleId
from domain.match.lock import service as locks
from domain.schedule import service as schedules
from domain.schedule.service import ScheduleFailed

# Slots that are run before the scheduler is heard of again.
_AT_ONCE = 100

_log = structlog.get_logger(__name__)


async def run_due_once(database: Database) -> bool:
    """Run what is due; whether there is more. One schedule that cannot run does not keep the others from it."""
    stuck: set[ScheduleId] = set()
    moved = 0
    while moved < _AT_ONCE:
        try:
            turn = await schedules.run_next_due(database, stuck)
        except ScheduleFailed as failure:
            stuck.add(failure.schedule_id)
            _log.exception("schedule_failed", domain="schedule", schedule=str(failure.schedule_id))
            continue
        if turn is None:
            return False
        _log.debug("schedule_ran", domain="schedule", schedule=str(turn.schedule_id), started=str(turn.execution_id))
        if turn.moved:
            moved += 1
        else:
            stuck.add(turn.schedule_id)
    return True


async def announce_locks_once(database: Database) -> bool:
    """Tell of locks that have passed; whether there were any."""
    return await locks.announce(database) > 0
