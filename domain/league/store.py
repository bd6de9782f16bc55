"""SQL of leagues. A deleted league, and one that the viewer is not in, is not found by any read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from domain.ids import LeagueId, LeagueInviteId, LeagueMembershipId, MemberId, RulesetId, TournamentId, new_id
from domain.league.model import (
    League,
    LeagueInvite,
    LeagueInvitePreview,
    LeagueMembership,
    LeagueRole,
    LeagueTournament,
    LeagueTournamentStatus,
)
from domain.league.tables import league_invites, league_members, league_tournaments, leagues
from domain.match.store import lock_passed
from domain.match.tables import matches
from domain.member.tables import members
from domain.outbox import store as outbox
from domain.outbox.model import TickKind
from domain.tables import Instant, Uuid, among
from domain.tournament.model import TournamentStatus

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_LIVE = league_members.c.left_at.is_(None)
_ROLE_ORDER = case({role.value: place for place, role in enumerate(LeagueRole)}, value=league_members.c.role)


@dataclass(frozen=True, slots=True)
class Link:
    """A tournament to be played in a league."""

    tournament_id: TournamentId
    ruleset_id: RulesetId
    status: LeagueTournamentStatus


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


async def read_membership(
    connection: "AsyncConnection", league_id: LeagueId, membership_id: LeagueMembershipId
) -> LeagueMembership | None:
    statement = select(*league_members.c).where(
        league_members.c.id == membership_id, league_members.c.league_id == league_id, _LIVE
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_membership(row)


async def count_members(connection: "AsyncConnection", league_id: LeagueId) -> int:
    statement = select(func.count()).select_from(league_members).where(league_members.c.league_id == league_id, _LIVE)
    return (await connection.execute(statement)).scalar_one()


async def count_leagues(connection: "AsyncConnection", member_id: MemberId) -> int:
    """How many leagues a member is in."""
    statement = select(func.count()).select_from(_memberships()).where(league_members.c.member_id == member_id)
    return (await connection.execute(statement)).scalar_one()


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


# ---------------------------------------------------------------- founding, following


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


async def lock_link(
    connection: "AsyncConnection", league_id: LeagueId, tournament_id: TournamentId
) -> LeagueTournament | None:
    """A tournament that a league plays, kept as it is until the transaction ends; None when it does not play it."""
    link = league_tournaments
    statement = _links().where(link.c.league_id == league_id, link.c.tournament_id == tournament_id)
    row = (await connection.execute(statement.with_for_update(key_share=True, of=link))).one_or_none()
    return None if row is None else _to_link(row)


async def write_link(connection: "AsyncConnection", link: LeagueTournament) -> None:
    """Store status and ruleset. The database refuses another ruleset once a match of the tournament has locked."""
    statement = update(league_tournaments).where(
        league_tournaments.c.league_id == link.league_id, league_tournaments.c.tournament_id == link.tournament_id
    )
    await connection.execute(statement.values(status=link.status, ruleset_id=link.ruleset_id))


async def raise_version(connection: "AsyncConnection", league_id: LeagueId) -> None:
    """Count a change of the league's members or tournaments, and have it told after the commit."""
    raised = update(leagues).where(leagues.c.id == league_id).values(board_version=leagues.c.board_version + 1)
    await connection.execute(raised)
    await outbox.tick(connection, TickKind.LEAGUE, league_id)


async def follow_tournament(
    connection: "AsyncConnection", tournament_id: TournamentId, status: TournamentStatus
) -> None:
    """Let the leagues that play a tournament go on with it when it begins or ends: their totals count it from then."""
    steps = {
        TournamentStatus.ACTIVE: [LeagueTournamentStatus.UPCOMING],
        TournamentStatus.COMPLETED: [LeagueTournamentStatus.UPCOMING, LeagueTournamentStatus.ACTIVE],
    }
    if status not in steps:
        return
    moved = (
        update(league_tournaments)
        .where(
            league_tournaments.c.tournament_id == tournament_id,
            league_tournaments.c.removed_at.is_(None),
            among(league_tournaments.c.status, steps[status]),
        )
        .values(status=LeagueTournamentStatus(status.value))
        .returning(league_tournaments.c.league_id)
    )
    for league_id in sorted(row.league_id for row in await connection.execute(moved)):
        await raise_version(connection, league_id)


# ---------------------------------------------------------------- invites


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


async def invite_preview(connection: "AsyncConnection", code: str) -> LeagueInvitePreview | None:
    """What a usable code tells of its league."""
    count = (
        select(func.count())
        .select_from(league_members)
        .where(league_members.c.league_id == leagues.c.id, _LIVE)
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


def _to_membership(row: Row[Any]) -> LeagueMembership:
    return LeagueMembership(
        id=LeagueMembershipId(row.id),
        league_id=LeagueId(row.league_id),
        member_id=MemberId(row.member_id),
        role=LeagueRole(row.role),
        joined_at=row.joined_at,
    )


def _to_link(row: Row[Any]) -> LeagueTournament:
    return LeagueTournament(
        league_id=LeagueId(row.league_id),
        tournament_id=TournamentId(row.tournament_id),
        ruleset_id=RulesetId(row.ruleset_id),
        status=LeagueTournamentStatus(row.status),
        ruleset_frozen=row.ruleset_frozen,
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
    )
