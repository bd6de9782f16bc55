"""The audit log: acts are recorded in the transaction of what they did, so there is never one without the other."""

from typing import TYPE_CHECKING

from domain.audit import store
from domain.audit.model import Act

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def record(connection: "AsyncConnection", act: Act) -> None:
    """Record an act: of its actor, else of the system, else of an operator at the command line."""
    await store.add(connection, act)
