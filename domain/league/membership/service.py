"""Who is in a league: reading its members, leaving, being removed, roles, and handing it on.

Each change raises the league's board version: boards and streams follow, and streams ask anew who may see them.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from domain.database import Database
from domain.errors import InvalidInput, NotFound
from domain.ids import LeagueId, LeagueMembershipId, MemberId
from domain.league import store as league_store
from domain.league.membership import store
from domain.league.model import League, LeagueMembership, LeagueRole, LeftCause
from domain.league.record import record
from domain.league.rights import as_admin, as_founder, as_member
from domain.league.rules import LastAdmin, raised, shown_membership
from domain.member import store as member_store

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_FIELD = "membershipId"


async def page(
    database: Database,
    league_id: LeagueId,
    first: int,
    after: tuple[LeagueRole, str, LeagueMembershipId] | None = None,
) -> tuple[list[LeagueMembership], int]:
    """Members by role, then nick name. For a league that was read for a viewer: who may see it is not asked here.

    Up to `first` + 1 of those after `after` (role, nick name and id of a membership), and how many there are in all.
    """
    async with database.read() as connection:
        return await store.members_page(connection, league_id, first=first, after=after)


async def read(database: Database, league_id: LeagueId, membership_id: LeagueMembershipId) -> LeagueMembership | None:
    """A present membership. For a league that was read for a viewer: who may see it is not asked here."""
    async with database.read() as connection:
        return await store.read_membership(connection, league_id, membership_id)


async def roles_of(
    database: Database, questions: Collection[tuple[LeagueId, MemberId]]
) -> dict[tuple[LeagueId, MemberId], LeagueRole]:
    """The role of each of these members in the league asked for, where there is one; one statement for all."""
    return await store.read_roles_of(
        database, {league_id for league_id, _ in questions}, {member_id for _, member_id in questions}
    )


async def leave(database: Database, member_id: MemberId, league_id: LeagueId, request_id: str) -> None:
    """Go out of a league. Boards of earlier moments keep the member.

    Raises:
        NotFound: the member is not in the league.
        LastAdmin: the member is its founder.
    """
    async with database.begin() as connection:
        league = await as_member(connection, member_id, league_id)
        if league.founder_id == member_id:
            raise LastAdmin("You are the founder: transfer the league to another member, or delete it.")
        membership = await store.membership_of(connection, league_id, member_id)
        assert membership is not None
        await _end(connection, membership, LeftCause.LEFT)
        await record(connection, "leaveLeague", member_id, league_id, request_id, before=shown_membership(membership))


async def remove(
    database: Database, viewer_id: MemberId, league_id: LeagueId, membership_id: LeagueMembershipId, request_id: str
) -> League:
    """Put a member out of a league. Streams of its boards end for whoever is out. League admins.

    Raises:
        NotFound: the viewer is not in the league, or it has no such member.
        Forbidden: the viewer is no admin of it.
        LastAdmin: it is the founder.
        InvalidInput: it is the viewer, who is to leave instead.
    """
    async with database.begin() as connection:
        league = await as_admin(connection, viewer_id, league_id, _FIELD)
        membership = await _found(connection, league_id, membership_id)
        _check_not_founder(league, membership)
        if membership.member_id == viewer_id:
            raise InvalidInput("You cannot remove yourself; leave the league instead.", field=(_FIELD,))
        await _end(connection, membership, LeftCause.REMOVED)
        before = shown_membership(membership)
        await record(connection, "removeLeagueMember", viewer_id, league_id, request_id, before=before)
    return raised(league)


async def change_role(
    database: Database,
    viewer_id: MemberId,
    league_id: LeagueId,
    membership_id: LeagueMembershipId,
    role: LeagueRole,
    request_id: str,
) -> LeagueMembership:
    """Give a member another role; the present one changes nothing. League admins, for themselves too.

    Raises:
        NotFound: the viewer is not in the league, or it has no such member.
        Forbidden: the viewer is no admin of it.
        LastAdmin: it is the founder, who stays an admin.
    """
    async with database.begin() as connection:
        league = await as_admin(connection, viewer_id, league_id, _FIELD)
        membership = await _found(connection, league_id, membership_id)
        if membership.role is role:
            return membership
        _check_not_founder(league, membership)
        changed = replace(membership, role=role)
        await store.write_role(connection, membership_id, role)
        await league_store.raise_version(connection, league_id)
        told = {"before": shown_membership(membership), "after": shown_membership(changed)}
        await record(connection, "changeLeagueRole", viewer_id, league_id, request_id, **told)
    return changed


async def transfer(
    database: Database, viewer_id: MemberId, league_id: LeagueId, member_id: MemberId, request_id: str
) -> League:
    """Hand a league to another of its members, who is its founder and an admin from then on. Founder only.

    Raises:
        NotFound: the viewer is not in the league, or the other one is not or has deleted the account.
        Forbidden: the viewer is not its founder.
    """
    async with database.begin() as connection:
        league = await as_founder(connection, viewer_id, league_id)
        heir = await store.membership_of(connection, league_id, member_id)
        if heir is None or await member_store.read_account(connection, member_id) is None:
            raise NotFound("The league has no such member.", field=("memberId",))
        if member_id == viewer_id:
            return league
        league = raised(replace(league, founder_id=member_id))
        await store.write_role(connection, heir.id, LeagueRole.ADMIN)
        await league_store.write_league(connection, league)
        await league_store.raise_version(connection, league_id)
        told = {"before": {"founderId": str(viewer_id)}, "after": {"founderId": str(member_id)}}
        await record(connection, "transferLeague", viewer_id, league_id, request_id, **told)
    return league


async def _found(
    connection: "AsyncConnection", league_id: LeagueId, membership_id: LeagueMembershipId
) -> LeagueMembership:
    membership = await store.read_membership(connection, league_id, membership_id)
    if membership is None:
        raise NotFound("The league has no such member.", field=(_FIELD,))
    return membership


def _check_not_founder(league: League, membership: LeagueMembership) -> None:
    if membership.member_id == league.founder_id:
        raise LastAdmin("The founder must be an admin; transfer the league first.", field=(_FIELD,))


async def _end(connection: "AsyncConnection", membership: LeagueMembership, cause: LeftCause) -> None:
    await store.end_membership(connection, membership.id, cause)
    await league_store.raise_version(connection, membership.league_id)
