"""SQL of guesses as settlements judged them."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import exists, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.guess.tables import guesses
from domain.ids import MatchId
from domain.settlement.tables import judged_guesses, settlements

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def keep_judged(connection: "AsyncConnection", match_id: MatchId, saved_since: datetime | None = None) -> None:
    """Keep the guesses that the settlements of a match have judged, before they change; of each the first time only.

    With `saved_since` only where a guess is as new: no older one is about to change. Call it with the match locked.
    """
    of_match = [settlements.c.match_id == match_id, settlements.c.guesses > 0, ~settlements.c.keeps_guesses]
    if saved_since is not None:
        same = (guesses.c.tournament_id == settlements.c.tournament_id, guesses.c.match_id == settlements.c.match_id)
        of_match.append(exists().where(*same, guesses.c.saved_at >= saved_since))
    marked = update(settlements).where(*of_match).values(keeps_guesses=True)
    found = (await connection.execute(marked.returning(settlements.c.id, settlements.c.tournament_id))).all()
    for row in found:
        columns = (literal(row.id, settlements.c.id.type), guesses.c.member_id, guesses.c.home, guesses.c.away)
        of_settlement = (guesses.c.tournament_id == row.tournament_id, guesses.c.match_id == match_id)
        judged = select(*columns).where(*of_settlement)
        names = ["settlement_id", "member_id", "home", "away"]
        await connection.execute(insert(judged_guesses).from_select(names, judged))
