"""SQL of the installation's one row."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import TextClause, exists, select, text, update
from sqlalchemy.exc import DBAPIError

from domain.audit.tables import audit_log
from domain.installation.model import ServerRun
from domain.member.tables import installation

if TYPE_CHECKING:
    from sqlalchemy import Row
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

# No right to it, no such function, not supported: as services do that keep their own files, Amazon Aurora for one.
_MAY_NOT_BE_ASKED = ("42501", "42883", "0A000")


async def read_identity(connection: "AsyncConnection") -> str | None:
    """What tells this database from the one that it was copied or restored from; None where that may not be asked.

    The connection must not be in a transaction.
    """
    row = await _asked(connection, _IDENTITY)
    return None if row is None else str(row[0])


async def read_run(connection: "AsyncConnection") -> ServerRun | None:
    """How far the server has come; None where that may not be asked. The connection must not be in a transaction."""
    row = await _asked(connection, _RUN)
    return None if row is None else ServerRun(row.started_at, row.written, row.checkpoint)


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


async def _asked(connection: "AsyncConnection", statement: TextClause) -> "Row[Any] | None":
    try:
        return (await connection.execute(statement)).one()
    except DBAPIError as error:  # by code: what is not supported is of no narrower class
        if getattr(error.orig, "sqlstate", None) in _MAY_NOT_BE_ASKED:
            return None
        raise
