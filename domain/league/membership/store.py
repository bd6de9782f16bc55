"""SQL of who is in a league. A membership that ended stays, so that earlier boards have the members of their moment."""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, and_, case, func, literal, select, tuple_, update

from domain.database import Database
from domain.ids import LeagueId, LeagueMembershipId, MemberId
from domain.league.model import LeagueMembership, LeagueRole, LeftCause
from domain.league.store import count_members
from domain.league.tables import league_members, leagues
from domain.member.tables import members
from domain.tables import Uuid, any_of

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

_LIVE = league_members.c.left_at.is_(None)
_ROLE_ORDER = case({role.value: place for place, role in enumerate(LeagueRole)}, value=league_members.c.role)


async def members_page(
    connection: "AsyncConnection",
    league_id: LeagueId,
    *,
    first: int,
    after: tuple[LeagueRole, str, LeagueMembershipId] | None,
) -> tuple[list[LeagueMembership], int]:
    """Members by role and nick name: up to `first` + 1 of those after a role, nick name and id; and how many in all."""
    order = tuple_(_ROLE_ORDER, members.c.nick_name, league_members.c.id)
    chosen = and_(league_members.c.league_id == league_id, _LIVE)
    statement = select(*league_members.c).join(members, members.c.id == league_members.c.member_id).where(chosen)
    if after is not None:
        place = list(LeagueRole).index(after[0])
        statement = statement.where(order > tuple_(literal(place), literal(after[1]), literal(after[2], Uuid)))
    rows = await connection.execute(statement.order_by(*order).limit(first + 1))
    return [_to_membership(row) for row in rows], await count_members(connection, league_id)


async def read_roles_of(
    database: Database, league_ids: Iterable[LeagueId], member_ids: Iterable[MemberId]
) -> dict[tuple[LeagueId, MemberId], LeagueRole]:
    """The roles that any of the members have in any of the leagues, of which none is deleted."""
    rows = await database.fetch(_roles_of(), {"league_ids": list(league_ids), "member_ids": list(member_ids)})
    return {(LeagueId(row.league_id), MemberId(row.member_id)): LeagueRole(row.role) for row in rows}


@cache
def _roles_of() -> "Select[Any]":
    found = league_members
    return (
        select(found.c.league_id, found.c.member_id, found.c.role)
        .join(leagues, and_(leagues.c.id == found.c.league_id, leagues.c.deleted_at.is_(None)))
        .where(any_of(found.c.league_id, "league_ids"), any_of(found.c.member_id, "member_ids"), _LIVE)
    )


async def read_membership(
    connection: "AsyncConnection", league_id: LeagueId, membership_id: LeagueMembershipId
) -> LeagueMembership | None:
    statement = select(*league_members.c).where(
        league_members.c.id == membership_id, league_members.c.league_id == league_id, _LIVE
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_membership(row)


async def end_membership(connection: "AsyncConnection", membership_id: LeagueMembershipId, cause: LeftCause) -> None:
    ended = update(league_members).where(league_members.c.id == membership_id, _LIVE)
    now = func.greatest(league_members.c.joined_at, func.clock_timestamp())  # should the clock have been set back
    await connection.execute(ended.values(left_at=now, left_cause=cause))


async def membership_of(
    connection: "AsyncConnection", league_id: LeagueId, member_id: MemberId
) -> LeagueMembership | None:
    """The present membership of a member."""
    statement = select(*league_members.c).where(
        league_members.c.league_id == league_id, league_members.c.member_id == member_id, _LIVE
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_membership(row)


async def member_ids(connection: "AsyncConnection", league_id: LeagueId) -> list[MemberId]:
    """All who are in the league."""
    statement = select(league_members.c.member_id).where(league_members.c.league_id == league_id, _LIVE)
    return [MemberId(row.member_id) for row in await connection.execute(statement)]


async def write_role(connection: "AsyncConnection", membership_id: LeagueMembershipId, role: LeagueRole) -> None:
    await connection.execute(update(league_members).where(league_members.c.id == membership_id).values(role=role))


def _to_membership(row: Row[Any]) -> LeagueMembership:
    return LeagueMembership(
        id=LeagueMembershipId(row.id),
        league_id=LeagueId(row.league_id),
        member_id=MemberId(row.member_id),
        role=LeagueRole(row.role),
        joined_at=row.joined_at,
    )
