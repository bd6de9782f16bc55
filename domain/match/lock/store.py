"""SQL that tells that locks have passed. Whether a match is locked follows from the clock; this spreads the word."""

from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from domain.ids import TournamentId
from domain.match.tables import matches
from domain.tournament.store import raise_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def announce_locks(connection: "AsyncConnection", *, limit: int = 1000) -> int:
    """Raise the version of matches whose lock has passed untold, and of their tournaments; how many matches."""
    passed = (
        select(matches.c.id)
        .where(matches.c.lock_announced_at.is_(None), matches.c.lock_at <= func.clock_timestamp())
        .order_by(matches.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("passed")
    )
    statement = (
        update(matches)
        .where(matches.c.id == passed.c.id)
        .values(version=matches.c.version + 1, lock_announced_at=matches.c.lock_at)
        .returning(matches.c.tournament_id)
    )
    told = [TournamentId(row.tournament_id) for row in await connection.execute(statement)]
    for tournament_id in sorted(set(told)):
        await raise_versions(connection, tournament_id, matches=True)
    return len(told)
