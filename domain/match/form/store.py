"""SQL of recent results."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from domain.ids import MatchId, TeamId, TournamentId
from domain.match.form.model import PlayedMatch
from domain.match.model import Goals, ResultState
from domain.match.tables import matches
from domain.tables import among

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def read_played(connection: "AsyncConnection", ids: Iterable[TournamentId]) -> list[PlayedMatch]:
    """Matches of tournaments with a final result and a date, oldest first."""
    home, away = (
        func.coalesce(matches.c[f"{side}_extra_time"], matches.c[f"{side}_regulation"]) for side in ("home", "away")
    )
    columns = (matches.c[name] for name in ("id", "tournament_id", "kick_off", "home_team_id", "away_team_id"))
    statement = (
        select(*columns, home.label("home"), away.label("away"))
        .where(
            among(matches.c.tournament_id, ids),
            matches.c.result_state == ResultState.FINAL,
            matches.c.kick_off.is_not(None),
            matches.c.home_team_id.is_not(None),
            matches.c.away_team_id.is_not(None),
            home.is_not(None),
        )
        .order_by(matches.c.kick_off, matches.c.id)
    )
    return [
        PlayedMatch(
            MatchId(row.id),
            TournamentId(row.tournament_id),
            row.kick_off,
            TeamId(row.home_team_id),
            TeamId(row.away_team_id),
            Goals(row.home, row.away),
        )
        for row in await connection.execute(statement)
    ]
