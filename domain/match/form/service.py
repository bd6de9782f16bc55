"""How teams did lately, for lists of matches and team tables: a tournament is read once for all of them."""

from collections.abc import Iterable

from domain.database import Database
from domain.ids import TournamentId
from domain.match.form import store
from domain.match.form.model import PlayedMatch
from domain.match.form.rules import Results, results_of


async def read(database: Database, tournament_ids: Iterable[TournamentId]) -> dict[TournamentId, Results]:
    """The final results of each team, by tournament; one without any is left out."""
    played: dict[TournamentId, list[PlayedMatch]] = {}
    async with database.read() as connection:
        for match in await store.read_played(connection, tournament_ids):
            played.setdefault(match.tournament_id, []).append(match)
    return {tournament_id: results_of(found) for tournament_id, found in played.items()}
