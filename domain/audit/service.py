"""The audit log: acts are recorded in the transaction of what they did, so there is never one without the other."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from domain.audit import store
from domain.audit.model import Act, AuditEntry, AuditFilter
from domain.database import Database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def record(connection: "AsyncConnection", act: Act) -> None:
    """Record an act: of its actor, else of the system, else of an operator at the command line."""
    await store.add(connection, [act])


async def record_many(connection: "AsyncConnection", acts: Sequence[Act]) -> None:
    """Record several acts in one statement."""
    if acts:
        await store.add(connection, acts)


async def page(
    database: Database, wanted: AuditFilter, *, first: int, after: tuple[datetime, int] | None
) -> list[AuditEntry]:
    """Up to `first + 1` entries, latest first, then by falling id; one more than asked tells that there are more."""
    async with database.read() as connection:
        return await store.page(connection, wanted, first + 1, after)


async def read_entries(database: Database, ids: Iterable[int]) -> dict[int, AuditEntry]:
    """The entries by id; unknown ids are left out."""
    async with database.read() as connection:
        return {entry.id: entry for entry in await store.read(connection, ids)}
