"""SQL of invites: codes by which people join a league."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Row, and_, false, func, insert, literal, or_, select, tuple_, update

from domain.ids import LeagueId, LeagueInviteId, MemberId, new_id
from domain.league.model import LeagueInvite, LeagueInvitePreview, LeagueRole
from domain.league.tables import league_invites, league_members, leagues
from domain.member.tables import members
from domain.tables import Instant, Uuid

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def is_past(connection: "AsyncConnection", instant: datetime) -> bool:
    """Whether an instant has come, by the database's clock."""
    past: bool = (await connection.execute(select(literal(instant, Instant) <= func.clock_timestamp()))).scalar_one()
    return past


async def insert_invite(
    connection: "AsyncConnection",
    league_id: LeagueId,
    *,
    code: str,
    role: LeagueRole,
    expires_at: datetime | None,
    max_uses: int | None,
    created_by: MemberId,
) -> LeagueInvite:
    statement = insert(league_invites).values(
        id=new_id(),
        league_id=league_id,
        code=code,
        role=role,
        expires_at=expires_at,
        max_uses=max_uses,
        created_by=created_by,
    )
    return _to_invite((await connection.execute(statement.returning(*league_invites.c))).one())


async def read_invite(
    connection: "AsyncConnection", league_id: LeagueId, invite_id: LeagueInviteId
) -> LeagueInvite | None:
    statement = select(*league_invites.c).where(
        league_invites.c.id == invite_id, league_invites.c.league_id == league_id
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_invite(row)


async def page_of_usable(
    connection: "AsyncConnection",
    league_id: LeagueId,
    *,
    first: int,
    after: tuple[datetime, LeagueInviteId] | None,
) -> list[LeagueInvite]:
    """Invites that can be used, latest first: up to `first` + 1 of those behind `after`."""
    order = tuple_(league_invites.c.created_at, league_invites.c.id)
    statement = select(*league_invites.c).where(league_invites.c.league_id == league_id, _is_usable())
    if after is not None:
        statement = statement.where(order < tuple_(literal(after[0], Instant), literal(after[1], Uuid)))
    statement = statement.order_by(league_invites.c.created_at.desc(), league_invites.c.id.desc())
    return [_to_invite(row) for row in await connection.execute(statement.limit(first + 1))]


async def revoke_invite(connection: "AsyncConnection", invite_id: LeagueInviteId) -> LeagueInvite:
    """Make an invite unusable."""
    revoked = update(league_invites).where(league_invites.c.id == invite_id).values(revoked_at=func.clock_timestamp())
    return _to_invite((await connection.execute(revoked.returning(*league_invites.c))).one())


async def invite_preview(connection: "AsyncConnection", code: str) -> LeagueInvitePreview | None:
    """What a usable code tells of its league."""
    count = (
        select(func.count())
        .select_from(league_members)
        .where(league_members.c.league_id == leagues.c.id, league_members.c.left_at.is_(None))
        .scalar_subquery()
    )
    statement = (
        select(leagues.c.name, leagues.c.description, members.c.nick_name, count.label("member_count"))
        .select_from(_invites().join(members, members.c.id == leagues.c.founder_id))
        .where(league_invites.c.code == code, _is_usable())
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else LeagueInvitePreview(row.name, row.description, row.nick_name, row.member_count)


async def lock_league_of_code(connection: "AsyncConnection", code: str) -> LeagueId | None:
    """The league of a code, usable or not, locked for a change of its members."""
    statement = select(leagues.c.id).select_from(_invites()).where(league_invites.c.code == code)
    row = (await connection.execute(statement.with_for_update(key_share=True, of=leagues))).one_or_none()
    return None if row is None else LeagueId(row.id)


async def use_invite(connection: "AsyncConnection", code: str) -> LeagueRole | None:
    """Take one seat of a code; the role that it gives, or None when the code cannot be used."""
    statement = (
        update(league_invites)
        .where(league_invites.c.code == code, _is_usable())
        .values(uses=league_invites.c.uses + 1)
        .returning(league_invites.c.role)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else LeagueRole(row.role)


def _invites() -> Any:
    """Invites to leagues that are not deleted."""
    live = and_(leagues.c.id == league_invites.c.league_id, leagues.c.deleted_at.is_(None))
    return league_invites.join(leagues, live)


def _is_usable() -> ColumnElement[bool]:
    return and_(
        league_invites.c.revoked_at.is_(None),
        ~func.coalesce(league_invites.c.expires_at <= func.clock_timestamp(), false()),
        or_(league_invites.c.max_uses.is_(None), league_invites.c.uses < league_invites.c.max_uses),
    )


def _to_invite(row: Row[Any]) -> LeagueInvite:
    return LeagueInvite(
        id=LeagueInviteId(row.id),
        league_id=LeagueId(row.league_id),
        code=row.code,
        role=LeagueRole(row.role),
        uses=row.uses,
        max_uses=row.max_uses,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        created_at=row.created_at,
    )
