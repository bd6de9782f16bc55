"""Leagues: founding, invites, joining, and that they do not exist for outsiders."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from domain.audit.tables import audit_log
from domain.errors import DomainError, Forbidden, LimitReached, NotFound, Refused
from domain.guess.tables import tournament_members
from domain.ids import LeagueId, TournamentId
from domain.league import service
from domain.league.invite import service as invites
from domain.league.link import service as link_service
from domain.league.link.store import follow_tournament
from domain.league.membership import service as memberships
from domain.league.model import (
    LeagueInvite,
    LeagueInvitePreview,
    LeagueMembership,
    LeagueRole,
    LeagueTournament,
    LeagueTournamentStatus,
    LinkChange,
)
from domain.league.rules import LeagueLimits, list_position
from domain.league.tables import league_invites, league_members, leagues
from domain.outbox.tables import outbox
from domain.settlement.tables import member_scores
from domain.tournament.model import TournamentMode, TournamentStatus
from domain.tournament.tables import tournaments
from runtime.database import PostgresDatabase
from tests.support.football import make_league, make_member, make_members, make_tournament, pass_lock
from tests.support.statements import recorded_statements, until_one_waits

ROLES = list(LeagueRole)


async def count(database: PostgresDatabase, table: Any, *conditions: Any) -> int:
    async with database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(table).where(*conditions))).scalar_one()


async def invite(
    database: PostgresDatabase, admin: Any, league_id: LeagueId, *, max_uses: int | None = None, **change: Any
) -> LeagueInvite:
    role = change.get("role", LeagueRole.MEMBER)
    return await invites.create(database, admin, league_id, role, change.get("expires_at"), max_uses, "r1")


async def set_invite(database: PostgresDatabase, invite_id: Any, **values: Any) -> None:
    async with database.begin() as connection:
        await connection.execute(update(league_invites).where(league_invites.c.id == invite_id).values(values))


# ---------------------------------------------------------------- founding


async def test_founding_a_league(database: PostgresDatabase) -> None:
    active = await make_tournament(database, matches=1, ruleset="kicktipp", mode=TournamentMode.KNOCKOUT)
    upcoming = await make_tournament(database, matches=0, status=TournamentStatus.UPCOMING)
    completed = await make_tournament(database, matches=0, status=TournamentStatus.COMPLETED)
    ana = await make_member(database, "Ana", joins=[completed])
    chosen = [active.id, upcoming.id, completed.id, active.id]
    league = await service.create(database, ana, "  Friends ", "  ", chosen, "r1")
    assert (league.name, league.description, league.founder_id, league.board_version) == ("Friends", None, ana, 0)
    assert league.viewer_role is LeagueRole.ADMIN
    assert await service.read(database, ana, [league.id]) == {league.id: league}
    links = (await service.tournaments_of(database, [league.id]))[league.id]
    expected = [
        LeagueTournament(league.id, active.id, active.ruleset_id, LeagueTournamentStatus.ACTIVE, False),
        LeagueTournament(league.id, upcoming.id, upcoming.ruleset_id, LeagueTournamentStatus.UPCOMING, False),
        LeagueTournament(league.id, completed.id, completed.ruleset_id, LeagueTournamentStatus.COMPLETED, False),
    ]
    assert sorted(links, key=lambda link: link.tournament_id) == sorted(expected, key=lambda link: link.tournament_id)
    assert await count(database, tournament_members, tournament_members.c.member_id == ana) == 3
    # Two bases of the knockout, one of each regular season.
    assert await count(database, member_scores, member_scores.c.member_id == ana) == 4
    await pass_lock(database, active.matches[0])
    frozen = [
        link.tournament_id
        for link in (await service.tournaments_of(database, [league.id]))[league.id]
        if link.ruleset_frozen
    ]
    assert frozen == [active.id]


async def test_a_league_with_faults_is_not_founded(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=0)
    ana = await make_member(database, "Ana")
    unknown = TournamentId(uuid4())
    with pytest.raises(Refused) as refused:
        await service.create(database, ana, "x", "d" * 501, [made.id, unknown], "r1")
    assert [(fault.code, fault.field) for fault in refused.value.faults] == [
        ("INVALID_INPUT", ("name",)),
        ("INVALID_INPUT", ("description",)),
        ("NOT_FOUND", ("tournamentIds", "1")),
    ]
    for table in (leagues, league_members, tournament_members, audit_log):
        assert await count(database, table) == 0


async def test_a_member_founds_so_many_leagues_and_no_more(database: PostgresDatabase) -> None:
    ana = await make_member(database, "Ana")
    limits = LeagueLimits(leagues=3)
    asked = [service.create(database, ana, f"League {n}", None, [], "r1", limits=limits) for n in range(10)]
    made = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, LimitReached) for one in made) == 7
    assert await count(database, leagues) == 3


# ---------------------------------------------------------------- reading


async def test_to_outsiders_a_league_does_not_exist(database: PostgresDatabase) -> None:
    founder, member, viewer, outsider, admin = await make_members(database, 5)
    league_id = await make_league(database, "Friends", founder, members=[member], viewers=[viewer])
    other = await make_league(database, "Others", outsider)
    seen = {
        who: set(await service.read(database, who, [league_id, other, LeagueId(uuid4())]))
        for who in (founder, member, viewer, outsider, admin)
    }
    assert seen == {founder: {league_id}, member: {league_id}, viewer: {league_id}, outsider: {other}, admin: set()}
    assert await service.roles(database, viewer, [league_id, other]) == {league_id: LeagueRole.VIEWER}
    for who, error in ((member, Forbidden), (viewer, Forbidden), (outsider, NotFound), (admin, NotFound)):
        with pytest.raises(error):
            await invite(database, who, league_id)
    assert await count(database, league_invites) == 0


async def test_who_has_left_and_a_deleted_league_see_nothing(database: PostgresDatabase) -> None:
    founder, member = await make_members(database, 2)
    league_id = await make_league(database, "Friends", founder, members=[member])
    code = (await invite(database, founder, league_id)).code
    async with database.begin() as connection:
        gone = update(league_members).where(league_members.c.member_id == member)
        await connection.execute(gone.values(left_at=func.clock_timestamp(), left_cause="REMOVED"))
    assert await service.read(database, member, [league_id]) == {}
    assert await service.roles(database, member, [league_id]) == {}
    assert await service.page_of_member(database, member, 10) == []
    assert (await memberships.page(database, league_id, 10))[1] == 1
    async with database.begin() as connection:
        await connection.execute(update(leagues).values(deleted_at=func.clock_timestamp()))
    assert await service.read(database, founder, [league_id]) == {}
    assert await service.roles(database, founder, [league_id]) == {}
    assert await service.page_of_member(database, founder, 10) == []
    assert await invites.preview(database, code) is None
    with pytest.raises(DomainError) as refused:
        await service.join(database, member, code, "r1")
    assert refused.value.code == "INVITE_INVALID"


@pytest.mark.parametrize("first", [1, 2, 100])
async def test_leagues_of_a_member_by_name(database: PostgresDatabase, first: int) -> None:
    ana, bea = await make_members(database, 2)
    for name in ("Same", "Zebra", "Alpha", "Same"):
        await make_league(database, name, ana)
    await make_league(database, "Not hers", bea)
    names: list[str] = []
    after = None
    while True:
        with recorded_statements(database) as statements:
            found = await service.page_of_member(database, ana, first, after)
        assert len(statements) == 1
        names += [league.name for league in found[:first]]
        if len(found) <= first:
            break
        after = list_position(found[first - 1])
    assert names == ["Alpha", "Same", "Same", "Zebra"]


@pytest.mark.parametrize("first", [1, 2, 3, 100])
async def test_members_by_role_and_nick_name(database: PostgresDatabase, first: int) -> None:
    names = ["Founder", "Zoe", "Abe", "Same", "Same", "Viewer", "Another"]
    ids = [await make_member(database, name) for name in names]
    nick_names = dict(zip(ids, names, strict=True))
    league_id = await make_league(database, "Friends", ids[0], members=ids[1:5], viewers=ids[5:])
    await make_league(database, "Others", ids[1], members=[ids[0]])
    seen: list[LeagueMembership] = []
    after = None
    while True:
        with recorded_statements(database) as statements:
            found, total = await memberships.page(database, league_id, first, after)
        assert (len(statements), total) == (2, 7)
        seen += found[:first]
        if len(found) <= first:
            break
        last = found[first - 1]
        after = (last.role, nick_names[last.member_id], last.id)
    assert [nick_names[each.member_id] for each in seen] == [
        "Founder",
        "Abe",
        "Same",
        "Same",
        "Zoe",
        "Another",
        "Viewer",
    ]
    assert len({each.id for each in seen}) == 7


# ---------------------------------------------------------------- invites


async def test_an_invite_and_its_preview(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    founder, member, guest = await make_members(database, 3, joins=[made])
    league_id = await make_league(database, "Friends", founder, members=[member], plays=[made])
    soon = datetime.now(UTC) + timedelta(days=1)
    created = await invite(database, founder, league_id, role=LeagueRole.VIEWER, expires_at=soon, max_uses=2)
    assert (
        created.league_id,
        created.role,
        created.uses,
        created.max_uses,
        created.expires_at,
        created.revoked_at,
    ) == (
        league_id,
        LeagueRole.VIEWER,
        0,
        2,
        soon,
        None,
    )
    preview = await invites.preview(database, f" {created.code.lower()} ")
    assert preview == LeagueInvitePreview("Friends", None, "Member 0", 2)
    league = await service.join(database, guest, created.code.lower(), "r1")
    assert (league.id, league.viewer_role, league.board_version) == (league_id, LeagueRole.VIEWER, 1)


async def test_an_invite_with_faults_is_not_made(database: PostgresDatabase) -> None:
    founder = await make_member(database, "Founder")
    league_id = await make_league(database, "Friends", founder)
    past = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(Refused) as refused:
        await invite(database, founder, league_id, role=LeagueRole.ADMIN, expires_at=past, max_uses=0)
    assert [fault.field for fault in refused.value.faults] == [("role",), ("expiresAt",), ("maxUses",)]
    assert await count(database, league_invites) == 0


@pytest.mark.parametrize("spoilt", ["unknown", "expired", "revoked", "used up"])
async def test_a_code_that_cannot_be_used(database: PostgresDatabase, spoilt: str) -> None:
    founder, guest = await make_members(database, 2)
    league_id = await make_league(database, "Friends", founder)
    made = await invite(database, founder, league_id, max_uses=1)
    changes: dict[str, dict[str, Any]] = {
        "unknown": {"code": "ABCDEFGHJKMN"},
        "expired": {"expires_at": func.clock_timestamp()},
        "revoked": {"revoked_at": func.clock_timestamp()},
        "used up": {"uses": 1},
    }
    await set_invite(database, made.id, **changes[spoilt])
    assert await invites.preview(database, made.code) is None
    with pytest.raises(DomainError) as refused:
        await service.join(database, guest, made.code, "r1")
    assert (refused.value.code, refused.value.field) == ("INVITE_INVALID", ("code",))
    assert await service.read(database, guest, [league_id]) == {}
    # Who is in already takes no seat and is not refused, unless nobody knows the code.
    if spoilt != "unknown":
        assert (await service.join(database, founder, made.code, "r1")).viewer_role is LeagueRole.ADMIN


# ---------------------------------------------------------------- joining


async def test_joining_a_league_joins_its_tournaments_and_moves_its_version_once(database: PostgresDatabase) -> None:
    first = await make_tournament(database, matches=0)
    second = await make_tournament(database, matches=0, status=TournamentStatus.UPCOMING)
    founder = await make_member(database, "Founder", joins=[first, second])
    guest = await make_member(database, "Guest", joins=[first])
    league_id = await make_league(database, "Friends", founder, plays=[first, second])
    made = await invite(database, founder, league_id, max_uses=1)
    joined = await asyncio.gather(*(service.join(database, guest, made.code, f"r{n}") for n in range(15)))
    assert {(league.id, league.viewer_role, league.board_version) for league in joined} == {
        (league_id, LeagueRole.MEMBER, 1)
    }
    assert await count(database, league_members, league_members.c.member_id == guest) == 1
    assert await count(database, tournament_members, tournament_members.c.member_id == guest) == 2
    assert await count(database, member_scores, member_scores.c.member_id == guest) == 2
    async with database.read() as connection:
        uses = (await connection.execute(select(league_invites.c.uses))).scalar_one()
        messages = (await connection.execute(select(outbox.c.topic, outbox.c.message))).all()
    assert uses == 1
    assert sorted((row.topic, row.message["id"]) for row in messages) == sorted(
        [("TICK", str(league_id)), ("MEMBERS", str(second.id))]
    )


async def test_a_burst_takes_no_more_seats_than_there_are(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=0)
    founder = await make_member(database, "Founder", joins=[made])
    guests = await make_members(database, 40)
    league_id = await make_league(database, "Friends", founder, plays=[made])
    code = (await invite(database, founder, league_id, max_uses=7)).code
    asked = [service.join(database, guest, code, "r1") for guest in guests for _ in range(2)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, Exception)]
    assert {one.code for one in refused if isinstance(one, DomainError)} == {"INVITE_INVALID"}
    assert len(refused) == 2 * 33
    assert (await memberships.page(database, league_id, 1))[1] == 8
    assert await count(database, tournament_members) == 8
    async with database.read() as connection:
        assert (await connection.execute(select(league_invites.c.uses))).scalar_one() == 7
        assert (await connection.execute(select(leagues.c.board_version))).scalar_one() == 7


async def test_a_full_league_takes_nobody_and_no_seat(database: PostgresDatabase) -> None:
    founder, *guests = await make_members(database, 6)
    league_id = await make_league(database, "Friends", founder)
    code = (await invite(database, founder, league_id)).code
    limits = LeagueLimits(members=3)
    asked = [service.join(database, guest, code, "r1", limits=limits) for guest in guests]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, LimitReached) for one in answers) == 3
    assert (await memberships.page(database, league_id, 1))[1] == 3
    async with database.read() as connection:
        assert (await connection.execute(select(league_invites.c.uses))).scalar_one() == 2


async def test_a_member_joins_so_many_leagues_and_no_more(database: PostgresDatabase) -> None:
    founder, guest = await make_members(database, 2)
    codes = [
        (await invite(database, founder, await make_league(database, f"League {n}", founder))).code for n in range(6)
    ]
    limits = LeagueLimits(leagues=2)
    asked = [service.join(database, guest, code, "r1", limits=limits) for code in codes]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, LimitReached) for one in answers) == 4
    assert len(await service.page_of_member(database, guest, 10)) == 2


async def test_leagues_read_in_batches(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    founder = await make_member(database, "Founder", joins=[made])
    ids = [await make_league(database, f"League {n}", founder, plays=[made]) for n in range(12)]
    for number in (1, 12):
        with recorded_statements(database) as statements:
            assert len(await service.read(database, founder, ids[:number])) == number
            assert len(await service.roles(database, founder, ids[:number])) == number
            assert len(await service.tournaments_of(database, ids[:number])) == number
        assert len(statements) == 3


async def test_a_link_follows_its_tournament(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=0, status=TournamentStatus.UPCOMING)
    other = await make_tournament(database, matches=0, status=TournamentStatus.UPCOMING)
    ana = await make_member(database, "Ana")
    league = await service.create(database, ana, "Friends", None, [made.id, other.id], "r1")
    before = TournamentStatus.UPCOMING
    steps = [
        (TournamentStatus.UPCOMING, LeagueTournamentStatus.UPCOMING, 0),
        (TournamentStatus.ACTIVE, LeagueTournamentStatus.ACTIVE, 1),
        (TournamentStatus.ACTIVE, LeagueTournamentStatus.ACTIVE, 1),
        (TournamentStatus.CANCELLED, LeagueTournamentStatus.ACTIVE, 1),
        (TournamentStatus.COMPLETED, LeagueTournamentStatus.COMPLETED, 2),
        (TournamentStatus.ACTIVE, LeagueTournamentStatus.COMPLETED, 2),
    ]
    for status, expected, version in steps:
        async with database.begin() as connection:
            await follow_tournament(connection, made.id, before, status)
        before = status
        links = (await service.tournaments_of(database, [league.id]))[league.id]
        assert {link.tournament_id: link.status for link in links} == {
            made.id: expected,
            other.id: LeagueTournamentStatus.UPCOMING,
        }
        assert (await service.read(database, ana, [league.id]))[league.id].board_version == version


async def test_a_league_that_stopped_a_tournament_does_not_get_it_back_when_it_ends(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=0, status=TournamentStatus.ACTIVE)
    ana = await make_member(database, "Ana")
    leagues = [await service.create(database, ana, name, None, [made.id], "r1") for name in ("Stops", "Plays on")]
    change = LinkChange(status=LeagueTournamentStatus.UPCOMING)
    await link_service.update(database, ana, leagues[0].id, made.id, change, "r2")
    for before, after in [
        (TournamentStatus.ACTIVE, TournamentStatus.COMPLETED),
        (TournamentStatus.COMPLETED, TournamentStatus.ACTIVE),
    ]:
        async with database.begin() as connection:
            await follow_tournament(connection, made.id, before, after)
        found = await service.tournaments_of(database, [league.id for league in leagues])
        assert [found[league.id][0].status for league in leagues] == [
            LeagueTournamentStatus.UPCOMING,
            LeagueTournamentStatus.COMPLETED,
        ]


async def test_a_tournament_that_begins_while_a_league_is_founded_is_found_begun(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=0, status=TournamentStatus.UPCOMING)
    ana = await make_member(database, "Ana")
    async with database.begin() as connection:
        await connection.execute(update(tournaments).values(status=TournamentStatus.ACTIVE))
        await follow_tournament(connection, made.id, TournamentStatus.UPCOMING, TournamentStatus.ACTIVE)
        founding = asyncio.create_task(service.create(database, ana, "Friends", None, [made.id], "r1"))
        await until_one_waits(database)
    league = await founding
    (link,) = (await service.tournaments_of(database, [league.id]))[league.id]
    assert link.status is LeagueTournamentStatus.ACTIVE
