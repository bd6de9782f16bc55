"""Runs what is due by the database's clock: slots of schedules, and locks that have passed."""

import structlog

from domain.database import Database
from domain.match.lock import service as locks
from domain.schedule import service as schedules

_log = structlog.get_logger(__name__)


async def run_due_once(database: Database) -> bool:
    """One pass over the schedules; False, for there is no hurry."""
    for schedule_id in await schedules.due(database):
        try:
            execution_id = await schedules.run_due_slot(database, schedule_id)
        except Exception:  # noqa: BLE001 an edge: one schedule that cannot run must not keep the others from it
            _log.exception("schedule_failed", domain="schedule", schedule=str(schedule_id))
        else:
            _log.debug("schedule_ran", domain="schedule", schedule=str(schedule_id), started=str(execution_id))
    return False


async def announce_locks_once(database: Database) -> bool:
    """Tell of locks that have passed; whether there were any."""
    return await locks.announce(database) > 0
