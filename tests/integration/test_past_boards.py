"""Boards of earlier moments: as they were recorded then, and as SQL works them out from guesses and results alone."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import Select, func, insert, select, text, update

from domain.clock import utc_now
from domain.errors import InvalidInput, NotFound
from domain.guess.amendment.store import swap_guesses
from domain.guess.tables import tournament_members
from domain.ids import LeagueId, MemberId, RoundId, TournamentId, new_id
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.facts import read_copy
from domain.leaderboard.fold import store as fold
from domain.leaderboard.model import (
    AfterRound,
    AtTime,
    AtVersion,
    BoardHead,
    BoardKey,
    BoardSource,
    Moment,
    PastRound,
    RankedRow,
)
from domain.leaderboard.ranked.store import ranked_members
from domain.leaderboard.rules import pack_row
from domain.leaderboard.service import Boards
from domain.league.tables import league_members, league_tournaments, leagues
from domain.match.tables import matches
from domain.member.tables import members
from domain.scoring.model import ScoreBasis
from domain.settlement.judged.store import keep_judged
from domain.settlement.model import ScoreVersionKind
from domain.settlement.result.service import resettle
from domain.settlement.store import insert_version, raise_settled_version
from domain.settlement.tables import member_scores, score_versions
from domain.tournament.store import raise_versions
from domain.tournament.tables import rounds, tournaments
from tests.integration.test_leaderboard import WatchedDatabase
from tests.support.boards import ids_of, places, projected, ranked_at_version, walk, walk_back
from tests.support.campaign import times
from tests.support.executions import until
from tests.support.football import (
    MadeTournament,
    join,
    make_league,
    make_member,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
)
from tests.support.settlement import accept, assert_balanced, database_now, play, settle_queued, void

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(240)


@dataclass
class Played:
    """A tournament of three rounds with a league in it, of which a part of the members is from outside."""

    database: "PostgresDatabase"
    made: MadeTournament
    league: LeagueId
    found: list[MemberId]
    recorded: dict[int, dict[BoardKey, tuple[BoardHead, list[RankedRow]]]] = field(default_factory=dict)
    boards: Boards = field(init=False)

    def __post_init__(self) -> None:
        self.boards = Boards(self.database, None, utc_now)

    @property
    def keys(self) -> list[BoardKey]:
        made = self.made
        return [
            BoardKey(tournament_id=made.id),
            BoardKey(league_id=self.league, tournament_id=made.id),
            BoardKey(tournament_id=made.id, round_id=made.rounds[0]),
            BoardKey(self.league, made.id, made.rounds[1]),
        ]

    async def open(self, key: BoardKey, moment: Moment | None = None) -> OpenBoard:
        board = await self.boards.open(key, as_of=moment)
        assert board is not None
        return board

    async def record(self) -> None:
        """Keep every board as it stands now."""
        for key in self.keys:
            board = await self.open(key)
            assert board.head.settled_version is not None
            kept = self.recorded.setdefault(board.head.settled_version, {})
            kept[key] = (board.head, await walk(board, 50))

    async def version_at(self, version: int) -> datetime:
        statement = select(score_versions.c.at).where(score_versions.c.version == max(version, 1))
        async with self.database.read() as connection:
            at: datetime = (await connection.execute(statement)).scalar_one()
            return at

    async def begin_round(self, number: int) -> None:
        """A round becomes the current one, as ingestion makes it."""
        round_id = self.made.rounds[number]
        version = select(tournaments.c.settled_version).where(tournaments.c.id == self.made.id).scalar_subquery()
        async with self.database.begin() as connection:
            begun = update(rounds).where(rounds.c.id == round_id)
            await connection.execute(begun.values(baseline_version=version, baseline_at=func.clock_timestamp()))
            current = update(tournaments).where(tournaments.c.id == self.made.id)
            since = {"movement_version": tournaments.c.settled_version, "movement_at": func.clock_timestamp()}
            await connection.execute(current.values(current_round_id=round_id, **since))
            await raise_versions(connection, self.made.id, board=True)

    async def enter(self, member_id: MemberId) -> None:
        async with self.database.begin() as connection:
            row = {"id": new_id(), "league_id": self.league, "member_id": member_id, "role": "MEMBER"}
            await connection.execute(league_members.insert().values(row))
            await connection.execute(update(leagues).values(board_version=leagues.c.board_version + 1))

    async def leave(self, member_id: MemberId) -> None:
        async with self.database.begin() as connection:
            left = update(league_members).where(
                league_members.c.member_id == member_id, league_members.c.left_at.is_(None)
            )
            await connection.execute(left.values(left_at=func.clock_timestamp(), left_cause="LEFT"))
            await connection.execute(update(leagues).values(board_version=leagues.c.board_version + 1))

    async def give_role(self, member_id: MemberId, role: str) -> None:
        """Only a VIEWER is not ranked. Who is not in the league stays out."""
        async with self.database.begin() as connection:
            live = league_members.c.left_at.is_(None)
            given = update(league_members).where(league_members.c.member_id == member_id, live)
            await connection.execute(given.values(role=role))
            await connection.execute(update(leagues).values(board_version=leagues.c.board_version + 1))


async def make_played(database: "PostgresDatabase", seed: int, *, count: int = 16, matches: int = 9) -> Played:
    chance = random.Random(seed)
    made = await make_tournament(database, matches=matches, rounds=3, ruleset="kicktipp")
    found = await make_members(database, count, joins=[made])
    given = [
        (match_id, member_id, chance.randrange(3), chance.randrange(3))
        for match_id in made.matches
        for member_id in found
        if chance.random() < 0.8
    ]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches)
    league = await make_league(
        database, "Friends", found[0], members=found[1 : count // 2], viewers=[found[-1]], plays=[made]
    )
    return Played(database, made, league, found)


async def random_event(played: Played, chance: random.Random) -> None:
    """A result, a correction, a void; or somebody comes or goes."""
    match_id, event = chance.choice(played.made.matches), chance.random()
    if event < 0.15:
        await void(played.database, match_id)
    elif event < 0.25:
        late = await make_member(played.database, f"Late {event}", joins=[played.made])
        await played.enter(late)
    elif event < 0.35:
        await played.leave(chance.choice(played.found[1:]))
    elif event < 0.4:
        outsider = (await make_members(played.database, 1))[0]
        await join(played.database, played.made.id, [outsider])
    elif event < 0.5:
        await played.give_role(chance.choice(played.found[1:]), chance.choice(["VIEWER", "MEMBER"]))
    else:
        await accept(played.database, match_id, chance.randrange(3), chance.randrange(3))
    await settle_queued(played.database)


def same_head(now: BoardHead, then: BoardHead) -> bool:
    names = ("key", "epoch", "settled_version", "settled_matches", "matches", "members")
    return all(getattr(now, name) == getattr(then, name) for name in names)


# ---------------------------------------------------------------- every earlier version


@pytest.mark.parametrize("seed", range(times(2, 4)))
async def test_every_earlier_version_reads_as_it_was_recorded_then(database: "PostgresDatabase", seed: int) -> None:
    played, chance = await make_played(database, seed), random.Random(100 + seed)
    await played.record()
    for _ in range(18):
        before = set(played.recorded)
        await random_event(played, chance)
        present = (await played.open(played.keys[0])).head.settled_version
        if present not in before:
            await played.record()
    assert len(played.recorded) > 8
    assert sorted(played.recorded) == list(range(len(played.recorded)))

    for version, boards in played.recorded.items():
        at = await played.version_at(version)
        for key, (head, rows) in boards.items():
            moments: list[Moment] = [AtVersion(version)]
            if version:
                moments.append(AtTime(at))
            for moment in moments:
                board = await played.open(key, moment)
                found = await walk(board, 7)
                if version:
                    assert found == rows
                    assert same_head(board.head, head)
                assert (board.head.as_of, board.head.pending_matches) == (moment, 0)
                assert board.head.source is BoardSource.DATABASE
                names = {"league_id": key.league_id, "round_id": key.round_id}
                assert places(found) == await ranked_at_version(database, played.made.id, version, at, **names)
    await assert_balanced(database, played.made.id)


async def test_going_back_from_the_present_finds_the_same_facts(database: "PostgresDatabase") -> None:
    played, chance = await make_played(database, 5), random.Random(5)
    for _ in range(12):
        await random_event(played, chance)
    turned = played.made.matches[0]
    await play(database, turned, 2, 1)
    async with database.begin() as connection:
        await keep_judged(connection, turned)
        await swap_guesses(connection, turned)
        await resettle(connection, [turned], request_id="test")
    await settle_queued(database)
    await play(database, played.made.matches[1], 1, 1)
    present = (await played.open(played.keys[0])).head.settled_version
    assert present is not None

    async with database.read() as connection:
        for league_id in (None, played.league):
            asked = (ranked_members(league_id, played.made.id), played.made.id, ScoreBasis.AFTER_EXTRA_TIME)
            are_few, found = league_id is not None, set()
            for version in range(present + 1):
                ids, facts = read_copy(await fold.copy(connection, fold.facts_before(*asked, version, are_few=are_few)))
                wanted = await fold.copy(connection, fold.facts(*asked, version=version, are_few=are_few))
                assert (ids.tolist(), facts.tolist()) == tuple(each.tolist() for each in read_copy(wanted))
                found.add(facts.tobytes())
            assert len(found) > present / 2


async def test_version_0_is_before_any_settlement_with_the_members_of_then(database: "PostgresDatabase") -> None:
    played = await make_played(database, 1)
    nothing = await walk(await played.open(played.keys[0], AtVersion(0)), 50)
    await played.leave(played.found[1])
    late = await make_member(database, "Early", joins=[played.made])
    await play(database, played.made.matches[0], 1, 0)
    too_late = await make_member(database, "Late", joins=[played.made])

    board = await played.open(played.keys[0], AtVersion(0))
    in_league = await played.open(played.keys[1], AtVersion(0))

    rows = await walk(board, 50)
    assert {(row.rank, row.points, row.tied) for row in rows} == {(1, 0, 17)}
    assert ids_of(rows) == sorted([*ids_of(nothing), late])
    assert too_late not in ids_of(rows)
    assert (board.head.settled_version, board.head.settled_matches, board.head.matches) == (0, 0, 9)
    assert ids_of(await walk(in_league, 50)) == sorted([played.found[0], *played.found[2:8]])


async def test_guessed_matches_are_those_settled_then_and_nobody_has_moved(database: "PostgresDatabase") -> None:
    played = await make_played(database, 2)
    await played.begin_round(0)
    counted: dict[int, dict[MemberId, int]] = {}
    await play(database, played.made.matches[0], 1, 0)
    for step in range(1, 5):
        board = await played.open(played.keys[0])
        counted[board.head.settled_version or 0] = await board.guessed_matches(played.found)
        if step == 3:
            await void(database, played.made.matches[0])
            await settle_queued(database)
        else:
            await play(database, played.made.matches[step], 2, 1)

    for version, expected in counted.items():
        board = await played.open(played.keys[0], AtVersion(version))
        assert await board.guessed_matches(played.found) == expected
        assert set((await board.movement(await board.window(50))).values()) == {None}
    assert len({tuple(sorted(found.items())) for found in counted.values()}) == len(counted)


async def test_a_past_board_is_ranked_once_and_again_only_when_it_may_have_changed(
    database: "PostgresDatabase",
) -> None:
    played = await make_played(database, 3)
    await play(database, played.made.matches[0], 1, 0)
    await play(database, played.made.matches[3], 1, 0)
    async with database.begin() as connection:  # an hour ago: nothing from before a version is still to come
        for column in (score_versions.c.at, tournament_members.c.joined_at, league_members.c.joined_at):
            earlier = {column.name: column - timedelta(hours=1)}
            await connection.execute(update(column.table).values(earlier))
    first = await played.open(played.keys[1], AtVersion(1))
    again = await played.open(played.keys[1], AtVersion(1))
    round_board = await played.open(played.keys[2], AtVersion(1))
    assert again.head.computed_at == first.head.computed_at

    async with database.begin() as connection:
        moved = update(matches).where(matches.c.id == played.made.matches[0])
        await connection.execute(moved.values(round_id=played.made.rounds[1]))
        await raise_versions(connection, played.made.id, board=True, matches=True)

    assert (await played.open(played.keys[1], AtVersion(1))).head.computed_at == first.head.computed_at
    after = await played.open(played.keys[2], AtVersion(1))
    assert {row.points for row in await walk(round_board, 50)} != {0}
    assert {row.points for row in await walk(after, 50)} == {0}  # its match counts in its present round
    assert (after.head.settled_matches, after.head.matches) == (0, 2)


async def test_matches_and_history_of_a_kept_past_board_are_those_of_today(database: "PostgresDatabase") -> None:
    played = await make_played(database, 3)
    first, second = played.made.matches[0], played.made.matches[3]
    for number in range(2):
        await played.begin_round(number)
        await play(database, (first, second)[number], 1, 0)
    async with database.begin() as connection:  # an hour ago, as above
        of_members = (tournament_members.c.joined_at, league_members.c.joined_at)
        for column in (score_versions.c.at, rounds.c.baseline_at, tournaments.c.movement_at, *of_members):
            await connection.execute(update(column.table).values({column.name: column - timedelta(hours=1)}))
    kept = await played.open(played.keys[1], AtVersion(2))
    members = [row.member_id for row in await walk(kept, 50)]
    before = await kept.history(members)

    async with database.begin() as connection:
        moved = update(matches).where(matches.c.id == first).values(round_id=played.made.rounds[1])
        await connection.execute(moved)
        last = select(matches).where(matches.c.id == played.made.matches[-1])
        another = dict((await connection.execute(last)).mappings().one()) | {"id": new_id()}
        await connection.execute(insert(matches).values(another))
        await raise_versions(connection, played.made.id, board=True, matches=True)

    again = await played.open(played.keys[1], AtVersion(2))
    other = await Boards(database, None, utc_now).open(played.keys[1], as_of=AtVersion(2))
    assert other is not None
    assert again.head.computed_at == kept.head.computed_at < other.head.computed_at
    assert again.head.matches == other.head.matches == kept.head.matches + 1
    assert await again.history(members) == await other.history(members) != before


class CountingDatabase(WatchedDatabase):
    """Counts the answers too."""

    answers = 0

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> list[Any]:
        found = await super().fetch(statement, values)
        self.answers += 1
        return found


async def test_a_board_read_soon_after_its_moment_is_looked_at_again_by_one_for_all(
    database: "PostgresDatabase",
) -> None:
    played = await make_played(database, 3)
    await play(database, played.made.matches[0], 1, 0)
    watched = CountingDatabase(database)
    played.boards = Boards(watched, None, utc_now)
    opening = [asyncio.create_task(played.open(played.keys[0], AtVersion(1)))]
    await watched.started.wait()
    began = await played.version_at(1)
    age = await database_now(database) - began

    async def is_twice_as_old() -> bool:
        return await database_now(database) - began >= 2 * age

    async def all_wait() -> bool:
        return watched.answers == len(opening)

    await until(is_twice_as_old, within=120)
    opening += [asyncio.create_task(played.open(played.keys[0], AtVersion(1))) for _ in range(20)]
    await until(all_wait, within=120)
    watched.gate.set()
    await asyncio.gather(*opening)

    assert 2 <= watched.snapshots < 10  # on a busy machine twice the time passes more than once


# ---------------------------------------------------------------- rounds and times


async def play_rounds(database: "PostgresDatabase", seed: int = 5) -> tuple[Played, dict[int, list[RankedRow]]]:
    """Three rounds; while each is played somebody comes, goes, watches, or an earlier result is corrected."""
    played, kept = await make_played(database, seed), {}
    made = played.made
    for number in range(3):
        await played.begin_round(number)
        if number:
            kept[number - 1] = await walk(await played.open(played.keys[1]), 50)
        for match_id in made.matches[number::3]:
            await play(database, match_id, number, 1)
        if number == 1:
            await play(database, made.matches[0], 2, 2)
            await played.enter(await make_member(database, "Late", joins=[made]))
            await played.leave(played.found[3])
            await played.give_role(played.found[4], "VIEWER")
        if number == 2:
            await play(database, made.matches[1], 0, 2)
            await void(database, made.matches[3])
            await settle_queued(database)
            await played.enter(played.found[3])
            await played.give_role(played.found[4], "MEMBER")
    kept[2] = await walk(await played.open(played.keys[1]), 50)
    return played, kept


async def test_after_a_round_is_the_board_at_the_switch_to_the_next_or_now(database: "PostgresDatabase") -> None:
    played, kept = await play_rounds(database)
    total = BoardKey(league_id=played.league)

    for number, rows in kept.items():
        moment = AfterRound(played.made.rounds[number])
        for key in (played.keys[1], total):
            board = await played.open(key, moment)
            assert await walk(board, 2) == rows
            assert (board.head.as_of, set((await board.movement(rows)).values())) == (moment, {None})
    assert kept[0] != kept[1] != kept[2]


async def test_history_equals_the_boards_after_each_round(database: "PostgresDatabase") -> None:
    played, kept = await play_rounds(database)
    ranked = {row.member_id for rows in kept.values() for row in rows}
    present = await played.open(played.keys[1])
    history = await present.history(list(ranked))

    boards = {number: {row.member_id: row for row in rows} for number, rows in kept.items()}
    tournament = BoardKey(tournament_id=played.made.id)
    for number, rows in boards.items():
        round_id = played.made.rounds[number]
        of_round = await played.open(BoardKey(tournament_id=played.made.id, round_id=round_id))
        round_points = {row.member_id: row.points for row in await walk(of_round, 50)}
        everyone = await walk(await played.open(tournament, AfterRound(round_id)), 50)
        points = {row.member_id: row.points for row in everyone}
        for member_id in ranked:
            row = rows.get(member_id)
            expected = (round_id, row and row.rank, points.get(member_id, 0), round_points[member_id])
            found = history[member_id][number]
            assert (found.round_id, found.rank, found.points, found.round_points) == expected
    absent = [member_id for member_id, found in history.items() if None in {after.rank for after in found}]
    assert len(absent) == 3
    for back in played.found[3:5]:  # one had left, one had only watched
        assert [after.rank is not None for after in history[back]] == [True, False, True]


async def test_history_of_a_past_board_ends_with_it(database: "PostgresDatabase") -> None:
    played, _ = await play_rounds(database)
    now = await (await played.open(played.keys[1])).history(played.found[:1])
    board = await played.open(played.keys[1], AfterRound(played.made.rounds[1]))

    past = (await board.history(played.found[:1]))[played.found[0]]

    assert [after.round_id for after in past] == list(played.made.rounds)  # round 3 began at that very moment
    whole = now[played.found[0]]
    assert [(after.rank, after.points) for after in past[:2]] == [(after.rank, after.points) for after in whole[:2]]
    assert past[2] == replace(past[1], round_id=played.made.rounds[2], round_points=0)
    earlier = await played.open(played.keys[1], AtVersion(1))
    assert [after.round_id for after in (await earlier.history(played.found[:1]))[played.found[0]]] == [
        played.made.rounds[0]
    ]


async def test_a_round_put_in_between_later_is_passed_over(database: "PostgresDatabase") -> None:
    played, kept = await play_rounds(database)
    first, between, last = played.made.rounds
    async with database.begin() as connection:
        unbegun = update(rounds).where(rounds.c.id == between)
        await connection.execute(unbegun.values(baseline_version=None, baseline_at=None))
        await raise_versions(connection, played.made.id, board=True)
    following = {first: kept[1], between: kept[1], last: kept[2]}

    async def assert_passed_over() -> None:
        member_id = played.found[1]
        for round_id, rows in following.items():
            assert await walk(await played.open(played.keys[1], AfterRound(round_id)), 50) == rows
        history = (await (await played.open(played.keys[1])).history([member_id]))[member_id]
        assert [(after.round_id, after.rank) for after in history] == [
            (round_id, next(row.rank for row in rows if row.member_id == member_id))
            for round_id, rows in following.items()
        ]

    await assert_passed_over()
    async with database.begin() as connection:  # the next switch gives it a beginning, too late
        begun = unbegun.values(baseline_version=len(played.made.matches), baseline_at=func.clock_timestamp())
        await connection.execute(begun)
        await raise_versions(connection, played.made.id, board=True)
    await assert_passed_over()


async def test_members_are_ranked_from_the_instant_of_joining_up_to_that_of_leaving(
    database: "PostgresDatabase",
) -> None:
    played = await make_played(database, 1)
    (late,) = await make_members(database, 1, joins=[played.made])
    await played.enter(late)
    await play(database, played.made.matches[0], 1, 0)
    await played.leave(late)
    async with database.read() as connection:
        of_tournament = select(tournament_members.c.joined_at).where(tournament_members.c.member_id == late)
        entered = (await connection.execute(of_tournament)).scalar_one()
        of_league = select(league_members.c.joined_at, league_members.c.left_at)
        joined, left = (await connection.execute(of_league.where(league_members.c.member_id == late))).one()
    before = timedelta(microseconds=1)
    tournament, league = played.keys[:2]

    for key, at, is_ranked in (
        (tournament, entered - before, False),
        (tournament, entered, True),
        (league, joined - before, False),
        (league, joined, True),
        (league, left - before, True),
        (league, left, False),
    ):
        board = await played.open(key, AtTime(at))
        assert (late in ids_of(await walk(board, 50))) is is_ranked, (key, at)
        if key == league:
            (after,) = (await board.history([late]))[late]
            assert (after.rank is not None) is is_ranked


async def test_only_the_board_of_a_league_in_a_tournament_has_a_history(database: "PostgresDatabase") -> None:
    played = await make_played(database, 1)
    elsewhere = [*played.keys[:1], *played.keys[2:], BoardKey(league_id=played.league)]

    assert [await (await played.open(key)).history(played.found) for key in elsewhere] == [{}] * 4
    assert await (await played.open(played.keys[1])).history([played.found[0]]) == {
        played.found[0]: (PastRound(played.made.rounds[0], 1, 0, 0),)
    }
    async with database.begin() as connection:
        await connection.execute(update(tournaments).values(current_round_id=None))
        await raise_versions(connection, played.made.id, board=True)
    assert await (await played.open(played.keys[1])).history(played.found[:1]) == {played.found[0]: ()}


async def test_a_history_has_a_hundred_rounds_at_most(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=101, rounds=101)
    (member,) = await make_members(database, 1, joins=[made])
    league = await make_league(database, "Long", member, plays=[made])
    played = Played(database, made, league, [member])
    await played.begin_round(100)

    history = await (await played.open(played.keys[1])).history([member])

    assert [after.round_id for after in history[member]] == list(made.rounds[:100])


async def test_who_joins_by_a_transaction_that_ends_later_is_on_boards_that_were_read_before(
    database: "PostgresDatabase",
) -> None:
    played = await make_played(database, 1)
    made = played.made
    await played.begin_round(1)
    (late,) = await make_members(database, 1)

    async def is_shown(moment: Moment) -> bool:
        return late in ids_of(await walk(await played.open(played.keys[0], moment), 50))

    entry = {"tournament_id": made.id, "member_id": late}
    async with database.begin() as connection:
        await connection.execute(insert(tournament_members).values(entry))
        await connection.execute(insert(member_scores).values(**entry, basis=ScoreBasis.AFTER_EXTRA_TIME))
        await play(database, made.matches[0], 2, 1)
        now = await database_now(database)
        moments: list[Moment] = [AtVersion(1), AtTime(now), AfterRound(made.rounds[1])]
        await played.begin_round(2)
        board = await played.open(played.keys[0])
        moved = await board.movement(await board.window(50))
        for moment in moments:
            assert not await is_shown(moment)
    async with database.begin() as connection:
        await raise_versions(connection, made.id, board=True)

    async def all_have_moved() -> bool:
        board = await played.open(played.keys[0])
        movement = await board.movement(await board.window(50))
        return movement == {**moved, late: movement.get(late)} and movement[late] is not None

    for moment in moments:
        await until(partial(is_shown, moment), within=120)
    await until(all_have_moved, within=120)


async def test_versions_follow_each_other_though_the_clock_was_set_back(database: "PostgresDatabase") -> None:
    played = await make_played(database, 1)
    hour = timedelta(hours=1)
    await play(database, played.made.matches[0], 2, 1)
    async with database.begin() as connection:  # as an hour ago, by a clock that was an hour ahead
        await connection.execute(update(score_versions).values(at=score_versions.c.at + hour))
        ahead = tournament_members.c.joined_at + hour
        await connection.execute(update(tournament_members).values(joined_at=ahead))
    for match_id in played.made.matches[1:3]:
        await play(database, match_id, 2, 1)
    async with database.begin() as connection:
        moved = await raise_settled_version(connection, played.made.id)
        await insert_version(connection, played.made.id, moved, ScoreVersionKind.ROUND_MOVED, "moved")

    instants = [await played.version_at(version) for version in range(1, moved + 1)]
    assert instants == sorted(instants)
    for version in range(1, moved + 1):
        assert len(await walk(await played.open(played.keys[0], AtVersion(version)), 50)) == len(played.found)


async def test_a_leagues_total_at_a_time_counts_what_it_played_then(database: "PostgresDatabase") -> None:
    one, two = await make_played(database, 1), await make_played(database, 2)
    everyone = one.found[:8]
    await join(database, two.made.id, everyone)
    await put_guesses(
        database, two.made, [(two.made.matches[0], member_id, n % 3, 1) for n, member_id in enumerate(everyone)]
    )
    total = BoardKey(league_id=one.league)
    kept: dict[datetime, list[RankedRow]] = {}

    async def keep() -> None:
        rows = await walk(await one.open(total), 50)
        kept[await database_now(database)] = rows

    await play(database, one.made.matches[0], 1, 1)
    await play(database, two.made.matches[0], 2, 1)
    await keep()
    async with database.begin() as connection:
        link = {"league_id": one.league, "tournament_id": two.made.id, "ruleset_id": two.made.ruleset_id}
        await connection.execute(league_tournaments.insert().values(**link, status="ACTIVE"))
        await connection.execute(update(leagues).values(board_version=leagues.c.board_version + 1))
    await keep()
    await play(database, two.made.matches[0], 0, 1)
    await keep()
    async with database.begin() as connection:
        gone = update(league_tournaments).where(league_tournaments.c.tournament_id == one.made.id)
        await connection.execute(gone.values(removed_at=func.clock_timestamp()))
        await connection.execute(update(leagues).values(board_version=leagues.c.board_version + 1))
    await keep()

    for at, rows in kept.items():
        assert await walk(await one.open(total, AtTime(at)), 3) == rows
    assert len({tuple(map(pack_row, rows)) for rows in kept.values()}) == 4
    before_all = await one.open(total, AtTime(min(kept) - timedelta(days=1)))
    assert await walk(before_all, 5) == []
    assert (before_all.head.members, before_all.head.matches, before_all.head.settled_version) == (0, 0, None)


# ---------------------------------------------------------------- moments that there are not


async def test_moments_that_a_board_has_not_had_are_refused(database: "PostgresDatabase") -> None:
    played = await make_played(database, 1)
    other = await make_played(database, 2)
    await other.begin_round(0)
    await play(database, played.made.matches[0], 1, 0)
    of_tournament, total = played.keys[0], BoardKey(league_id=played.league)
    async with database.begin() as connection:  # the league plays the other one too, which does not count yet
        ruleset_id = select(tournaments.c.ruleset_id).where(tournaments.c.id == other.made.id).scalar_subquery()
        link = {"league_id": played.league, "tournament_id": other.made.id, "ruleset_id": ruleset_id}
        await connection.execute(insert(league_tournaments).values(**link, status="UPCOMING"))
    version, round_field = ("asOf", "settledVersion"), ("asOf", "afterRoundId")
    tomorrow = await database_now(database) + timedelta(days=1)
    refused: list[tuple[BoardKey, Moment, type[Exception], tuple[str, ...]]] = [
        (of_tournament, AtVersion(2), InvalidInput, version),
        (of_tournament, AtVersion(-1), InvalidInput, version),
        (total, AtVersion(0), InvalidInput, version),
        (total, AtVersion(1), InvalidInput, version),
        (of_tournament, AtTime(tomorrow), InvalidInput, ("asOf", "time")),
        (of_tournament, AfterRound(RoundId(new_id())), NotFound, round_field),
        (of_tournament, AfterRound(other.made.rounds[0]), NotFound, round_field),
        (total, AfterRound(other.made.rounds[0]), NotFound, round_field),
        (of_tournament, AfterRound(played.made.rounds[1]), NotFound, round_field),  # not begun
    ]
    for key, moment, kind, path in refused:
        with pytest.raises(kind) as refusal:
            await played.boards.open(key, as_of=moment)
        assert refusal.value.field == path  # type: ignore[attr-defined]
    assert await played.boards.open(BoardKey(tournament_id=TournamentId(new_id())), as_of=AtVersion(0)) is None


# ---------------------------------------------------------------- pages


async def test_pages_of_a_past_board_are_the_same_both_ways(database: "PostgresDatabase") -> None:
    played, kept = await play_rounds(database)
    moment = AfterRound(played.made.rounds[0])
    for size in (1, 2, 7, 50):
        for key in (*played.keys, BoardKey(league_id=played.league)):
            board = await played.open(key, moment)
            assert await walk(board, size) == await walk_back(board, size)
        assert await walk(await played.open(played.keys[1], moment), size) == kept[0]


async def test_a_walk_through_one_version_does_not_move_while_the_board_does(database: "PostgresDatabase") -> None:
    played = await make_played(database, 6)
    for match_id in played.made.matches[:3]:
        await play(database, match_id, 2, 1)
    moment, key = AtVersion(3), played.keys[1]
    board, present = await played.open(key, moment), await played.open(key)
    page, moving = await board.page(first=3), await present.page(first=3)
    place = (board.mark, pack_row(page.rows[-1]), page.rows[-1].member_id)
    moving_place = (present.mark, pack_row(moving.rows[-1]), moving.rows[-1].member_id)

    await play(database, played.made.matches[4], 0, 0)
    await played.leave(played.found[2])

    rest = await (await played.open(key, moment)).page(first=50, after=place)
    assert (*page.rows, *rest.rows) == tuple(await walk(board, 50))
    assert rest.board_moved is False
    assert (await (await played.open(key)).page(first=50, after=moving_place)).board_moved is True


async def test_a_walk_through_the_latest_round_goes_on_from_the_other_source(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    played = await make_played(database, 6)
    await played.begin_round(0)
    await play(database, played.made.matches[0], 2, 1)
    in_valkey, moment = await projected(database, valkey, played.made.id), AfterRound(played.made.rounds[0])
    for one, other in ((in_valkey, played.boards), (played.boards, in_valkey)):
        board = await one.open(played.keys[0], as_of=moment)
        assert board is not None
        page = await board.page(first=3)
        cursor = (board.mark, pack_row(page.rows[-1]), page.rows[-1].member_id)
        for search in (None, "Member"):
            following = await other.open(played.keys[0], as_of=moment)
            assert following is not None
            assert (await following.page(first=3, after=cursor, search=search)).board_moved is False


async def test_searching_filters_rows_and_never_ranks(database: "PostgresDatabase", valkey: Redis) -> None:
    played = await make_played(database, 7)
    for n, name in enumerate(["Ann", "anna", "Andy", "Bo_b", "Bo%", "Boxer"]):
        async with database.begin() as connection:
            await connection.execute(update(members).where(members.c.id == played.found[n]).values(nick_name=name))
    await play(database, played.made.matches[0], 1, 1)
    await play(database, played.made.matches[1], 2, 1)
    named = {"an": 3, "AN": 3, "Ann": 2, "bo": 3, "Bo_": 1, "Bo%": 1, "Member 1": 6, "x": 0}

    for boards in (played.boards, await projected(database, valkey, played.made.id)):
        for moment in (None, AtVersion(1)):
            board = await boards.open(played.keys[0], as_of=moment)
            assert board is not None
            everyone = await walk(board, 50)
            for prefix, count in named.items():
                found = await _matching(board, prefix, 50)
                assert len(found) == count
                expected = await _named(database, prefix)
                assert found == [row for row in everyone if row.member_id in expected]
                for size in (1, 2, 7):
                    assert await _matching(board, prefix, size) == found
                    assert await _matching_back(board, prefix, size) == found
    async with database.begin() as connection:
        await connection.execute(update(members).where(members.c.nick_name == "Andy").values(nick_name="ÉMILE Ωm"))
    board = await played.open(played.keys[0])
    assert [len(await _matching(board, prefix, 50)) for prefix in ("é", "Émile ω", "e")] == [1, 1, 0]
    in_league = await played.open(played.keys[1])
    assert (await in_league.page(first=50, search="Member")).total == 8
    assert len((await in_league.page(first=50, search="Member")).rows) == 2


async def test_searching_an_earlier_board_finds_who_was_on_it(database: "PostgresDatabase") -> None:
    played = await make_played(database, 1)
    await play(database, played.made.matches[0], 1, 1)
    then, gone = await database_now(database), played.found[1]
    await played.leave(gone)
    await played.enter(played.found[-2])

    for key in (played.keys[1], BoardKey(league_id=played.league)):
        past = await played.open(key, AtTime(then))
        found = await past.page(first=50, search="member")
        assert found.rows == tuple(await walk(past, 50))
        assert gone in ids_of(found.rows)
        assert gone not in ids_of((await (await played.open(key)).page(first=50, search="member")).rows)


async def _named(database: "PostgresDatabase", prefix: str) -> set[MemberId]:
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT id, nick_name FROM members"))
        return {MemberId(row.id) for row in rows if row.nick_name.lower().startswith(prefix.lower())}


async def _matching(board: OpenBoard, prefix: str, size: int) -> list[RankedRow]:
    rows: list[RankedRow] = []
    page = await board.page(first=size, search=prefix)
    while True:
        rows += page.rows
        if not page.has_next:
            return rows
        place = (board.mark, pack_row(page.rows[-1]), page.rows[-1].member_id)
        page = await board.page(first=size, after=place, search=prefix)
        assert (page.has_previous, page.board_moved, page.total) == (True, False, board.head.members)


async def _matching_back(board: OpenBoard, prefix: str, size: int) -> Sequence[RankedRow]:
    rows: list[RankedRow] = []
    page = await board.page(last=size, search=prefix)
    while True:
        rows = [*page.rows, *rows]
        if not page.has_previous:
            return rows
        place = (board.mark, pack_row(page.rows[0]), page.rows[0].member_id)
        page = await board.page(last=size, before=place, search=prefix)
        assert page.has_next
