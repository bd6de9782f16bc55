"""Boards: one answer from the projection and from the database, against a ranking by SQL window functions."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import Select, func, select, text, update

from domain.clock import utc_now
from domain.ids import LeagueId, MatchId, MemberId, RoundId, TournamentId, new_id
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import BoardHead, BoardKey, BoardSource
from domain.leaderboard.projector import project
from domain.leaderboard.rules import pack_row
from domain.leaderboard.score_table import Stamp
from domain.leaderboard.service import Boards
from domain.league.tables import league_members, league_tournaments, leagues
from domain.match.model import Goals, MatchStatus
from domain.member.tables import installation
from domain.settlement.service import settle
from domain.tournament import service as tournament_service
from domain.tournament.model import TournamentMode
from domain.tournament.store import raise_versions
from domain.tournament.tables import rounds, tournaments
from integrations.valkey.projection import ValkeyProjection, key
from integrations.valkey.ticks import TICKS
from tests.support.boards import ids_of, places, projected, ranked_by_sql, walk, walk_back
from tests.support.football import (
    MadeTournament,
    join,
    make_league,
    make_member,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
    set_match,
)
from tests.support.settlement import accept, assert_balanced, is_right, play, settle_queued, void

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(120)
WEIGHTS = {"default": (3, 0, 0, 0, 0), "kicktipp": (2, 1, 0, 0, 1), "exact-bonus": (3, 0, 0, 0, 2)}


async def season(
    database: "PostgresDatabase",
    *,
    members: int = 25,
    matches: int = 8,
    settled: int = 5,
    seed: int = 1,
    ruleset: str = "kicktipp",
    mode: TournamentMode = TournamentMode.REGULAR_SEASON,
    joins: Sequence[MemberId] = (),
) -> tuple[MadeTournament, list[MemberId], dict[MatchId, Goals]]:
    """Two rounds, guesses of everyone for most matches, some matches settled, with many members level."""
    chance = random.Random(seed)
    made = await make_tournament(database, matches=matches, rounds=2, ruleset=ruleset, mode=mode)
    found = await make_members(database, members, joins=[made])
    if joins:
        await join(database, made.id, joins)
    given = [
        (match_id, member_id, chance.randrange(3), chance.randrange(3))
        for match_id in made.matches
        for member_id in (*found, *joins)
        if chance.random() < 0.8
    ]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches)
    results = {}
    for match_id in made.matches[:settled]:
        results[match_id] = Goals(chance.randrange(3), chance.randrange(3))
        await play(database, match_id, *results[match_id])
    return made, found, results


async def opened(boards: Boards, **names: TournamentId | LeagueId | RoundId) -> OpenBoard:
    board = await boards.open(BoardKey(**names))
    assert board is not None
    return board


async def assert_reads_alike(one: OpenBoard, other: OpenBoard) -> None:
    """Every way of reading every member gives the same row from both."""
    rows = await walk(one, 50)
    assert rows == await walk(other, 50)
    for size in (1, 2, 7):
        assert await walk(one, size) == rows == await walk(other, size)
        assert await walk_back(one, size) == rows == await walk_back(other, size)
    for board in (one, other):
        assert await board.window(10) == rows[:10]
        for row in rows:
            assert await board.row_of(row.member_id) == row
            assert await board.around(row.member_id, 2) == rows[max(row.position - 3, 0) : row.position + 2]


def same_numbers(one: BoardHead, other: BoardHead) -> bool:
    names = ("key", "epoch", "version", "settled_version", "settled_matches", "matches", "pending_matches", "members")
    return all(getattr(one, name) == getattr(other, name) for name in names)


# ---------------------------------------------------------------- tournaments


async def test_a_tournaments_board_is_the_same_from_both_sources_and_from_sql(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, found, _ = await season(database)
    in_valkey = await opened(await projected(database, valkey, made.id), tournament_id=made.id)
    in_database = await opened(Boards(database, None, utc_now), tournament_id=made.id)

    assert in_valkey.head.source is BoardSource.PROJECTION
    assert in_database.head.source is BoardSource.DATABASE
    assert same_numbers(in_valkey.head, in_database.head)
    await assert_reads_alike(in_valkey, in_database)
    expected = await ranked_by_sql(database, tournament_id=made.id)
    assert places(await walk(in_valkey, 50)) == expected
    assert len(expected) == len(found)
    assert len({place[2] for place in expected}) < len(found), "the season must have members who are level"
    await assert_balanced(database, made.id)


async def test_points_are_those_of_the_guesses(database: "PostgresDatabase", valkey: Redis) -> None:
    made, found, results = await season(database, ruleset="exact-bonus")

    rows = await walk(await opened(await projected(database, valkey, made.id), tournament_id=made.id), 50)

    points = dict.fromkeys(found, 0)
    async with database.read() as connection:
        guesses = await connection.execute(text("SELECT match_id, member_id, home, away FROM guesses"))
        for guess in guesses:
            if guess.match_id in results:
                right = is_right(Goals(guess.home, guess.away), results[guess.match_id])
                points[guess.member_id] += sum(
                    weight for weight, fact in zip(WEIGHTS["exact-bonus"], right, strict=True) if fact
                )
    assert {row.member_id: row.points for row in rows} == points


async def test_the_head_counts_matches_and_void_ones_nowhere(database: "PostgresDatabase", valkey: Redis) -> None:
    made, _, _ = await season(database, matches=8, settled=4)
    await set_match(database, made.matches[5], status=MatchStatus.ENDED)
    await void(database, made.matches[6])
    await void(database, made.matches[0])
    await accept(database, made.matches[7], 1, 1)
    async with database.begin() as connection:
        await settle(connection, made.matches[0], None)

    head = (await opened(await projected(database, valkey, made.id), tournament_id=made.id)).head

    assert (head.settled_matches, head.matches, head.pending_matches) == (3, 6, 2)
    assert (head.settled_version, head.staleness_ms, head.members) == (5, 0, 25)


async def test_guessed_matches_are_counted_of_settled_ones(database: "PostgresDatabase", valkey: Redis) -> None:
    made, found, results = await season(database)
    await void(database, next(iter(results)))
    await settle_queued(database)
    board = await opened(await projected(database, valkey, made.id), tournament_id=made.id)
    counted = await board.guessed_matches(found)

    settled = list(results)[1:]
    async with database.read() as connection:
        for member_id in found:
            statement = text("SELECT count(*) FROM guesses WHERE member_id = :member AND match_id = ANY(:matches)")
            values = {"member": member_id, "matches": settled}
            assert counted[member_id] == (await connection.execute(statement, values)).scalar_one()
    assert await board.guessed_matches([MemberId(new_id())]) != {}


async def test_guessed_matches_are_those_of_the_version_shown(database: "PostgresDatabase", valkey: Redis) -> None:
    made, found, _ = await season(database)
    league = await make_league(database, "League", found[0], plays=[made])
    names: Any = ({"tournament_id": made.id}, {"league_id": league}, {"round_id": made.rounds[1]})
    boards = await projected(database, valkey, made.id)
    shown = [await opened(boards, **name) for name in names]
    counted = [await board.guessed_matches(found) for board in shown]
    await play(database, made.matches[7], 1, 1)

    assert [await board.guessed_matches(found) for board in shown] == counted
    for name, before in zip(names, counted, strict=True):
        after = await (await opened(boards, **name)).guessed_matches(found)
        assert sum(after.values()) > sum(before.values())


async def test_guessed_matches_of_a_round_are_its_own_though_both_boards_are_asked_at_once(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, found, _ = await season(database)
    boards = await projected(database, valkey, made.id)
    shown = [await opened(boards, tournament_id=made.id), await opened(boards, round_id=made.rounds[0])]
    one_by_one = [await board.guessed_matches(found) for board in shown]

    assert sum(one_by_one[0].values()) > sum(one_by_one[1].values())
    assert await asyncio.gather(*(board.guessed_matches(found) for board in shown)) == one_by_one
    assert await asyncio.gather(*(board.guessed_matches(found) for board in shown[::-1])) == one_by_one[::-1]


async def test_the_source_is_where_a_board_was_read_though_that_is_gone_since(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, _, _ = await season(database)
    boards = await projected(database, valkey, made.id)
    source, computed_at, rows = await top(boards, made.id)
    await valkey.flushall()

    assert await top(boards, made.id) == (BoardSource.PROJECTION, computed_at, rows)
    other = await top(Boards(database, ValkeyProjection(valkey), utc_now), made.id)
    assert (source, other[0], other[2]) == (BoardSource.PROJECTION, BoardSource.DATABASE, rows)
    await play(database, made.matches[7], 1, 1)
    assert (await top(boards, made.id))[0] is BoardSource.DATABASE


async def top(boards: Boards, tournament_id: TournamentId) -> tuple[BoardSource, datetime, Any]:
    """What a stream shows: source, when it was computed, and the first rows."""
    board = await boards.follow(BoardKey(tournament_id=tournament_id))
    assert board is not None
    members, numbers = await board.numbers(50)
    return board.head.source, board.head.computed_at, (members, numbers.tolist())


async def test_a_board_without_members_is_empty(database: "PostgresDatabase", valkey: Redis) -> None:
    made = await make_tournament(database, matches=1)
    for boards in (await projected(database, valkey, made.id), Boards(database, None, utc_now)):
        board = await opened(boards, tournament_id=made.id)
        page = await board.page(first=10)
        assert (page.rows, page.total, page.has_next, page.has_previous) == ((), 0, False, False)
        assert await board.row_of(MemberId(new_id())) is None


async def test_members_without_points_are_on_the_board(database: "PostgresDatabase", valkey: Redis) -> None:
    made = await make_tournament(database, matches=1)
    found = await make_members(database, 3, joins=[made])

    rows = await walk(await opened(await projected(database, valkey, made.id), tournament_id=made.id), 50)

    assert [(row.member_id, row.position, row.rank, row.tied, row.points) for row in rows] == [
        (member_id, n, 1, 3, 0) for n, member_id in enumerate(sorted(found), start=1)
    ]


# ---------------------------------------------------------------- which boards there are


async def test_boards_that_do_not_exist(database: "PostgresDatabase") -> None:
    made, found, _ = await season(database, members=3, matches=2, settled=0)
    other = await make_tournament(database, matches=1)
    league_id = await make_league(database, "Friends", found[0], plays=[made])
    boards = Boards(database, None, utc_now)

    missing = [
        BoardKey(tournament_id=TournamentId(new_id())),
        BoardKey(league_id=LeagueId(new_id())),
        BoardKey(round_id=RoundId(new_id())),
        BoardKey(league_id=league_id, tournament_id=other.id),
        BoardKey(league_id=league_id, round_id=other.rounds[0]),
        BoardKey(tournament_id=other.id, round_id=made.rounds[0]),
    ]
    assert [await boards.open(key) for key in missing] == [None] * len(missing)
    async with database.begin() as connection:
        await connection.execute(update(leagues).values(deleted_at=func.clock_timestamp()))
    assert await boards.open(BoardKey(league_id=league_id)) is None
    assert await boards.versions([BoardKey(league_id=league_id), *missing[:3]]) == {}


async def test_a_round_names_its_tournament(database: "PostgresDatabase") -> None:
    made, found, _ = await season(database, members=3, matches=2, settled=0)
    league_id = await make_league(database, "Friends", found[0], plays=[made])
    boards = Boards(database, None, utc_now)

    board = await opened(boards, round_id=made.rounds[1])
    in_league = await opened(boards, league_id=league_id, round_id=made.rounds[1])

    assert board.head.key == BoardKey(tournament_id=made.id, round_id=made.rounds[1])
    assert in_league.head.key == BoardKey(league_id, made.id, made.rounds[1])


# ---------------------------------------------------------------- leagues


async def two_seasons(
    database: "PostgresDatabase",
) -> tuple[LeagueId, list[MadeTournament], list[MemberId], MemberId]:
    """A league of 20 and a viewer, in two tournaments under different rulesets; each has players outside the league."""
    one, found, _ = await season(database, members=21, seed=1, ruleset="kicktipp")
    two, _, _ = await season(database, members=9, seed=2, ruleset="exact-bonus", joins=found)
    league_id = await make_league(
        database, "Friends", found[0], members=found[1:20], viewers=[found[20]], plays=[one, two]
    )
    return league_id, [one, two], found[:20], found[20]


async def test_a_leagues_total_adds_its_tournaments_each_under_its_ruleset(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    league_id, made, found, viewer = await two_seasons(database)
    in_valkey = await opened(await projected(database, valkey, *(one.id for one in made)), league_id=league_id)
    in_database = await opened(Boards(database, None, utc_now), league_id=league_id)

    assert in_valkey.head.source is BoardSource.PROJECTION
    assert in_database.head.source is BoardSource.DATABASE
    assert same_numbers(in_valkey.head, in_database.head)
    assert (in_valkey.head.settled_version, in_valkey.head.matches, in_valkey.head.settled_matches) == (None, 16, 10)
    await assert_reads_alike(in_valkey, in_database)
    rows = await walk(in_valkey, 50)
    assert places(rows) == await ranked_by_sql(database, league_id=league_id)
    assert sorted(ids_of(rows)) == sorted(found)
    assert await in_valkey.row_of(viewer) is None


async def test_links_that_do_not_count_add_nothing_and_keep_the_version(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    league_id, (one, two), _, _ = await two_seasons(database)
    boards = await projected(database, valkey, one.id, two.id)
    before = (await opened(boards, league_id=league_id)).head.version
    for values in ({"status": "UPCOMING"}, {"status": "ACTIVE", "removed_at": func.clock_timestamp()}):
        async with database.begin() as connection:
            link = update(league_tournaments).where(league_tournaments.c.tournament_id == two.id)
            await connection.execute(link.values(values))
            await connection.execute(update(leagues).values(board_version=leagues.c.board_version + 1))
        for reader in (boards, Boards(database, None, utc_now)):
            board = await opened(reader, league_id=league_id)
            assert places(await walk(board, 50)) == await ranked_by_sql(database, league_id=league_id)
            assert board.head.version > before
            assert board.head.matches == 8
        before = board.head.version
    assert await boards.open(BoardKey(league_id=league_id, tournament_id=two.id)) is None


async def test_a_leagues_board_in_one_tournament(database: "PostgresDatabase", valkey: Redis) -> None:
    league_id, (one, two), found, _ = await two_seasons(database)
    boards = await projected(database, valkey, one.id, two.id)

    board = await opened(boards, league_id=league_id, tournament_id=two.id)

    whole = {place[0]: place[5:] for place in await ranked_by_sql(database, tournament_id=two.id)}
    rows = await walk(board, 50)
    assert {place[0]: place[5:] for place in places(rows)} == {member: whole[member] for member in found}
    await assert_reads_alike(
        board, await opened(Boards(database, None, utc_now), league_id=league_id, tournament_id=two.id)
    )
    assert board.head.settled_version == 5


async def test_who_left_is_off_the_board_and_who_joins_is_on_it(database: "PostgresDatabase", valkey: Redis) -> None:
    league_id, (one, two), found, viewer = await two_seasons(database)
    boards = await projected(database, valkey, one.id, two.id)
    await opened(boards, league_id=league_id)
    async with database.begin() as connection:
        leaves = update(league_members).where(league_members.c.member_id == found[5])
        await connection.execute(leaves.values(left_at=func.clock_timestamp(), left_cause="LEFT"))
        plays = update(league_members).where(league_members.c.member_id == viewer)
        await connection.execute(plays.values(role="MEMBER"))
        await connection.execute(update(leagues).values(board_version=leagues.c.board_version + 1))

    for reader in (boards, Boards(database, None, utc_now)):
        rows = await walk(await opened(reader, league_id=league_id), 50)
        assert sorted(ids_of(rows)) == sorted({*found, viewer} - {found[5]})


async def test_a_league_that_plays_nothing_ranks_its_members_at_zero(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    founder = await make_member(database, "Founder")
    league_id = await make_league(database, "Friends", founder)
    for boards in (await projected(database, valkey), Boards(database, None, utc_now)):
        board = await opened(boards, league_id=league_id)
        assert [(row.member_id, row.points, row.rank) for row in await walk(board, 5)] == [(founder, 0, 1)]
        assert await board.movement(await board.window(5)) == {founder: None}
        assert await board.guessed_matches([founder]) == {founder: 0}


# ---------------------------------------------------------------- rounds


async def test_a_rounds_board_is_the_fold_of_its_matches(database: "PostgresDatabase") -> None:
    made, found, results = await season(database)
    league_id = await make_league(database, "Friends", found[0], members=found[1:10], plays=[made])
    boards = Boards(database, None, utc_now)

    for round_id, matches_of_round in ((made.rounds[0], made.matches[::2]), (made.rounds[1], made.matches[1::2])):
        of_round = {match_id: goals for match_id, goals in results.items() if match_id in matches_of_round}
        expected = await _points(database, of_round, found)
        board = await opened(boards, tournament_id=made.id, round_id=round_id)
        rows = await walk(board, 50)
        assert {row.member_id: row.points for row in rows} == expected
        assert (board.head.settled_matches, board.head.matches) == (len(of_round), 4)
        assert board.head.source is BoardSource.DATABASE
        assert set((await board.movement(rows)).values()) == {None}
        in_league = await walk(await opened(boards, league_id=league_id, round_id=round_id), 50)
        assert {row.member_id: row.points for row in in_league} == {member: expected[member] for member in found[:10]}


async def test_a_match_counts_in_its_present_round(database: "PostgresDatabase") -> None:
    made, found, results = await season(database, settled=1)
    boards = Boards(database, None, utc_now)
    await opened(boards, round_id=made.rounds[1])
    await set_match(database, made.matches[0], round_id=made.rounds[1])
    async with database.begin() as connection:
        await raise_versions(connection, made.id, board=True, matches=True)

    first = await walk(await opened(boards, round_id=made.rounds[0]), 50)
    second = await walk(await opened(boards, round_id=made.rounds[1]), 50)

    assert {row.points for row in first} == {0}
    assert {row.member_id: row.points for row in second} == await _points(database, results, found)


async def _points(
    database: "PostgresDatabase", results: dict[MatchId, Goals], members: Sequence[MemberId]
) -> dict[MemberId, int]:
    """Points under `kicktipp`, in plain Python."""
    points = dict.fromkeys(members, 0)
    async with database.read() as connection:
        for guess in await connection.execute(text("SELECT match_id, member_id, home, away FROM guesses")):
            if guess.match_id in results:
                right = is_right(Goals(guess.home, guess.away), results[guess.match_id])
                points[guess.member_id] += sum(w for w, fact in zip(WEIGHTS["kicktipp"], right, strict=True) if fact)
    return points


# ---------------------------------------------------------------- movement


async def begin_round(database: "PostgresDatabase", round_id: RoundId, made: MadeTournament) -> None:
    """Make a round the current one, as ingestion does."""
    version = select(tournaments.c.settled_version).where(tournaments.c.id == made.id).scalar_subquery()
    async with database.begin() as connection:
        change = update(rounds).where(rounds.c.id == round_id)
        await connection.execute(change.values(baseline_version=version, baseline_at=func.clock_timestamp()))
        current = update(tournaments).where(tournaments.c.id == made.id)
        since = {"movement_version": tournaments.c.settled_version, "movement_at": func.clock_timestamp()}
        await connection.execute(current.values(current_round_id=round_id, **since))
        await raise_versions(connection, made.id, board=True)


async def test_movement_is_against_the_board_when_the_current_round_began(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, found, results = await season(database, settled=3)
    before = {row[0]: row[2] for row in await ranked_by_sql(database, tournament_id=made.id)}
    await begin_round(database, made.rounds[1], made)
    late = await make_member(database, "Late", joins=[made])
    for match_id in made.matches[3:7]:
        await play(database, match_id, 2, 0)
    # A correction of what counted then does not rewrite where everybody stood.
    await play(database, next(iter(results)), 0, 2)

    for boards in (await projected(database, valkey, made.id), Boards(database, None, utc_now)):
        board = await opened(boards, tournament_id=made.id)
        rows = await walk(board, 50)
        movement = await board.movement(rows)
        assert movement == {
            row.member_id: before[row.member_id] - row.rank for row in rows if row.member_id != late
        } | {late: None}
        assert set(movement.values()) - {0, None}
        of_round = await opened(boards, round_id=made.rounds[1])
        assert set((await of_round.movement(await of_round.window(50))).values()) == {None}
    assert len(found) + 1 == len(rows)


async def test_there_is_no_movement_before_any_round_began(database: "PostgresDatabase") -> None:
    made, found, _ = await season(database, settled=2)
    board = await opened(Boards(database, None, utc_now), tournament_id=made.id)
    assert await board.movement(await board.window(50)) == dict.fromkeys(found)


async def test_movement_of_a_leagues_total_is_since_the_round_that_began_last(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    league_id, (one, two), found, _ = await two_seasons(database)
    await begin_round(database, one.rounds[1], one)
    await play(database, one.matches[5], 1, 0)
    before = {row[0]: row[2] for row in await ranked_by_sql(database, league_id=league_id)}
    await begin_round(database, two.rounds[1], two)
    await play(database, two.matches[5], 1, 0)
    await play(database, one.matches[6], 0, 1)

    for boards in (await projected(database, valkey, one.id, two.id), Boards(database, None, utc_now)):
        board = await opened(boards, league_id=league_id)
        rows = await walk(board, 50)
        assert await board.movement(rows) == {row.member_id: before[row.member_id] - row.rank for row in rows}
    assert len(rows) == len(found)


async def test_a_round_of_a_tournament_that_does_not_count_moves_nobody_in_a_leagues_total(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    league_id, (one, two), _, _ = await two_seasons(database)
    async with database.begin() as connection:
        link = update(league_tournaments).where(league_tournaments.c.tournament_id == two.id)
        await connection.execute(link.values(status="UPCOMING"))
    await begin_round(database, one.rounds[1], one)
    before = {row[0]: row[2] for row in await ranked_by_sql(database, league_id=league_id)}
    await play(database, one.matches[5], 1, 0)
    await begin_round(database, two.rounds[1], two)
    await play(database, one.matches[6], 0, 1)

    for boards in (await projected(database, valkey, one.id, two.id), Boards(database, None, utc_now)):
        board = await opened(boards, league_id=league_id)
        rows = await walk(board, 50)
        assert await board.movement(rows) == {row.member_id: before[row.member_id] - row.rank for row in rows}


async def test_who_was_not_in_the_league_then_has_not_moved(database: "PostgresDatabase") -> None:
    league_id, (one, _), found, _ = await two_seasons(database)
    await begin_round(database, one.rounds[1], one)
    (newcomer,) = await make_members(database, 1, joins=[one])
    async with database.begin() as connection:
        await connection.execute(
            league_members.insert().values(id=new_id(), league_id=league_id, member_id=newcomer, role="MEMBER")
        )
        await connection.execute(update(leagues).values(board_version=leagues.c.board_version + 1))
    board = await opened(Boards(database, None, utc_now), league_id=league_id)

    movement = await board.movement(await walk(board, 50))

    assert movement.pop(newcomer) is None
    assert None not in [movement[member_id] for member_id in found]


# ---------------------------------------------------------------- versions and pages


async def test_versions_are_the_sums_of_what_a_board_depends_on(database: "PostgresDatabase") -> None:
    league_id, (one, two), _, _ = await two_seasons(database)
    boards = Boards(database, None, utc_now)
    keys = [
        BoardKey(tournament_id=one.id),
        BoardKey(league_id=league_id),
        BoardKey(league_id=league_id, tournament_id=two.id),
        BoardKey(tournament_id=one.id, round_id=one.rounds[0]),
        BoardKey(league_id, one.id, one.rounds[0]),
    ]

    found = await boards.versions(keys)

    assert found == {key: (await opened(boards, **_names(key))).head.version for key in keys}
    before = found[keys[1]]
    async with database.begin() as connection:
        await raise_versions(connection, two.id, board=True)
        await connection.execute(update(leagues).values(board_version=leagues.c.board_version + 10))
    after = await boards.versions(keys)
    assert [after[key] - found[key] for key in keys] == [0, 11, 11, 0, 10]
    assert after[keys[1]] == before + 11
    assert await boards.versions([]) == {}


def _names(key: BoardKey) -> dict[str, TournamentId | LeagueId | RoundId]:
    names = {"league_id": key.league_id, "tournament_id": key.tournament_id, "round_id": key.round_id}
    return {name: value for name, value in names.items() if value is not None}


async def test_a_cursor_continues_behind_its_place_and_tells_that_the_board_moved(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, _, _ = await season(database)
    boards = await projected(database, valkey, made.id)
    page = await (board := await opened(boards, tournament_id=made.id)).page(first=7)
    cursor = (board.head.version, pack_row(page.rows[-1]), page.rows[-1].member_id)
    await play(database, made.matches[6], 1, 1)
    await project(database, ValkeyProjection(valkey), made.id)

    for reader in (boards, Boards(database, None, utc_now)):
        board = await opened(reader, tournament_id=made.id)
        behind = await board.page(first=50, after=cursor)
        everyone = await walk(board, 50)
        place = (-cursor[1], cursor[2].bytes)
        assert list(behind.rows) == [row for row in everyone if (-pack_row(row), row.member_id.bytes) > place]
        assert (behind.board_moved, behind.total, behind.has_next) == (True, 25, False)


# ---------------------------------------------------------------- the projection is not what it should be


async def test_a_cursor_tells_of_somebody_who_joins_before_any_version_does(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=1)
    newcomer, *others = await make_members(database, 5)  # by id before all who are level
    await join(database, made.id, others)
    one, other = Boards(database, None, utc_now), Boards(database, None, utc_now)
    page = await (board := await opened(one, tournament_id=made.id)).page(first=2)
    place = (board.mark, pack_row(page.rows[-1]), page.rows[-1].member_id)
    await tournament_service.join(database, newcomer, made.id, "request-1")

    found = {}
    for name, boards in {"kept": one, "read anew": other}.items():
        board = await opened(boards, tournament_id=made.id)
        assert board.head.version == 0
        behind = await board.page(first=50, after=place)
        found[name] = (behind.board_moved, [row.position for row in behind.rows])
    assert found == {"kept": (False, [3, 4]), "read anew": (True, [4, 5])}


async def test_a_board_is_answered_from_the_database_while_the_projection_is_behind(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, _, _ = await season(database)
    boards = await projected(database, valkey, made.id)
    await play(database, made.matches[6], 1, 1)

    board = await opened(boards, tournament_id=made.id)

    assert board.head.source is BoardSource.DATABASE
    assert places(await walk(board, 50)) == await ranked_by_sql(database, tournament_id=made.id)
    await project(database, ValkeyProjection(valkey), made.id)
    assert (await opened(boards, tournament_id=made.id)).head.source is BoardSource.PROJECTION


async def test_a_leagues_board_returns_to_the_projection_once_it_is_back(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    league_id, (one, two), _, _ = await two_seasons(database)
    boards = await projected(database, valkey, one.id)
    first = await opened(boards, league_id=league_id)
    await project(database, ValkeyProjection(valkey), two.id)
    second = await opened(boards, league_id=league_id)

    assert [first.head.source, second.head.source] == [BoardSource.DATABASE, BoardSource.PROJECTION]
    await assert_reads_alike(first, second)


async def test_whatever_happened_to_valkey_the_answer_is_the_same(database: "PostgresDatabase", valkey: Redis) -> None:
    made, found, _ = await season(database)
    league_id = await make_league(database, "Friends", found[0], members=found[1:12], plays=[made])

    async def another_epoch() -> None:
        async with database.begin() as connection:
            await connection.execute(update(installation).values(epoch=new_id()))

    for damage in (
        valkey.flushall,
        another_epoch,
        partial(valkey.set, key(made.id, "stamp"), b"what?"),
        partial(valkey.delete, key(made.id, "master_scores"), key(made.id, "facts")),
    ):
        await valkey.flushall()
        boards = await projected(database, valkey, made.id)
        await damage()
        await _assert_falls_back_and_returns(database, valkey, boards, made, league_id)


async def _assert_falls_back_and_returns(
    database: "PostgresDatabase", valkey: Redis, boards: Boards, made: MadeTournament, league_id: LeagueId
) -> None:
    board, in_league = await opened(boards, tournament_id=made.id), await opened(boards, league_id=league_id)

    assert places(await walk(board, 50)) == await ranked_by_sql(database, tournament_id=made.id)
    assert places(await walk(in_league, 50)) == await ranked_by_sql(database, league_id=league_id)
    assert {board.head.source, in_league.head.source} == {BoardSource.DATABASE}
    assert await project(database, ValkeyProjection(valkey), made.id) is not None
    assert (await opened(boards, tournament_id=made.id)).head.source is BoardSource.PROJECTION
    assert (await opened(boards, league_id=league_id)).head.source is BoardSource.PROJECTION


async def test_an_unreachable_valkey_changes_only_the_source(database: "PostgresDatabase") -> None:
    made, _, _ = await season(database)
    async with Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2, retry=None) as client:
        board = await opened(Boards(database, ValkeyProjection(client), utc_now), tournament_id=made.id)
        assert board.head.source is BoardSource.DATABASE
        assert places(await walk(board, 50)) == await ranked_by_sql(database, tournament_id=made.id)


async def test_an_open_board_goes_on_when_its_version_is_gone(database: "PostgresDatabase", valkey: Redis) -> None:
    made, _, _ = await season(database)
    boards = await projected(database, valkey, made.id)
    projection = ValkeyProjection(valkey)
    board, lost = [await opened(boards, tournament_id=made.id) for _ in range(2)]
    version = board.head.version
    await play(database, made.matches[6], 1, 1)
    await project(database, projection, made.id)

    rows = await board.window(50)

    assert places(rows) == await ranked_by_sql(database, tournament_id=made.id)
    assert (board.head.version, board.head.source) == (version + 2, BoardSource.PROJECTION)
    await valkey.flushall()
    assert await lost.window(50) == rows
    assert lost.head.source is BoardSource.DATABASE


class FleetingProjection(ValkeyProjection):
    """Whatever it holds is gone by the time that somebody reads it."""

    async def rows(self, *_: Any, **__: Any) -> None:
        return None


async def test_a_board_whose_versions_are_all_gone_before_they_are_read_comes_from_the_database(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, _, _ = await season(database)
    projection = FleetingProjection(valkey)
    await project(database, projection, made.id)
    board = await opened(Boards(database, projection, utc_now), tournament_id=made.id)
    assert board.head.source is BoardSource.PROJECTION
    await play(database, made.matches[6], 1, 1)
    await project(database, projection, made.id)

    rows = await board.window(50)

    assert places(rows) == await ranked_by_sql(database, tournament_id=made.id)
    assert board.head.source is BoardSource.DATABASE
    assert board.has_moved, "at first, and not at last"


class LateProjection(ValkeyProjection):
    """Something is settled and projected between a reading of the database and the one of the projection."""

    def __init__(self, client: Redis, settle: Callable[[], Awaitable[object]]) -> None:
        super().__init__(client)
        self._settle: Callable[[], Awaitable[object]] | None = settle

    async def stamps(self, tournament_ids: Sequence[TournamentId]) -> dict[TournamentId, Stamp]:
        settle, self._settle = self._settle, None
        if settle is not None:
            await settle()
        return await super().stamps(tournament_ids)


async def test_what_was_settled_and_projected_meanwhile_is_read_from_the_projection(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, _, _ = await season(database)

    async def settle() -> None:
        await play(database, made.matches[6], 1, 1)
        await project(database, ValkeyProjection(valkey), made.id)

    board = await opened(Boards(database, LateProjection(valkey, settle), utc_now), tournament_id=made.id)

    assert board.head.source is BoardSource.PROJECTION
    assert places(await board.window(50)) == await ranked_by_sql(database, tournament_id=made.id)


class WatchedDatabase:
    """A database that counts the snapshots taken of it, fails the first ones, and lets the others wait for a gate."""

    def __init__(self, database: "PostgresDatabase", *, failures: int = 0) -> None:
        self._database = database
        self._failures = failures
        self.snapshots = 0
        self.started = asyncio.Event()
        self.gate = asyncio.Event()

    @asynccontextmanager
    async def snapshot(self, *, of: "AsyncConnection | None" = None) -> "AsyncIterator[AsyncConnection]":
        self.snapshots += 1
        if self.snapshots <= self._failures:
            raise OSError("gone")
        self.started.set()
        await self.gate.wait()
        async with self._database.snapshot(of=of) as connection:
            yield connection

    def begin(self) -> "AbstractAsyncContextManager[AsyncConnection]":
        return self._database.begin()

    def read(self) -> "AbstractAsyncContextManager[AsyncConnection]":
        return self._database.read()

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> list[Any]:
        return await self._database.fetch(statement, values)


class AskedProjection(ValkeyProjection):
    """Counts how often a process asks for a rebuild, whether or not another one has."""

    asked = 0

    async def request_rebuild(self, tournament_id: TournamentId) -> None:
        self.asked += 1
        await super().request_rebuild(tournament_id)


async def test_a_hundred_readers_of_a_missing_board_rank_it_once_and_ask_for_one_rebuild(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, _, _ = await season(database, members=5, matches=2, settled=1)
    watched = WatchedDatabase(database)
    watched.gate.set()
    async with valkey.pubsub() as pubsub:
        await pubsub.subscribe(TICKS)
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
        projection = AskedProjection(valkey)
        boards = Boards(watched, projection, utc_now)

        found = await asyncio.gather(*(opened(boards, tournament_id=made.id) for _ in range(100)))

        rows = [await board.window(5) for board in found]
        assert (await pubsub.get_message(timeout=5))["type"] == "message"
        assert await pubsub.get_message(timeout=0.1) is None
    assert projection.asked == 1
    assert {board.head.source for board in found} == {BoardSource.DATABASE}
    assert all(one == rows[0] for one in rows)
    assert watched.snapshots == 1


async def test_a_failed_computation_is_tried_again_and_a_cancelled_reader_disturbs_nobody(
    database: "PostgresDatabase",
) -> None:
    made, _, _ = await season(database, members=5, matches=2, settled=1)
    watched = WatchedDatabase(database, failures=1)
    boards = Boards(watched, None, utc_now)
    with pytest.raises(OSError, match="gone"):
        await opened(boards, tournament_id=made.id)

    impatient = asyncio.create_task(opened(boards, tournament_id=made.id))
    await watched.started.wait()
    patient = asyncio.create_task(opened(boards, tournament_id=made.id))
    impatient.cancel()
    watched.gate.set()

    assert (await patient).head.members == 5
    assert watched.snapshots == 2


async def test_a_rebuild_is_asked_for_though_the_clock_was_put_back(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, _, _ = await season(database, members=5, matches=2, settled=1)
    projection, now = AskedProjection(valkey), utc_now()
    boards = Boards(database, projection, lambda: now)
    for _ in range(2):
        await opened(boards, tournament_id=made.id)
    now -= timedelta(hours=1)
    for _ in range(2):
        await opened(boards, tournament_id=made.id)

    assert projection.asked == 2


async def test_a_board_whose_version_is_gone_is_ranked_as_it_is_now(database: "PostgresDatabase") -> None:
    made, _, _ = await season(database, members=5, matches=2, settled=1)
    watched = WatchedDatabase(database)
    reader = asyncio.create_task(opened(Boards(watched, None, utc_now), tournament_id=made.id))
    await watched.started.wait()
    async with database.begin() as connection:  # as a restore does
        earlier = update(tournaments).values(board_version=tournaments.c.board_version - 1).returning(tournaments)
        version = (await connection.execute(earlier.where(tournaments.c.id == made.id))).one().board_version
    watched.gate.set()
    async with asyncio.timeout(30):
        board = await reader

    assert (board.head.version, watched.snapshots) == (version, 1)
    assert places(await walk(board, 50)) == await ranked_by_sql(database, tournament_id=made.id)


# ---------------------------------------------------------------- a history


async def test_random_histories_read_alike_everywhere(database: "PostgresDatabase", valkey: Redis) -> None:
    made, found, _ = await season(database, members=15, matches=6, settled=0)
    league_id = await make_league(database, "Friends", found[0], members=found[1:9], plays=[made])
    boards, plain = await projected(database, valkey, made.id), Boards(database, None, utc_now)
    chance, versions = random.Random(3), []
    for _ in range(12):
        match_id = chance.choice(made.matches)
        event = chance.random()
        if event < 0.2:
            await void(database, match_id)
        elif event < 0.3:
            await make_member(database, f"Late {event}", joins=[made])
            async with database.begin() as connection:
                await raise_versions(connection, made.id, board=True)
        else:
            await accept(database, match_id, chance.randrange(3), chance.randrange(3))
        await settle_queued(database)
        if chance.random() < 0.7:
            await project(database, ValkeyProjection(valkey), made.id)
        for names in ({"tournament_id": made.id}, {"league_id": league_id}):
            one, other = await opened(boards, **names), await opened(plain, **names)
            assert same_numbers(one.head, other.head)
            rows = await walk(one, 4)
            assert rows == await walk(other, 7)
            assert places(rows) == await ranked_by_sql(database, **names)
        versions.append(one.head.version)
        await assert_balanced(database, made.id)
    assert versions == sorted(versions)
