"""Tells that locks have passed."""

from domain.database import Database
from domain.match.lock import store


async def announce(database: Database) -> int:
    """Have streams see matches that have become locked; how many."""
    async with database.begin() as connection:
        return await store.announce_locks(connection)
