"""SQL of what leagues play. A link is never deleted: who takes a tournament up again finds its former ruleset."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, and_, exists, func, insert, or_, select, update

from domain.audit.tables import audit_log
from domain.ids import LeagueId, RulesetId, TournamentId
from domain.league.model import LeagueTournament, LeagueTournamentStatus
from domain.league.store import raise_versions_of
from domain.league.tables import league_tournaments
from domain.match.store import lock_passed
from domain.match.tables import matches
from domain.tables import among
from domain.tournament.model import TournamentStatus
from domain.tournament.rules import UPDATE_TOURNAMENT

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

_BEGUN = (TournamentStatus.ACTIVE, TournamentStatus.COMPLETED)


@dataclass(frozen=True, slots=True)
class Link:
    """A tournament to be played in a league."""

    tournament_id: TournamentId
    ruleset_id: RulesetId
    status: LeagueTournamentStatus


async def tournaments_of(connection: "AsyncConnection", ids: Iterable[LeagueId]) -> list[LeagueTournament]:
    """What leagues play, in the order in which it was added."""
    statement = (
        _links()
        .where(among(league_tournaments.c.league_id, ids))
        .order_by(league_tournaments.c.league_id, league_tournaments.c.added_at, league_tournaments.c.tournament_id)
    )
    return [_to_link(row) for row in await connection.execute(statement)]


def _links() -> Select[Any]:
    """What leagues play now."""
    # A league's choice of ruleset stands from the first lock on.
    is_frozen = exists().where(matches.c.tournament_id == league_tournaments.c.tournament_id, lock_passed())
    return select(*league_tournaments.c, is_frozen.label("ruleset_frozen")).where(
        league_tournaments.c.removed_at.is_(None)
    )


async def insert_links(connection: "AsyncConnection", league_id: LeagueId, links: Sequence[Link]) -> None:
    rows = [
        {
            "league_id": league_id,
            "tournament_id": link.tournament_id,
            "ruleset_id": link.ruleset_id,
            "status": link.status,
        }
        for link in links
    ]
    if rows:
        await connection.execute(insert(league_tournaments).values(rows))


async def take_up_again(
    connection: "AsyncConnection", league_id: LeagueId, tournament_id: TournamentId, status: LeagueTournamentStatus
) -> bool:
    """Whether a league has played a tournament before; then it does so again, under its former ruleset."""
    link = league_tournaments.c
    # Should the clock have been set back meanwhile, nothing ends before it began.
    now = func.greatest(link.removed_at, func.clock_timestamp())
    gap = func.tstzmultirange(func.tstzrange(link.removed_at, now))
    former = (
        update(league_tournaments)
        .where(*_is_link(league_id, tournament_id), link.removed_at.is_not(None))
        .values(removed_at=None, status=status, gaps=link.gaps.op("+")(gap))
    )
    return (await connection.execute(former)).rowcount > 0


async def remove_link(connection: "AsyncConnection", league_id: LeagueId, tournament_id: TournamentId) -> None:
    """Let a league stop playing a tournament; the link stays."""
    removed = update(league_tournaments).where(*_is_link(league_id, tournament_id))
    now = func.greatest(league_tournaments.c.added_at, func.clock_timestamp())
    await connection.execute(removed.values(removed_at=now))


async def count_matches(connection: "AsyncConnection", tournament_ids: Iterable[TournamentId]) -> int:
    """How many matches tournaments have together."""
    statement = select(func.count()).select_from(matches).where(among(matches.c.tournament_id, tournament_ids))
    return (await connection.execute(statement)).scalar_one()


async def lock_link(
    connection: "AsyncConnection", league_id: LeagueId, tournament_id: TournamentId
) -> LeagueTournament | None:
    """A tournament that a league plays, kept as it is until the transaction ends; None when it does not play it."""
    statement = _links().where(*_is_link(league_id, tournament_id))
    row = (await connection.execute(statement.with_for_update(key_share=True, of=league_tournaments))).one_or_none()
    return None if row is None else _to_link(row)


async def write_link(connection: "AsyncConnection", link: LeagueTournament) -> None:
    """Store status and ruleset. The database refuses another ruleset once a match of the tournament has locked."""
    statement = update(league_tournaments).where(*_is_link(link.league_id, link.tournament_id))
    await connection.execute(statement.values(status=link.status, ruleset_id=link.ruleset_id))


async def follow_tournament(
    connection: "AsyncConnection", tournament_id: TournamentId, before: TournamentStatus, status: TournamentStatus
) -> None:
    """Let the leagues that play a tournament go on with it when it begins or ends: their totals count it from then.

    A link that is UPCOMING though the tournament has begun with it was stopped by its league, and stays so, also where
    the tournament was cancelled or put back since.
    """
    steps = {
        TournamentStatus.ACTIVE: [LeagueTournamentStatus.UPCOMING],
        TournamentStatus.COMPLETED: [LeagueTournamentStatus.UPCOMING, LeagueTournamentStatus.ACTIVE],
    }
    moving = steps.get(status, [])
    if before in _BEGUN:
        moving = [one for one in moving if one is not LeagueTournamentStatus.UPCOMING]
    if not moving:
        return
    moved = (
        update(league_tournaments)
        .where(
            league_tournaments.c.tournament_id == tournament_id,
            league_tournaments.c.removed_at.is_(None),
            among(league_tournaments.c.status, moving),
            or_(league_tournaments.c.status != LeagueTournamentStatus.UPCOMING, ~_has_begun_before()),
        )
        .values(status=LeagueTournamentStatus(status.value))
        .returning(league_tournaments.c.league_id)
    )
    await raise_versions_of(connection, [row.league_id for row in await connection.execute(moved)])


def _has_begun_before() -> "ColumnElement[bool]":
    """Whether a tournament had begun, and was taken back from that, while a league played it."""
    # No other command takes it back, and a reading never does.
    taken_back = and_(
        audit_log.c.subject_id == league_tournaments.c.tournament_id,
        audit_log.c.action == UPDATE_TOURNAMENT,
        audit_log.c.before["status"].astext.in_([status.value for status in _BEGUN]),
    )
    link = league_tournaments.c
    return exists().where(taken_back, audit_log.c.at >= func.greatest(link.added_at, func.upper(link.gaps)))


def _to_link(row: Row[Any]) -> LeagueTournament:
    return LeagueTournament(
        league_id=LeagueId(row.league_id),
        tournament_id=TournamentId(row.tournament_id),
        ruleset_id=RulesetId(row.ruleset_id),
        status=LeagueTournamentStatus(row.status),
        ruleset_frozen=row.ruleset_frozen,
    )


def _is_link(league_id: LeagueId, tournament_id: TournamentId) -> "tuple[ColumnElement[bool], ...]":
    return league_tournaments.c.league_id == league_id, league_tournaments.c.tournament_id == tournament_id
