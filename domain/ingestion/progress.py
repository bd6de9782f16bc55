"""What becomes of a tournament as its matches change: its status, its current round, its versions."""

from typing import TYPE_CHECKING, Any

from domain.ids import TournamentId
from domain.ingestion import rules, store
from domain.ingestion.model import Reading
from domain.league.link.store import follow_tournament
from domain.tournament.model import TournamentStatus
from domain.tournament.store import raise_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def follow_matches(connection: "AsyncConnection", reading: Reading, *, is_changed: bool, is_whole: bool) -> None:
    """Bring the tournament in line with its matches as they are stored; a whole reading is dated in its row."""
    tournament = await store.read_tournament(connection, reading.tournament_id, for_update=True)
    present = TournamentStatus(tournament["status"])
    _, played = await store.read_kick_offs(connection, reading.tournament_id)
    first = min((kick_off for _, kick_off in played if kick_off is not None), default=None)
    now = await store.database_now(connection)
    reached = rules.advance(present, rules.status_of([status for status, _ in played], first, now))
    values: dict[str, Any] = {"matches_at": reading.read_at} if is_whole else {}
    if reached is not present:
        values["status"] = reached.value
    if values:
        await store.update_tournament(connection, reading.tournament_id, values)
    moved = await sync_round(connection, reading.tournament_id)
    if is_changed or moved or "status" in values:
        # Counts of a board (matches, settled, pending) follow its matches.
        await raise_versions(connection, reading.tournament_id, board=True, matches=is_changed)
    if reached is not present:
        await follow_tournament(connection, reading.tournament_id, present, reached)


async def sync_round(connection: "AsyncConnection", tournament_id: TournamentId) -> bool:
    """Whether another round is the current one now."""
    tournament = await store.read_tournament(connection, tournament_id, for_update=True)
    found, _ = await store.read_kick_offs(connection, tournament_id)
    former, now = tournament["current_round_id"], await store.database_now(connection)
    current = rules.current_round(found, former, now)
    if current is None or current == former:
        return False
    values: dict[str, Any] = {"current_round_id": current}
    if not await store.is_renamed(connection, former, current):
        values |= {"movement_version": tournament["settled_version"], "movement_at": now}
    await store.update_tournament(connection, tournament_id, values)
    await store.begin_rounds(connection, tournament_id, current)
    return True
