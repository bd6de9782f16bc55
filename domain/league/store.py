"""SQL of leagues. A deleted league, and one that the viewer is not in, is not found by any read."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, and_, exists, func, insert, literal, select, tuple_, update

from domain.ids import LeagueId, MemberId, new_id
from domain.league.model import League, LeagueRole, LeftCause
from domain.league.tables import league_members, leagues
from domain.member.tables import members
from domain.outbox import store as outbox
from domain.outbox.model import TickKind
from domain.tables import Uuid, among

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_LIVE = league_members.c.left_at.is_(None)


@dataclass(frozen=True, slots=True)
class Founded:
    """A league of a founder."""

    id: LeagueId
    name: str
    has_others: bool
    """Whether anybody else in it still has an account."""


# ---------------------------------------------------------------- reading


async def read_leagues(connection: "AsyncConnection", viewer_id: MemberId, ids: Iterable[LeagueId]) -> list[League]:
    """Those of the leagues that the viewer is in."""
    statement = _leagues_of(viewer_id).where(among(leagues.c.id, ids))
    return [_to_league(row) for row in await connection.execute(statement)]


async def page_of_member(
    connection: "AsyncConnection", member_id: MemberId, *, first: int, after: tuple[str, LeagueId] | None
) -> list[League]:
    """Leagues that a member is in, by name: up to `first` + 1 of those after a name and id."""
    order = tuple_(leagues.c.name, leagues.c.id)
    statement = _leagues_of(member_id).order_by(*order).limit(first + 1)
    if after is not None:
        statement = statement.where(order > tuple_(literal(after[0]), literal(after[1], Uuid)))
    return [_to_league(row) for row in await connection.execute(statement)]


async def read_roles(
    connection: "AsyncConnection", member_id: MemberId, ids: Iterable[LeagueId]
) -> dict[LeagueId, LeagueRole]:
    """The member's role in those of the leagues that the member is in."""
    statement = (
        select(league_members.c.league_id, league_members.c.role)
        .select_from(_memberships())
        .where(league_members.c.member_id == member_id, among(league_members.c.league_id, ids))
    )
    return {LeagueId(row.league_id): LeagueRole(row.role) for row in await connection.execute(statement)}


async def founded_by(connection: "AsyncConnection", founder_id: MemberId) -> list[Founded]:
    """The leagues of a founder, by name."""
    others = league_members.join(members, members.c.id == league_members.c.member_id)
    is_other = and_(league_members.c.league_id == leagues.c.id, league_members.c.member_id != founder_id, _LIVE)
    has_others = exists(1).select_from(others).where(is_other, members.c.erased_at.is_(None))
    statement = select(leagues.c.id, leagues.c.name, has_others.label("has_others")).where(
        leagues.c.founder_id == founder_id, leagues.c.deleted_at.is_(None)
    )
    return [Founded(*row) for row in await connection.execute(statement.order_by(leagues.c.name, leagues.c.id))]


async def count_members(connection: "AsyncConnection", league_id: LeagueId) -> int:
    statement = select(func.count()).select_from(league_members).where(league_members.c.league_id == league_id, _LIVE)
    return (await connection.execute(statement)).scalar_one()


async def count_leagues(connection: "AsyncConnection", member_id: MemberId) -> int:
    """How many leagues a member is in."""
    statement = select(func.count()).select_from(_memberships()).where(league_members.c.member_id == member_id)
    return (await connection.execute(statement)).scalar_one()


def _memberships() -> Any:
    """Live memberships in leagues that are not deleted."""
    return league_members.join(
        leagues, and_(leagues.c.id == league_members.c.league_id, _LIVE, leagues.c.deleted_at.is_(None))
    )


def _leagues_of(viewer_id: MemberId) -> Select[Any]:
    return (
        select(*leagues.c, league_members.c.role.label("viewer_role"))
        .select_from(_memberships())
        .where(league_members.c.member_id == viewer_id)
    )


# ---------------------------------------------------------------- founding, changing


async def insert_league(
    connection: "AsyncConnection", league_id: LeagueId, *, name: str, description: str | None, founder_id: MemberId
) -> None:
    """A league whose founder is its first admin."""
    values = {"id": league_id, "name": name, "description": description, "founder_id": founder_id}
    await connection.execute(insert(leagues).values(values))
    await insert_membership(connection, league_id, founder_id, LeagueRole.ADMIN)


async def insert_membership(
    connection: "AsyncConnection", league_id: LeagueId, member_id: MemberId, role: LeagueRole
) -> None:
    values = {"id": new_id(), "league_id": league_id, "member_id": member_id, "role": role}
    await connection.execute(insert(league_members).values(values))


async def lock_league(connection: "AsyncConnection", league_id: LeagueId) -> None:
    """Let one transaction at a time change a league, its members and what it plays."""
    await connection.execute(select(leagues.c.id).where(leagues.c.id == league_id).with_for_update(key_share=True))


async def write_league(connection: "AsyncConnection", league: League) -> None:
    """Store name, description and founder."""
    values = {"name": league.name, "description": league.description, "founder_id": league.founder_id}
    await connection.execute(update(leagues).where(leagues.c.id == league.id).values(values))


async def delete_league(connection: "AsyncConnection", league_id: LeagueId) -> None:
    """Have it found by nobody any more; its rows stay."""
    deleted = update(leagues).where(leagues.c.id == league_id).values(deleted_at=func.clock_timestamp())
    await connection.execute(deleted)


async def raise_version(connection: "AsyncConnection", league_id: LeagueId) -> None:
    """Count a change of the league's members or tournaments, and have it told after the commit."""
    raised = update(leagues).where(leagues.c.id == league_id).values(board_version=leagues.c.board_version + 1)
    await connection.execute(raised)
    await outbox.tick(connection, TickKind.LEAGUE, league_id)


async def raise_versions(connection: "AsyncConnection", member_id: MemberId) -> None:
    """Count a change of how a member is shown in all leagues that the member is in, and have it told."""
    mine = select(leagues.c.id).select_from(_memberships()).where(league_members.c.member_id == member_id)
    await _raise_all(connection, mine)


async def raise_versions_of(connection: "AsyncConnection", league_ids: Iterable[LeagueId]) -> None:
    """Count a change of each of some leagues, and have it told."""
    await _raise_all(connection, select(leagues.c.id).where(among(leagues.c.id, list(league_ids))))


async def erase_memberships(connection: "AsyncConnection", member_id: MemberId) -> None:
    """Have a member be in no league, nor have been in one: boards of all moments go on without, and are told so."""
    member = league_members.c
    is_its = and_(member.member_id == member_id, member.left_cause.is_distinct_from(LeftCause.ERASED))
    await _raise_all(connection, select(leagues.c.id).where(exists().where(member.league_id == leagues.c.id, is_its)))
    left_at = func.coalesce(member.left_at, func.greatest(member.joined_at, func.clock_timestamp()))
    ended = update(league_members).where(is_its)
    await connection.execute(ended.values(left_at=left_at, left_cause=LeftCause.ERASED))


async def _raise_all(connection: "AsyncConnection", chosen: Select[Any]) -> None:
    """Lock leagues, of which each waits for its own changes, and raise their versions."""
    locked = chosen.order_by(leagues.c.id).with_for_update(key_share=True, of=leagues)
    ids = [row.id for row in await connection.execute(locked)]
    if ids:
        raised = update(leagues).where(among(leagues.c.id, ids)).values(board_version=leagues.c.board_version + 1)
        await connection.execute(raised)
        await outbox.tick_many(connection, TickKind.LEAGUE, ids)


# ---------------------------------------------------------------- rows


def _to_league(row: Row[Any]) -> League:
    return League(
        id=LeagueId(row.id),
        name=row.name,
        description=row.description,
        founder_id=MemberId(row.founder_id),
        board_version=row.board_version,
        created_at=row.created_at,
        viewer_role=LeagueRole(row.viewer_role),
    )
