"""SQL of the installation's one row."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import exists, select, text, update
from sqlalchemy.exc import NotSupportedError, ProgrammingError

from domain.audit.tables import audit_log
from domain.installation.model import ServerRun
from domain.member.tables import installation

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

NEW_EPOCH = "newEpoch"
"""What the audit log calls it."""

# A restore to another server changes the first, one to an earlier time the second, a dump or copy of it the others.
_IDENTITY = text(
    "SELECT concat_ws('/', system_identifier, timeline_id, database.oid, 'installation'::regclass::oid)"
    " FROM pg_control_system() AS system, pg_control_checkpoint() AS checkpoint, pg_database AS database"
    " WHERE database.datname = current_database()"
)

# Who has just taken over from a lost server has made no checkpoint in its own timeline yet.
_RUN = text(
    "SELECT pg_postmaster_start_time() AS started_at, (pg_current_wal_flush_lsn() - '0/0')::bigint AS written,"
    " CASE WHEN starts_with(pg_walfile_name(pg_current_wal_flush_lsn()), upper(lpad(to_hex(timeline_id), 8, '0')))"
    " THEN (checkpoint_lsn - '0/0')::bigint END AS checkpoint"
    " FROM pg_control_checkpoint()"
)


async def read_identity(connection: "AsyncConnection") -> str | None:
    """What tells this database from the one that it was copied or restored from; None where that may not be asked.

    The connection must not be in a transaction.
    """
    try:
        return str((await connection.execute(_IDENTITY)).scalar_one())
    except (ProgrammingError, NotSupportedError):
        return None


async def read_run(connection: "AsyncConnection") -> ServerRun | None:
    """How far the server has come; None where that may not be asked. The connection must not be in a transaction."""
    try:
        row = (await connection.execute(_RUN)).one()
    except (ProgrammingError, NotSupportedError):
        return None
    return ServerRun(row.started_at, row.written, row.checkpoint)


async def read_epoch(connection: "AsyncConnection") -> tuple[UUID, str | None]:
    """The epoch, and the identity of the database that it began or was first seen in."""
    row = (await connection.execute(select(installation.c.epoch, installation.c.identity))).one()
    return row.epoch, row.identity


async def has_begun_since(connection: "AsyncConnection", at: datetime) -> bool:
    """Whether an epoch has begun after a moment."""
    begun = exists().where(audit_log.c.action == NEW_EPOCH, audit_log.c.at > at)
    return bool((await connection.execute(select(begun))).scalar_one())


async def set_epoch(connection: "AsyncConnection", *, present: UUID, new: UUID, identity: str | None) -> bool:
    """Replace an epoch; False when it is not the present one any more."""
    statement = update(installation).where(installation.c.epoch == present).values(epoch=new, identity=identity)
    return bool((await connection.execute(statement)).rowcount)
