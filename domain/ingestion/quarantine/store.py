"""SQL of records that were set aside: they are kept until a whole reading has none such any more."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from domain.ids import TournamentId
from domain.ingestion.quarantine.tables import quarantined_records
from domain.tables import among

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def keep(
    connection: "AsyncConnection", tournament_id: TournamentId, reasons: Mapping[str, str], *, is_whole: bool
) -> None:
    """Keep why records were set aside, by the provider's keys; those that are there already stay as they are.

    `is_whole`: the others of the tournament are set aside no longer.
    """
    if is_whole:
        is_kept = among(quarantined_records.c.external_id, reasons)
        of_tournament = quarantined_records.c.tournament_id == tournament_id
        await connection.execute(delete(quarantined_records).where(of_tournament, ~is_kept))
    rows = [{"tournament_id": tournament_id, "external_id": key, "reason": why} for key, why in reasons.items()]
    if rows:
        await connection.execute(insert(quarantined_records).on_conflict_do_nothing(), rows)
