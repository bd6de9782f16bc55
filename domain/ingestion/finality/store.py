"""SQL of results that are not believed yet."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from domain.ids import MatchId
from domain.ingestion.finality.model import HeldReading
from domain.ingestion.finality.tables import held_readings
from domain.tables import among

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def keep(connection: "AsyncConnection", held: Mapping[MatchId, HeldReading]) -> None:
    """Remember what is held, in place of what was said of the same matches before."""
    statement = insert(held_readings)
    new = {name: statement.excluded[name] for name in ("content", "first_read_at")}
    rows = [
        {"match_id": match_id, "content": reading.content, "first_read_at": reading.first_read_at}
        for match_id, reading in held.items()
    ]
    if rows:
        await connection.execute(statement.on_conflict_do_update(index_elements=["match_id"], set_=new), rows)


async def forget(connection: "AsyncConnection", match_ids: Collection[MatchId]) -> None:
    """These matches are not held any more."""
    if match_ids:
        await connection.execute(delete(held_readings).where(among(held_readings.c.match_id, match_ids)))
