"""SQL of teams that a provider tells of under other keys than before."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import and_, exists, or_, select, update

from domain.ids import TeamId, TournamentId
from domain.ingestion.identity.rules import Fixture, StoredTeam
from domain.match.store import close_gate
from domain.match.tables import matches
from domain.tables import among
from domain.tournament.model import Provider
from domain.tournament.tables import provider_refs, standings, teams

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

_SIDES = (matches.c.home_team_id, matches.c.away_team_id)


async def unnamed_teams(
    connection: "AsyncConnection", tournament_id: TournamentId, provider: Provider, told: Iterable[str]
) -> list[StoredTeam]:
    """Teams that play in a tournament and that none of the told keys of a provider stands for."""
    plays = exists().where(matches.c.tournament_id == tournament_id, or_(*(side == teams.c.id for side in _SIDES)))
    statement = select(teams.c.id, teams.c.name, teams.c.short_name).where(
        plays, ~_is_named(and_(provider_refs.c.provider == provider, among(provider_refs.c.external_id, told)))
    )
    rows = await connection.execute(statement.order_by(teams.c.id))
    return [StoredTeam(TeamId(row.id), row.name, row.short_name) for row in rows]


async def fixtures_of(connection: "AsyncConnection", tournament_id: TournamentId) -> list[Fixture]:
    """All that have a date."""
    dated = (matches.c.tournament_id == tournament_id, matches.c.kick_off.is_not(None))
    rows = await connection.execute(select(*_SIDES, matches.c.kick_off).where(*dated))
    return [Fixture(row.home_team_id, row.away_team_id, row.kick_off) for row in rows]


async def named_by_others(connection: "AsyncConnection", provider: Provider, ids: Iterable[TeamId]) -> set[TeamId]:
    """Those of the teams that other providers have names for too."""
    statement = select(teams.c.id).where(among(teams.c.id, ids), _is_named(provider_refs.c.provider != provider))
    return {TeamId(row.id) for row in await connection.execute(statement)}


async def raise_matches(connection: "AsyncConnection", ids: Sequence[TeamId]) -> set[TournamentId]:
    """Raise the versions of all matches of teams that are called otherwise now; the answer is their tournaments."""
    of_teams = or_(*(among(side, ids) for side in _SIDES))
    rows = await connection.execute(select(matches.c.tournament_id).where(of_teams).distinct())
    found = {TournamentId(tournament_id) for tournament_id in rows.scalars()}
    for tournament_id in sorted(found):
        await close_gate(connection, tournament_id)
    await connection.execute(select(matches.c.id).where(of_teams).order_by(matches.c.id).with_for_update())
    await connection.execute(update(matches).where(of_teams).values(version=matches.c.version + 1))
    return found


async def replace_teams(
    connection: "AsyncConnection", tournament_id: TournamentId, replaced: Mapping[TeamId, TeamId]
) -> None:
    """Have other teams play a tournament's matches and stand in its table. Its matches must be locked."""
    for before, after in replaced.items():
        for side in _SIDES:
            played = update(matches).where(matches.c.tournament_id == tournament_id, side == before)
            await connection.execute(played.values({side.name: after, "version": matches.c.version + 1}))
        stands = update(standings).where(standings.c.tournament_id == tournament_id, standings.c.team_id == before)
        await connection.execute(stands.values(team_id=after))


def _is_named(by: "ColumnElement[bool]") -> "ColumnElement[bool]":
    return exists().where(provider_refs.c.kind == "TEAM", provider_refs.c.entity_id == teams.c.id, by)
