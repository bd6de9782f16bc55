"""What a league plays: taking tournaments up, giving them up, taking them up again, and what its boards add up."""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, insert, select, text, update

from domain.audit.tables import audit_log
from domain.clock import utc_now
from domain.errors import Forbidden, LimitReached, NotFound, Refused
from domain.guess.tables import tournament_members
from domain.ids import LeagueId, MemberId, RulesetId, TournamentId, new_id
from domain.leaderboard.model import AtTime, BoardKey, RankedRow
from domain.leaderboard.service import Boards
from domain.league import service as leagues
from domain.league.invite import service as invites
from domain.league.link import service as links
from domain.league.model import League, LeagueRole, LeagueTournament, LeagueTournamentStatus, LinkChange
from domain.league.rules import LeagueLimits
from domain.league.store import lock_league
from domain.league.tables import league_tournaments
from domain.member.store import lock_member
from domain.outbox.store import members_changed
from domain.outbox.tables import outbox
from domain.scoring.rules import RulesetFrozen
from domain.scoring.service import page_of_latest
from domain.settlement.tables import member_scores
from domain.tournament import commands
from domain.tournament.model import TournamentChange, TournamentMode, TournamentStatus
from domain.tournament.tables import tournaments
from tasks.relay import raise_boards_once
from tests.support.boards import places, projected, ranked_by_sql, walk
from tests.support.football import (
    MadeTournament,
    make_league,
    make_member,
    make_members,
    make_tournament,
    pass_lock,
    put_guess,
)
from tests.support.settlement import database_now, play
from tests.support.statements import until_one_waits

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase

UPCOMING, ACTIVE, COMPLETED = LeagueTournamentStatus


@pytest.fixture
async def made(database: "PostgresDatabase") -> MadeTournament:
    return await make_tournament(database, matches=2)


@pytest.fixture
async def ana(database: "PostgresDatabase") -> MemberId:
    return await make_member(database, "Ana")


@pytest.fixture
async def presets(database: "PostgresDatabase") -> dict[str, RulesetId]:
    return {each.code: each.id for each in await page_of_latest(database, first=10)}


async def add(
    database: "PostgresDatabase", member: MemberId, league: LeagueId, tournament: TournamentId, **more: Any
) -> League:
    return await links.add(database, member, league, tournament, more.pop("ruleset_id", None), "r1", **more)


async def played(database: "PostgresDatabase", league: LeagueId) -> list[LeagueTournament]:
    return (await leagues.tournaments_of(database, [league])).get(league, [])


async def joined(database: "PostgresDatabase", tournament: TournamentId) -> set[MemberId]:
    """Who has joined a tournament and has a row on its boards."""
    of_tournament = tournament_members.c.tournament_id == tournament
    async with database.read() as connection:
        entered = (await connection.execute(select(tournament_members.c.member_id).where(of_tournament))).scalars()
        scored = select(member_scores.c.member_id).where(member_scores.c.tournament_id == tournament)
        rows = set(entered)
        assert rows == set((await connection.execute(scored)).scalars())
    return {MemberId(member) for member in rows}


async def acts(database: "PostgresDatabase") -> list[tuple[Any, ...]]:
    async with database.read() as connection:
        rows = await connection.execute(select(audit_log).order_by(audit_log.c.id))
    return [(row.action, row.actor_id, row.subject_id, row.before, row.after) for row in rows]


async def ticks(database: "PostgresDatabase") -> int:
    async with database.read() as connection:
        told = select(func.count()).select_from(outbox).where(outbox.c.message["kind"].astext == "league")
        return (await connection.execute(told)).scalar_one()


# ---------------------------------------------------------------- taking up


async def test_a_tournament_is_taken_up_and_all_members_join_it(
    database: "PostgresDatabase", ana: MemberId, presets: dict[str, RulesetId]
) -> None:
    cup = await make_tournament(database, matches=1, mode=TournamentMode.KNOCKOUT)
    bob, vic = await make_member(database, "Bob", joins=[cup]), await make_member(database, "Vic")
    league = await make_league(database, "Office", ana, members=[bob], viewers=[vic])

    changed = await add(database, ana, league, cup.id, ruleset_id=presets["kicktipp"])
    again = await add(database, ana, league, cup.id, ruleset_id=presets["default"])

    assert (changed.board_version, again.board_version) == (1, 1)
    assert await played(database, league) == [LeagueTournament(league, cup.id, presets["kicktipp"], ACTIVE, False)]
    assert await joined(database, cup.id) == {ana, bob, vic}
    told = {"tournamentId": str(cup.id), "status": "ACTIVE", "rulesetId": str(presets["kicktipp"])}
    assert await acts(database) == [("addLeagueTournament", ana, league, None, told)]
    assert await ticks(database) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (TournamentStatus.UPCOMING, UPCOMING),
        (TournamentStatus.ACTIVE, ACTIVE),
        (TournamentStatus.COMPLETED, COMPLETED),
    ],
)
async def test_it_begins_as_the_tournament_stands(
    database: "PostgresDatabase", ana: MemberId, status: TournamentStatus, expected: LeagueTournamentStatus
) -> None:
    made = await make_tournament(database, matches=0, status=status)
    league = await make_league(database, "Office", ana)
    await add(database, ana, league, made.id)
    assert [link.status for link in await played(database, league)] == [expected]


async def test_after_the_first_lock_only_the_tournaments_ruleset_is_taken(
    database: "PostgresDatabase", made: MadeTournament, ana: MemberId, presets: dict[str, RulesetId]
) -> None:
    league = await make_league(database, "Office", ana)
    await pass_lock(database, made.matches[0])

    with pytest.raises(RulesetFrozen) as refused:
        await add(database, ana, league, made.id, ruleset_id=presets["kicktipp"])
    assert refused.value.field == ("rulesetId",)
    with pytest.raises(NotFound):
        await add(database, ana, league, made.id, ruleset_id=RulesetId(new_id()))
    assert (await played(database, league), await joined(database, made.id)) == ([], set())

    await add(database, ana, league, made.id, ruleset_id=made.ruleset_id)
    assert await played(database, league) == [LeagueTournament(league, made.id, made.ruleset_id, ACTIVE, True)]


async def test_given_up_and_taken_up_again_it_has_its_former_ruleset(
    database: "PostgresDatabase", made: MadeTournament, ana: MemberId, presets: dict[str, RulesetId]
) -> None:
    league = await make_league(database, "Office", ana)
    await add(database, ana, league, made.id, ruleset_id=presets["kicktipp"])
    await pass_lock(database, made.matches[0])

    removed = await links.remove(database, ana, league, made.id, "r1")
    assert (removed.board_version, await played(database, league)) == (2, [])
    with pytest.raises(NotFound):
        await links.remove(database, ana, league, made.id, "r1")
    with pytest.raises(NotFound):
        await links.update(database, ana, league, made.id, LinkChange(status=COMPLETED), "r1")
    late = await make_member(database, "Late")
    code = (await invites.create(database, ana, league, LeagueRole.MEMBER, None, None, "r1")).code
    await leagues.join(database, late, code, "r1")
    assert await joined(database, made.id) == {ana}

    # Another ruleset cannot be had by this way, locked or not.
    again = await add(database, ana, league, made.id, ruleset_id=presets["exact-bonus"])
    assert again.board_version == 4
    assert await played(database, league) == [LeagueTournament(league, made.id, presets["kicktipp"], ACTIVE, True)]
    assert await joined(database, made.id) == {ana, late}
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(league_tournaments))).scalar_one() == 1
    assert [act[0] for act in await acts(database)] == [
        "addLeagueTournament",
        "removeLeagueTournament",
        "createLeagueInvite",
        "joinLeague",
        "addLeagueTournament",
    ]


# ---------------------------------------------------------------- limits and rights


async def test_a_league_plays_so_many_tournaments_and_matches_and_no_more(
    database: "PostgresDatabase", ana: MemberId
) -> None:
    made = [await make_tournament(database, matches=3) for _ in range(3)]
    league = await make_league(database, "Office", ana, plays=made[:1])

    for limits in (LeagueLimits(tournaments=1), LeagueLimits(matches=5)):
        with pytest.raises(LimitReached) as refused:
            await add(database, ana, league, made[1].id, limits=limits)
        assert refused.value.field == ("tournamentId",)
    # What it plays already is no more than it was, and what it gave up does not count.
    await add(database, ana, league, made[0].id, limits=LeagueLimits(tournaments=1))
    await links.remove(database, ana, league, made[0].id, "r1")
    await add(database, ana, league, made[1].id, limits=LeagueLimits(tournaments=1, matches=3))
    assert [link.tournament_id for link in await played(database, league)] == [made[1].id]


async def test_a_new_league_meets_the_same_limits(database: "PostgresDatabase", ana: MemberId) -> None:
    made = [await make_tournament(database, matches=3) for _ in range(2)]
    ids = [each.id for each in made]
    with pytest.raises(Refused) as refused:
        await leagues.create(database, ana, "Office", None, ids, "r1", limits=LeagueLimits(matches=5))
    assert [(fault.code, fault.field) for fault in refused.value.faults] == [("LIMIT_REACHED", ("tournamentIds",))]
    await leagues.create(database, ana, "Office", None, ids, "r1", limits=LeagueLimits(matches=6))


async def test_only_its_admins_change_what_a_league_plays(
    database: "PostgresDatabase", made: MadeTournament, ana: MemberId
) -> None:
    bob, eve = await make_members(database, 2)
    league = await make_league(database, "Office", ana, members=[bob])
    for member, error in ((bob, Forbidden), (eve, NotFound)):
        with pytest.raises(error):
            await add(database, member, league, made.id)
        with pytest.raises(error):
            await links.remove(database, member, league, made.id, "r1")
    with pytest.raises(NotFound) as refused:
        await add(database, ana, league, TournamentId(new_id()))
    assert refused.value.field == ("tournamentId",)
    assert await acts(database) == []


# ---------------------------------------------------------------- at once


async def test_who_joins_while_a_tournament_is_taken_up_joins_it_too(
    database: "PostgresDatabase", made: MadeTournament, ana: MemberId
) -> None:
    bob = await make_member(database, "Bob")
    league = await make_league(database, "Office", ana)
    code = (await invites.create(database, ana, league, LeagueRole.MEMBER, None, None, "r1")).code
    async with database.begin() as connection:
        await lock_league(connection, league)
        both = asyncio.gather(leagues.join(database, bob, code, "r1"), add(database, ana, league, made.id))
        await until_one_waits(database)
    await both
    assert await joined(database, made.id) == {ana, bob}


async def test_a_tournament_that_ends_meanwhile_is_found_ended(
    database: "PostgresDatabase", made: MadeTournament, ana: MemberId
) -> None:
    league = await make_league(database, "Office", ana)
    ended = TournamentChange(status=TournamentStatus.COMPLETED)
    for _ in range(5):
        await asyncio.gather(
            add(database, ana, league, made.id),
            commands.update(database, made.id, ended, actor_id=None, reason="It is over.", request_id="r1"),
        )
    assert [link.status for link in await played(database, league)] == [COMPLETED]


@pytest.mark.parametrize("how", ["add", "create"])
async def test_a_tournament_is_taken_up_while_the_version_of_its_board_is_raised(
    database: "PostgresDatabase", made: MadeTournament, ana: MemberId, how: str
) -> None:
    """Each wants the tournament and what tells of its members: in two orders they would wait for each other."""
    league = await make_league(database, "Office", ana)
    async with database.begin() as connection:
        await members_changed(connection, [made.id])
    async with database.begin() as connection:
        await connection.execute(update(outbox).values(not_before=func.clock_timestamp() - timedelta(seconds=1)))
    async with database.begin() as connection:  # the league has the tournament, and waits
        await (lock_league(connection, league) if how == "add" else lock_member(connection, ana))
        if how == "add":
            taking = asyncio.create_task(add(database, ana, league, made.id))
        else:
            taking = asyncio.create_task(leagues.create(database, ana, "Friends", None, [made.id], "r1"))
        await until_one_waits(database)
        raising = asyncio.create_task(raise_boards_once(database))
        await until_one_waits(database, 2)
    assert (await asyncio.gather(taking, raising))[1] is True
    assert await joined(database, made.id) == {ana}
    async with database.read() as connection:
        assert (await connection.execute(select(tournaments.c.board_version))).scalar_one() == 1
    assert not await raise_boards_once(database)


async def test_two_leagues_of_the_same_members_take_a_tournament_up(
    database: "PostgresDatabase", made: MadeTournament
) -> None:
    """Both enter the same members: in two orders they would wait for each other."""
    first, middle, last = await make_members(database, 3)
    ids = [
        await make_league(database, "There", first, members=[middle, last]),
        await make_league(database, "And back", last, members=[middle, first]),
    ]
    async with database.begin() as connection:
        await connection.execute(text("ANALYZE league_members"))  # so small a table is read in the order of entry
    async with database.begin() as connection:
        await connection.execute(insert(tournament_members).values(tournament_id=made.id, member_id=middle))
        asked = [add(database, founder, league, made.id) for founder, league in zip((first, last), ids, strict=True)]
        both = asyncio.gather(*asked)
        await until_one_waits(database, 2)
    await both
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(tournament_members))).scalar_one() == 3


async def move(database: "PostgresDatabase", made: MadeTournament, *statuses: TournamentStatus) -> None:
    """By an admin."""
    for status in statuses:
        change = TournamentChange(status=status)
        await commands.update(database, made.id, change, actor_id=None, reason="So it is.", request_id="r1")


@pytest.mark.parametrize("away", [TournamentStatus.CANCELLED, TournamentStatus.UPCOMING])
@pytest.mark.parametrize("back", [TournamentStatus.ACTIVE, TournamentStatus.COMPLETED])
async def test_what_a_league_stopped_stays_stopped_when_the_tournament_is_taken_back_and_goes_on(
    database: "PostgresDatabase", ana: MemberId, away: TournamentStatus, back: TournamentStatus
) -> None:
    made = await make_tournament(database, matches=1, status=TournamentStatus.UPCOMING)
    stopping, playing, later, again = [await make_league(database, f"League {n}", ana) for n in range(4)]
    for league in (stopping, playing, again):
        await add(database, ana, league, made.id)
    await move(database, made, TournamentStatus.ACTIVE)
    for league in (stopping, again):
        await links.update(database, ana, league, made.id, LinkChange(status=UPCOMING), "r1")

    await move(database, made, away)
    await add(database, ana, later, made.id)
    await links.remove(database, ana, again, made.id, "r1")
    await add(database, ana, again, made.id)
    await move(database, made, back)

    found = {league: (await played(database, league))[0].status for league in (stopping, playing, later, again)}
    goes_on = LeagueTournamentStatus(back.value)
    assert found == {stopping: UPCOMING, playing: goes_on, later: goes_on, again: goes_on}


async def test_what_nobody_stopped_begins_with_a_tournament_that_was_cancelled_before(
    database: "PostgresDatabase", ana: MemberId
) -> None:
    made = await make_tournament(database, matches=1, status=TournamentStatus.UPCOMING)
    league = await make_league(database, "Office", ana)
    await add(database, ana, league, made.id)
    await move(database, made, TournamentStatus.CANCELLED, TournamentStatus.ACTIVE)
    assert [link.status for link in await played(database, league)] == [ACTIVE]


# ---------------------------------------------------------------- boards


async def test_a_total_adds_up_what_counts_each_under_its_own_ruleset(
    database: "PostgresDatabase", valkey: "Redis", presets: dict[str, RulesetId]
) -> None:
    made = [await make_tournament(database, matches=2) for _ in range(3)]
    members = await make_members(database, 4, joins=made)
    league = await make_league(database, "Office", members[0], members=members[1:])
    codes = ("default", "kicktipp", "exact-bonus")
    for tournament, code in zip(made, codes, strict=True):
        await add(database, members[0], league, tournament.id, ruleset_id=presets[code])
        for number, member in enumerate(members):
            await put_guess(database, tournament, tournament.matches[0], member, number, 1)
        await pass_lock(database, tournament.matches[0])
        await play(database, tournament.matches[0], 2, 1)

    async def points(*expected: int) -> None:
        """Of the four members, from the database and from the projection, as by SQL and by hand."""
        for boards in (Boards(database, None, utc_now), await projected(database, valkey, *(m.id for m in made))):
            board = await boards.open(BoardKey(league_id=league))
            assert board is not None
            rows = await walk(board, 3)
            assert places(rows) == await ranked_by_sql(database, league_id=league)
            assert [next(row.points for row in rows if row.member_id == member) for member in members] == list(expected)

    # Guesses 0-1, 1-1, 2-1 and 3-1 for a 2-1: nothing; the away goals; all; outcome and away goals.
    await points(0, 0, 3 + 4 + 5, 3 + 2 + 3)
    await links.update(database, members[0], league, made[1].id, LinkChange(status=COMPLETED), "r1")
    await points(0, 0, 12, 8)
    await links.update(database, members[0], league, made[2].id, LinkChange(status=UPCOMING), "r1")
    await points(0, 0, 7, 5)
    await links.remove(database, members[0], league, made[0].id, "r1")
    await points(0, 0, 4, 2)
    await add(database, members[0], league, made[0].id)
    await points(0, 0, 7, 5)


async def test_an_earlier_total_keeps_what_was_given_up_since(
    database: "PostgresDatabase", made: MadeTournament
) -> None:
    members = await make_members(database, 2, joins=[made])
    league = await make_league(database, "Office", members[0], members=members[1:])
    await add(database, members[0], league, made.id)
    await put_guess(database, made, made.matches[0], members[1], 2, 1)
    await pass_lock(database, made.matches[0])
    await play(database, made.matches[0], 2, 1)
    boards = Boards(database, None, utc_now)
    before = await boards.open(BoardKey(league_id=league))
    assert before is not None
    then = before.head.computed_at

    await links.remove(database, members[0], league, made.id, "r1")

    now, past = (
        await boards.open(BoardKey(league_id=league)),
        await boards.open(BoardKey(league_id=league), as_of=AtTime(then + timedelta(microseconds=1))),
    )
    assert now is not None
    assert past is not None
    assert now.head.version > before.head.version
    assert [row.points for row in await walk(now, 5)] == [0, 0]
    assert [(row.member_id, row.points) for row in await walk(past, 5)] == [(members[1], 3), (members[0], 0)]
    assert await boards.open(BoardKey(league_id=league, tournament_id=made.id)) is None


async def test_an_earlier_total_leaves_out_what_was_given_up_at_that_time(
    database: "PostgresDatabase", made: MadeTournament
) -> None:
    members = await make_members(database, 2, joins=[made])
    league = await make_league(database, "Office", members[0], members=members[1:])
    await put_guess(database, made, made.matches[0], members[1], 2, 1)
    await pass_lock(database, made.matches[0])
    await play(database, made.matches[0], 2, 1)
    boards, total = Boards(database, None, utc_now), BoardKey(league_id=league)
    stood: dict[datetime, list[RankedRow]] = {}

    for number in range(7):
        if number % 2:
            await links.remove(database, members[0], league, made.id, "r1")
        else:
            await add(database, members[0], league, made.id)
        board = await boards.open(total)
        assert board is not None
        stood[await database_now(database)] = await walk(board, 5)

    assert [rows[0].points for rows in stood.values()] == [3, 0, 3, 0, 3, 0, 3]
    for at, rows in stood.items():
        past = await boards.open(total, as_of=AtTime(at))
        assert past is not None
        assert await walk(past, 5) == rows
        assert (past.head.settled_matches, past.head.matches) == ((1, 2) if rows[0].points else (0, 0))
