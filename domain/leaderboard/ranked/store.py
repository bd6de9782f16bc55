"""SQL of who is ranked on a board: members of a tournament or a league, now or at an earlier moment."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects.postgresql import TSTZRANGE

from domain.guess.tables import tournament_members
from domain.ids import LeagueId, MemberId, TournamentId
from domain.league.model import LeagueRole, LeftCause
from domain.league.tables import league_members
from domain.member.tables import members
from domain.tables import Instant

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection


def members_of_tournament(tournament_id: TournamentId, *, at: datetime | None = None) -> "Select[Any]":
    """All who have joined, or had at `at`."""
    statement = select(tournament_members.c.member_id).where(tournament_members.c.tournament_id == tournament_id)
    return statement if at is None else statement.where(tournament_members.c.joined_at <= at)


async def count_joined(connection: "AsyncConnection", tournament_id: TournamentId) -> int:
    """How many have joined; whoever deletes the account may go, which makes a version of the scores."""
    counted = select(func.count()).where(tournament_members.c.tournament_id == tournament_id)
    return int((await connection.execute(counted)).scalar_one())


def members_of_league(league_id: LeagueId, *, at: datetime | None = None) -> "Select[Any]":
    """All members who are ranked (not VIEWERs), of today or of `at`."""
    statement = select(league_members.c.member_id).where(league_members.c.league_id == league_id)
    if at is None:
        return statement.where(league_members.c.left_at.is_(None), league_members.c.role != LeagueRole.VIEWER)
    # Said in parts, whose shares the planner can estimate; of a span that is put together it knows nothing.
    member, moment = league_members.c, cast_to(at, Instant)
    had_left = and_(member.left_at.is_not(None), member.left_at <= at)
    is_ranked = and_(member.joined_at <= at, ~had_left, ~member.watched.op("@>")(moment), _WAS_NOT_ERASED)
    return statement.where(is_ranked).distinct()


def members_ever(league_id: LeagueId) -> "Select[Any]":
    """All memberships that are or were ranked; who came back is there more than once."""
    return select(league_members.c.member_id).where(
        league_members.c.league_id == league_id, ~func.isempty(_ranked_spans()), _WAS_NOT_ERASED
    )


_WAS_NOT_ERASED = league_members.c.left_cause.is_distinct_from(LeftCause.ERASED)


def _ranked_spans() -> "ColumnElement[Any]":
    """When a membership was ranked: from joining to leaving, but while its role was VIEWER."""
    member = func.tstzmultirange(func.tstzrange(league_members.c.joined_at, league_members.c.left_at))
    return member.op("-")(league_members.c.watched)


def ranked_members(
    league_id: LeagueId | None, tournament_id: TournamentId, *, at: datetime | None = None
) -> "Select[Any]":
    """Members of a tournament's board, or of a league's."""
    if league_id is None:
        return members_of_tournament(tournament_id, at=at)
    return members_of_league(league_id, at=at)


async def read_ids(connection: "AsyncConnection", ranked: "Select[Any]") -> list[MemberId]:
    return [MemberId(member) for member in (await connection.execute(ranked)).scalars()]


async def read_named(connection: "AsyncConnection", ranked: "Select[Any]", prefix: str) -> list[MemberId]:
    """Those of the members whose nick names begin so, in small letters or large."""
    name = func.lower(members.c.nick_name)
    return await read_ids(
        connection, select(members.c.id).where(members.c.id.in_(ranked), func.starts_with(name, func.lower(prefix)))
    )


async def read_memberships(
    connection: "AsyncConnection", league_id: LeagueId
) -> list[tuple[MemberId, datetime, datetime | None]]:
    """Who was ranked, from when, until when; who came back, or watched for a while, is there more than once."""
    span = func.unnest(_ranked_spans(), type_=TSTZRANGE).column_valued("span", joins_implicitly=True)
    ends = (func.lower(span, type_=Instant).label("since"), func.upper(span, type_=Instant).label("until"))
    statement = select(league_members.c.member_id, *ends)
    statement = statement.where(league_members.c.league_id == league_id, _WAS_NOT_ERASED)
    return [(MemberId(row.member_id), row.since, row.until) for row in await connection.execute(statement)]
