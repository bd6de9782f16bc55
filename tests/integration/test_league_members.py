"""Who is in a league: leaving, being removed, roles, handing on, deleting; and invites that are revoked."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from domain.audit.tables import audit_log
from domain.clock import utc_now
from domain.errors import DomainError, Forbidden, InvalidInput, NotFound, Refused
from domain.ids import LeagueId, LeagueInviteId, LeagueMembershipId, MemberId, new_id
from domain.leaderboard.model import AtTime, BoardKey
from domain.leaderboard.service import Boards
from domain.league import service as leagues
from domain.league.invite import service as invites
from domain.league.membership import service as memberships
from domain.league.model import League, LeagueChange, LeagueInvite, LeagueMembership, LeaguePermission, LeagueRole
from domain.league.rules import InviteInvalid, LastAdmin, permissions
from domain.league.store import lock_league
from domain.league.tables import league_members
from domain.league.tables import leagues as leagues_table
from tests.support.boards import ids_of, walk
from tests.support.football import make_league, make_members, make_tournament
from tests.support.settlement import database_now
from tests.support.statements import until_one_waits

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

ADMIN, MEMBER, VIEWER = LeagueRole


@pytest.fixture
async def people(database: "PostgresDatabase") -> list[MemberId]:
    """Founder, member, viewer, outsider."""
    return await make_members(database, 4)


@pytest.fixture
async def league(database: "PostgresDatabase", people: list[MemberId]) -> LeagueId:
    return await make_league(database, "Friends", people[0], members=people[1:2], viewers=people[2:3])


async def membership(database: "PostgresDatabase", league: LeagueId, member: MemberId) -> LeagueMembership:
    found, _ = await memberships.page(database, league, 100)
    return next(each for each in found if each.member_id == member)


async def roles(database: "PostgresDatabase", league: LeagueId) -> dict[MemberId, LeagueRole]:
    return {each.member_id: each.role for each in (await memberships.page(database, league, 100))[0]}


async def read(database: "PostgresDatabase", member: MemberId, league: LeagueId) -> League | None:
    return (await leagues.read(database, member, [league])).get(league)


async def acts(database: "PostgresDatabase") -> list[tuple[Any, ...]]:
    async with database.read() as connection:
        rows = await connection.execute(select(audit_log).order_by(audit_log.c.id))
    return [(row.action, row.actor_id, row.before, row.after) for row in rows]


# ---------------------------------------------------------------- leaving, being removed


async def test_who_leaves_is_out_and_may_come_again(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId]
) -> None:
    founder, bob, *_ = people
    first = await membership(database, league, bob)

    await memberships.leave(database, bob, league, "r1")

    assert await read(database, bob, league) is None
    with pytest.raises(NotFound):
        await memberships.leave(database, bob, league, "r1")
    invite = await invites.create(database, founder, league, MEMBER, None, 1, "r1")
    again = await leagues.join(database, bob, invite.code, "r1")
    assert again.board_version == 2
    assert (await membership(database, league, bob)).id != first.id
    left = ("leaveLeague", bob, {"memberId": str(bob), "role": "MEMBER"}, None)
    assert (await acts(database))[0] == left


async def test_an_admin_removes_members(database: "PostgresDatabase", league: LeagueId, people: list[MemberId]) -> None:
    founder, bob, vic, _ = people
    for number, member in enumerate((bob, vic), start=1):
        gone = await membership(database, league, member)
        assert (await memberships.remove(database, founder, league, gone.id, "r1")).board_version == number
        with pytest.raises(NotFound) as refused:
            await memberships.remove(database, founder, league, gone.id, "r1")
        assert refused.value.field == ("membershipId",)
    assert await roles(database, league) == {founder: ADMIN}
    assert [act[:3] for act in await acts(database)] == [
        ("removeLeagueMember", founder, {"memberId": str(bob), "role": "MEMBER"}),
        ("removeLeagueMember", founder, {"memberId": str(vic), "role": "VIEWER"}),
    ]
    async with database.read() as connection:
        causes = select(league_members.c.left_cause).where(league_members.c.left_at.is_not(None))
        assert list((await connection.execute(causes)).scalars()) == ["REMOVED", "REMOVED"]


async def test_the_founder_neither_goes_nor_is_demoted(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId]
) -> None:
    founder, bob, *_ = people
    await memberships.change_role(database, founder, league, (await membership(database, league, bob)).id, ADMIN, "r")
    place = (await membership(database, league, founder)).id
    refused: list[Any] = [
        memberships.leave(database, founder, league, "r"),
        memberships.remove(database, bob, league, place, "r"),
        memberships.change_role(database, bob, league, place, MEMBER, "r"),
        memberships.change_role(database, founder, league, place, VIEWER, "r"),
    ]
    for act in refused:
        with pytest.raises(LastAdmin):
            await act
    # Its role as it is may be named.
    assert (await memberships.change_role(database, bob, league, place, ADMIN, "r")).role is ADMIN
    assert (await roles(database, league))[founder] is ADMIN
    assert [act[0] for act in await acts(database)] == ["changeLeagueRole"]


async def test_an_admin_goes_by_leaving(database: "PostgresDatabase", league: LeagueId, people: list[MemberId]) -> None:
    founder, bob, *_ = people
    place = (await membership(database, league, bob)).id
    await memberships.change_role(database, founder, league, place, ADMIN, "r")
    with pytest.raises(InvalidInput):
        await memberships.remove(database, bob, league, place, "r")
    await memberships.leave(database, bob, league, "r")
    assert bob not in await roles(database, league)


# ---------------------------------------------------------------- roles, founders


async def test_roles_say_who_is_ranked_and_who_runs_it(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId]
) -> None:
    founder, bob, vic, _ = people
    boards = Boards(database, None, utc_now)

    async def ranked() -> set[MemberId]:
        board = await boards.open(BoardKey(league_id=league))
        assert board is not None
        return set(ids_of(await walk(board, 10)))

    before = await membership(database, league, vic)
    assert await ranked() == {founder, bob}
    changed = await memberships.change_role(database, founder, league, before.id, MEMBER, "r")
    assert (changed.id, changed.role, changed.joined_at) == (before.id, MEMBER, before.joined_at)
    assert await ranked() == {founder, bob, vic}
    place = (await membership(database, league, bob)).id
    await memberships.change_role(database, founder, league, place, VIEWER, "r")
    assert await ranked() == {founder, vic}
    await memberships.change_role(database, founder, league, before.id, ADMIN, "r")
    seen = await read(database, vic, league)
    assert seen is not None
    assert LeaguePermission.MANAGE_MEMBERS in permissions(seen, vic)
    # An admin may give up the role.
    await memberships.change_role(database, vic, league, before.id, MEMBER, "r")
    with pytest.raises(Forbidden):
        await memberships.change_role(database, vic, league, before.id, ADMIN, "r")


async def test_a_league_is_handed_on(database: "PostgresDatabase", league: LeagueId, people: list[MemberId]) -> None:
    founder, bob, vic, eve = people
    for who, heir, error in ((bob, vic, Forbidden), (eve, bob, NotFound), (founder, eve, NotFound)):
        with pytest.raises(error):
            await memberships.transfer(database, who, league, heir, "r")
    assert (await memberships.transfer(database, founder, league, founder, "r")).board_version == 0

    handed = await memberships.transfer(database, founder, league, vic, "r")

    assert (handed.founder_id, handed.viewer_role, handed.board_version) == (vic, ADMIN, 1)
    assert await read(database, founder, league) == handed
    assert await roles(database, league) == {founder: ADMIN, bob: MEMBER, vic: ADMIN}
    assert await acts(database) == [("transferLeague", founder, {"founderId": str(founder)}, {"founderId": str(vic)})]
    with pytest.raises(Forbidden):
        await leagues.delete(database, founder, league, "r")
    await memberships.leave(database, founder, league, "r")
    await leagues.delete(database, vic, league, "r")


async def test_a_deleted_league_is_gone_for_all(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId]
) -> None:
    founder, bob, *_ = people
    code = (await invites.create(database, founder, league, MEMBER, None, None, "r")).code
    boards = Boards(database, None, utc_now)
    assert await boards.open(BoardKey(league_id=league)) is not None

    await leagues.delete(database, founder, league, "r")

    assert [await read(database, member, league) for member in people] == [None] * 4
    assert await leagues.page_of_member(database, bob, 10) == []
    assert await invites.preview(database, code) is None
    assert await boards.open(BoardKey(league_id=league)) is None
    assert await boards.versions([BoardKey(league_id=league)]) == {}
    refused: list[Any] = [
        leagues.delete(database, founder, league, "r"),
        memberships.leave(database, bob, league, "r"),
        leagues.update(database, founder, league, LeagueChange(name="Back"), "r"),
        leagues.join(database, people[3], code, "r"),
    ]
    for act in refused:
        with pytest.raises((NotFound, InviteInvalid)):
            await act
    assert [act[0] for act in await acts(database)] == ["createLeagueInvite", "deleteLeague"]


async def test_name_and_description_are_changed_and_stand_in_no_log(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId]
) -> None:
    founder, bob, *_ = people

    async def change(**values: str) -> League:
        return await leagues.update(database, founder, league, LeagueChange(**values), "r")

    named = await change(name=" Secret club ", description=" We meet at noon. ")
    assert (named.name, named.description) == ("Secret club", "We meet at noon.")
    assert await read(database, founder, league) == named
    plain = await change(description="  ")
    assert (plain.name, plain.description, plain.board_version) == ("Secret club", None, 2)
    assert await change(name="Secret club") == plain == await change()
    with pytest.raises(Refused) as refused:
        await change(name="", description="d" * 501)
    assert [(fault.code, fault.field) for fault in refused.value.faults] == [
        ("INVALID_INPUT", ("name",)),
        ("INVALID_INPUT", ("description",)),
    ]
    with pytest.raises(Forbidden):
        await leagues.update(database, bob, league, LeagueChange(name="Mine"), "r")
    assert await acts(database) == [
        ("updateLeague", founder, None, {"changed": ["name", "description"]}),
        ("updateLeague", founder, None, {"changed": ["description"]}),
    ]


# ---------------------------------------------------------------- earlier boards


async def test_an_earlier_board_has_the_members_of_its_moment(
    database: "PostgresDatabase", people: list[MemberId]
) -> None:
    founder, bob, cid, dan = people
    made = await make_tournament(database, matches=1)
    league = await make_league(database, "Friends", founder, members=[bob], plays=[made])
    code = (await invites.create(database, founder, league, MEMBER, None, None, "r")).code
    moments, expected = [], []

    async def look(*members: MemberId) -> None:
        moments.append(await database_now(database))
        expected.append(set(members))

    await look(founder, bob)
    await leagues.join(database, cid, code, "r")
    await look(founder, bob, cid)
    await memberships.leave(database, bob, league, "r")
    await look(founder, cid)
    gone = (await membership(database, league, cid)).id
    await memberships.remove(database, founder, league, gone, "r")
    await look(founder)
    for member in (dan, bob):
        await leagues.join(database, member, code, "r")
    await look(founder, dan, bob)

    boards = Boards(database, None, utc_now)
    for key in (BoardKey(league_id=league), BoardKey(league_id=league, tournament_id=made.id)):
        found = []
        for moment in moments:
            board = await boards.open(key, as_of=AtTime(moment))
            assert board is not None
            found.append(set(ids_of(await walk(board, 2))))
        assert found == expected


# ---------------------------------------------------------------- at once, and the database itself


async def test_an_admin_who_is_demoted_meanwhile_changes_nothing(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId]
) -> None:
    founder, bob, vic, _ = people
    place, other = (await membership(database, league, bob)).id, (await membership(database, league, vic)).id
    await memberships.change_role(database, founder, league, place, ADMIN, "r")
    async with database.begin() as connection:
        await lock_league(connection, league)
        removing = asyncio.ensure_future(memberships.remove(database, bob, league, other, "r"))
        await until_one_waits(database)
        demoted = update(league_members).where(league_members.c.id == place)
        await connection.execute(demoted.values(role=MEMBER))
    with pytest.raises(Forbidden):
        await removing
    assert vic in await roles(database, league)


async def test_of_two_who_hand_it_on_at_once_one_does(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId]
) -> None:
    founder, bob, vic, _ = people
    both = [memberships.transfer(database, founder, league, heir, "r") for heir in (bob, vic)]
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(answer) for answer in answers if isinstance(answer, DomainError)) == [Forbidden]
    seen = await read(database, bob, league)
    assert seen is not None
    assert (await roles(database, league))[seen.founder_id] is ADMIN


@pytest.mark.usefixtures("league")
async def test_the_database_itself_keeps_the_founder(database: "PostgresDatabase", people: list[MemberId]) -> None:
    founder, bob, *_ = people
    of_founder = league_members.c.member_id == founder
    for change in (
        update(league_members).where(of_founder).values(role=MEMBER),
        update(league_members).where(of_founder).values(left_at=datetime.now(UTC), left_cause="LEFT"),
        delete(league_members).where(of_founder),
        update(leagues_table).values(founder_id=bob),
    ):
        with pytest.raises(DBAPIError, match="must be one of its admins"):
            async with database.begin() as connection:
                await connection.execute(change)
    # In any order within a transaction, and when the league is gone.
    async with database.begin() as connection:
        await connection.execute(update(leagues_table).values(founder_id=bob))
        await connection.execute(update(league_members).values(role=ADMIN).where(league_members.c.member_id == bob))
        await connection.execute(update(league_members).where(of_founder).values(role=MEMBER))
    async with database.begin() as connection:
        await connection.execute(update(leagues_table).values(deleted_at=datetime.now(UTC)))
    async with database.begin() as connection:
        await connection.execute(delete(league_members))


# ---------------------------------------------------------------- invites


async def test_a_revoked_invite_lets_nobody_in(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId]
) -> None:
    founder, bob, _, eve = people
    made = await invites.create(database, founder, league, MEMBER, None, None, "r")
    for who, error in ((bob, Forbidden), (eve, NotFound)):
        with pytest.raises(error):
            await invites.revoke(database, who, league, made.id, "r")
    other = await make_league(database, "Others", eve)
    with pytest.raises(NotFound) as refused:
        await invites.revoke(database, eve, other, made.id, "r")
    assert refused.value.field == ("inviteId",)

    revoked = await invites.revoke(database, founder, league, made.id, "r")
    again = await invites.revoke(database, founder, league, made.id, "r")

    assert revoked.revoked_at is not None
    assert again == revoked == await invites.read(database, league, made.id)
    with pytest.raises(InviteInvalid):
        await leagues.join(database, eve, made.code, "r")
    assert [act[0] for act in await acts(database)] == ["createLeagueInvite", "revokeLeagueInvite"]


@pytest.mark.parametrize("first", [1, 2, 100])
async def test_invites_that_can_be_used_latest_first(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId], first: int
) -> None:
    founder, _, _, eve = people
    soon = datetime.now(UTC) + timedelta(hours=1)
    wanted = [(None, None), (None, 1), (soon, None), (None, 2), (None, None)]
    made = [await invites.create(database, founder, league, MEMBER, *limits, "r") for limits in wanted]
    await invites.revoke(database, founder, league, made[0].id, "r")
    await leagues.join(database, eve, made[1].code, "r")
    seen: list[LeagueInvite] = []
    after = None
    while True:
        found = await invites.page(database, league, first=first, after=after)
        seen += found[:first]
        if len(found) <= first:
            break
        after = (found[first - 1].created_at, found[first - 1].id)
    assert [each.id for each in seen] == [made[4].id, made[3].id, made[2].id]


async def test_what_is_not_there_is_not_found(
    database: "PostgresDatabase", league: LeagueId, people: list[MemberId]
) -> None:
    founder = people[0]
    nobody, nothing, nowhere = LeagueMembershipId(new_id()), LeagueInviteId(new_id()), LeagueId(new_id())
    refused: list[Any] = [
        memberships.remove(database, founder, league, nobody, "r"),
        memberships.change_role(database, founder, league, nobody, ADMIN, "r"),
        memberships.transfer(database, founder, league, MemberId(new_id()), "r"),
        invites.revoke(database, founder, league, nothing, "r"),
        memberships.leave(database, founder, nowhere, "r"),
        leagues.update(database, founder, nowhere, LeagueChange(name="None"), "r"),
        leagues.delete(database, founder, nowhere, "r"),
    ]
    for act in refused:
        with pytest.raises(NotFound):
            await act
    assert await acts(database) == []
