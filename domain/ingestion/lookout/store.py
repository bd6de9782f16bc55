"""SQL of what is worth asking for."""

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from domain.ids import TournamentId
from domain.match.model import KickOffPrecision, MatchStatus, ResultState
from domain.match.tables import matches
from domain.tournament.model import Provider, TournamentStatus
from domain.tournament.tables import provider_refs, tournaments

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

LONGEST_PLAY = timedelta(days=2)
"""A match that began longer ago and has no result is left to the ingestion of all matches, not polled for ever."""
JUST_ENDED = timedelta(hours=4)
"""After its kick-off, how long a match that has ended is still looked at: providers correct themselves."""


async def open_matches(connection: "AsyncConnection", tournament_id: TournamentId | None) -> dict[TournamentId, int]:
    """How many matches should be in play or have just ended, in each tournament that is not over and has any."""
    now = func.clock_timestamp()
    is_undecided = or_(
        matches.c.status.in_([MatchStatus.NOT_STARTED, MatchStatus.IN_PLAY]),
        matches.c.result_state == ResultState.AWAITING_CONFIRMATION,
    )
    statement = (
        select(tournaments.c.id, func.count().label("number"))
        .select_from(tournaments.join(matches, matches.c.tournament_id == tournaments.c.id))
        .where(
            tournaments.c.status.in_([TournamentStatus.UPCOMING, TournamentStatus.ACTIVE]),
            matches.c.kick_off_precision != KickOffPrecision.UNKNOWN,
            matches.c.kick_off <= now,
            matches.c.kick_off > now - LONGEST_PLAY,
            matches.c.missing_since.is_(None),
            or_(is_undecided, (matches.c.status == MatchStatus.ENDED) & (matches.c.kick_off > now - JUST_ENDED)),
        )
        .group_by(tournaments.c.id)
        .order_by(tournaments.c.id)
    )
    if tournament_id is not None:
        statement = statement.where(tournaments.c.id == tournament_id)
    return {TournamentId(row.id): row.number for row in await connection.execute(statement)}


async def stored_keys(
    connection: "AsyncConnection", provider: Provider, tournament_id: TournamentId
) -> tuple[set[str], set[str]]:
    """The provider's keys of all matches of a tournament, and of those that lack a team."""
    lacks_a_team = or_(matches.c.home_team_id.is_(None), matches.c.away_team_id.is_(None))
    statement = (
        select(provider_refs.c.external_id, lacks_a_team.label("is_undrawn"))
        .select_from(provider_refs.join(matches, matches.c.id == provider_refs.c.entity_id))
        .where(
            provider_refs.c.provider == provider,
            provider_refs.c.kind == "MATCH",
            matches.c.tournament_id == tournament_id,
        )
    )
    rows = (await connection.execute(statement)).all()
    return {row.external_id for row in rows}, {row.external_id for row in rows if row.is_undrawn}
