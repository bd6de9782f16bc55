"""Use cases of the epoch: it changes when versions stop being comparable, which is when a database was restored.

Versions that were given out before are worth nothing then: projections are written anew, and streams begin anew.
"""

import logging
from uuid import UUID, uuid4

from domain.audit import service as audit
from domain.audit.model import Act
from domain.database import Database
from domain.installation import store
from domain.installation.model import ServerRun

_log = logging.getLogger(__name__)


async def notice_restore(database: Database) -> bool:
    """Begin an epoch if this is another database than the one in which the present epoch was seen; whether it did."""
    async with database.read() as connection:
        identity = await store.read_identity(connection)
        epoch, known = await store.read_epoch(connection)
    if identity in (known, None):
        return False
    if known is not None:
        return await begin_epoch(database, present=epoch, reason="The database was restored from a copy.")
    async with database.begin() as connection:
        await store.set_epoch(connection, present=epoch, new=epoch, identity=identity)
    return False


class Restores:
    """Notices restores, those of files too, for one process: it remembers how far the server had come."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: ServerRun | None = None

    async def notice(self) -> bool:
        """Begin an epoch if this is another database, or an earlier one than at the last look; whether it did."""
        has_begun = await notice_restore(self._database)
        async with self._database.read() as connection:
            run = await store.read_run(connection)
        if run is not None and self._seen is not None and run.has_lost(self._seen):
            has_begun |= await self._begin(run)
        self._seen = run
        return has_begun

    async def _begin(self, run: ServerRun) -> bool:
        """Unless another process was quicker."""
        async with self._database.read() as connection:
            epoch, _ = await store.read_epoch(connection)
            if await store.has_begun_since(connection, run.started_at):
                return False
        reason = "The files of the database were replaced by earlier ones."
        return await begin_epoch(self._database, present=epoch, reason=reason)


async def begin_epoch(
    database: Database, *, reason: str, present: UUID | None = None, request_id: str | None = None
) -> bool:
    """Begin an epoch, unless the `present` one has ended already; whether it did.

    `request_id`: of an operator's command; without it the system acts.
    """
    new = uuid4()
    async with database.read() as connection:
        identity = await store.read_identity(connection)
        ending = present or (await store.read_epoch(connection))[0]
    async with database.begin() as connection:
        if not await store.set_epoch(connection, present=ending, new=new, identity=identity):
            return False
        act = Act(
            action=store.NEW_EPOCH,
            actor_id=None,
            request_id=request_id or f"epoch-{new}",
            reason=reason,
            before={"epoch": str(ending)},
            after={"epoch": str(new)},
            system=request_id is None,
        )
        await audit.record(connection, act)
    _log.warning("new_epoch: %s", reason)
    return True
