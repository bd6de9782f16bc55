"""SQL of the installation's one row."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.exc import NotSupportedError, ProgrammingError

from domain.member.tables import installation

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# A restore to another server changes the first, one to an earlier time the second, a dump or copy of it the others.
_IDENTITY = text(
    "SELECT concat_ws('/', system_identifier, timeline_id, database.oid, 'installation'::regclass::oid)"
    " FROM pg_control_system() AS system, pg_control_checkpoint() AS checkpoint, pg_database AS database"
    " WHERE database.datname = current_database()"
)


async def read_identity(connection: "AsyncConnection") -> str | None:
    """What tells this database from the one that it was copied or restored from; None where that may not be asked.

    The connection must not be in a transaction.
    """
    try:
        return str((await connection.execute(_IDENTITY)).scalar_one())
    except (ProgrammingError, NotSupportedError):
        return None


async def read_epoch(connection: "AsyncConnection") -> tuple[UUID, str | None]:
    """The epoch, and the identity of the database that it began or was first seen in."""
    row = (await connection.execute(select(installation.c.epoch, installation.c.identity))).one()
    return row.epoch, row.identity


async def set_epoch(connection: "AsyncConnection", *, present: UUID, new: UUID, identity: str | None) -> bool:
    """Replace an epoch; False when it is not the present one any more."""
    statement = update(installation).where(installation.c.epoch == present).values(epoch=new, identity=identity)
    return bool((await connection.execute(statement)).rowcount)
