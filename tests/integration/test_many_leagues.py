"""Boards of leagues that are followed are read together, and are what each of them is by itself."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, update

from domain.clock import utc_now
from domain.ids import LeagueId, MemberId, new_id
from domain.installation.service import begin_epoch
from domain.installation.store import read_epoch
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.leagues import LeagueBoards
from domain.leaderboard.loading import load
from domain.leaderboard.many import held
from domain.leaderboard.model import BoardKey, BoardSource
from domain.leaderboard.projector import project
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.score_table import ScoreTable
from domain.leaderboard.service import Boards
from domain.leaderboard.sheet import COLUMN
from domain.leaderboard.store import read_state
from domain.league.membership.service import leave
from domain.league.tables import leagues
from domain.member.profile.service import update as update_profile
from domain.member.tables import members
from integrations.valkey.projection import ValkeyProjection
from tests.support.football import (
    MadeTournament,
    make_league,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
)
from tests.support.live import until
from tests.support.settlement import in_play, play
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


class Played:
    """Five leagues of some of twelve members, in one tournament, in both, or in none; two matches are in play."""

    def __init__(
        self, database: "PostgresDatabase", valkey: Redis, made: list[MadeTournament], members: list[MemberId]
    ) -> None:
        self.database = database
        self.projection = ValkeyProjection(valkey)
        self.made = made
        self.members = members
        self.leagues: list[LeagueId] = []

    def boards(self, patience: float = 5) -> Boards:
        return Boards(self.database, self.projection, utc_now, patience=timedelta(seconds=patience))

    async def project(self) -> None:
        for made in self.made:
            await project(self.database, self.projection, made.id)

    def keys(self) -> list[BoardKey]:
        of_tournaments = [BoardKey(league, made.id) for league in self.leagues for made in self.made]
        return [*(BoardKey(league) for league in self.leagues), *of_tournaments]


@pytest.fixture
async def played(database: "PostgresDatabase", valkey: Redis) -> Played:
    made = [await make_tournament(database, matches=3, ruleset=ruleset) for ruleset in ("exact-bonus", "kicktipp")]
    ids = await make_members(database, 12, joins=made)
    for one in made:
        given = [
            (match_id, member_id, (n + number) % 3, n % 2)
            for number, match_id in enumerate(one.matches)
            for n, member_id in enumerate(ids)
        ]
        await put_guesses(database, one, given)
        await pass_lock(database, *one.matches)
        await play(database, one.matches[0], 2, 1)
        await in_play(database, one.id, one.matches[1], 1, 0)
    found = Played(database, valkey, made, ids)
    plays: Sequence[list[MadeTournament]] = ([made[0]], [made[1]], made, made, [])
    for n, some in enumerate(plays):
        league = await make_league(
            database, f"League {n}", ids[n], members=ids[n + 1 : n + 5], viewers=ids[9:], plays=some
        )
        found.leagues.append(league)
    await found.project()
    return found


async def followed(boards: Boards, keys: Sequence[BoardKey]) -> list[OpenBoard | None]:
    return await asyncio.gather(*(boards.follow(key) for key in keys))


async def test_each_is_what_it_is_by_itself(played: Played) -> None:
    keys = played.keys()
    alone = [await played.boards().open(key) for key in keys]
    found = await followed(played.boards(), keys)
    assert [board is None for board in found] == [board is None for board in alone]
    assert sum(board is None for board in found) == 4
    names = {member_id.bytes: f"Member {n}" for n, member_id in enumerate(played.members)}
    for board, expected in zip(found, alone, strict=True):
        if board is None or expected is None:
            continue
        read_at = board.head.computed_at if not board.head.matches else expected.head.computed_at
        assert board.head == replace(expected.head, computed_at=read_at)
        rows = await board.window(50)
        assert rows == await expected.window(50)
        shown, numbers = await board.numbers(50)
        assert [row.member_id.bytes for row in rows] == shown
        assert board.names is not None
        assert {member: board.names[member] for member in shown} == {member: names[member] for member in shown}
        movement = await expected.movement(rows)
        gained = await board.gained(shown, numbers[:, COLUMN["rank"]])
        assert [movement[row.member_id] for row in rows] == [None] * len(rows) == [None for _ in gained]
        assert board.head.source is BoardSource.PROJECTION


async def test_many_cost_as_many_statements_as_one(played: Played) -> None:
    counts = []
    for keys in (played.keys()[2:3], played.keys()):
        boards = played.boards()
        with recorded_statements(played.database) as statements:
            await followed(boards, keys)
        with recorded_statements(played.database) as again:
            await followed(boards, keys)
        counts.append((len(statements), len(again)))
    assert counts[0] == counts[1]
    assert counts[0][0] == counts[0][1] + 1  # who is in the leagues is known then


async def test_a_projection_that_is_a_moment_behind_is_waited_for(played: Played) -> None:
    boards, key = played.boards(), played.keys()[2]
    before = await boards.follow(key)
    assert before is not None
    await in_play(played.database, played.made[0].id, played.made[0].matches[1], 1, 1)
    following = asyncio.ensure_future(boards.follow(key))
    done, _ = await asyncio.wait([following], timeout=0.3)
    assert not done
    await played.project()
    board = await asyncio.wait_for(following, 5)
    assert board is not None
    assert board.head.source is BoardSource.PROJECTION
    assert board.head.version > before.head.version


async def test_nothing_is_read_in_vain_once_it_is_known_to_be_behind(played: Played) -> None:
    boards, keys = played.boards(60), played.keys()[:4]
    await followed(boards, keys)
    await in_play(played.database, played.made[0].id, played.made[0].matches[1], 1, 1)
    first, many = asyncio.ensure_future(boards.follow(keys[0])), boards._many
    assert many is not None
    await until(lambda: many._held.is_to_come(played.made[0].id))
    with recorded_statements(played.database) as statements:
        others = [asyncio.ensure_future(boards.follow(key)) for key in keys[2:]]
        other = await asyncio.wait_for(boards.follow(keys[1]), 10)
    assert other is not None, "it is of another tournament"
    assert not any(one.done() for one in (first, *others))
    alone = len(statements)
    with recorded_statements(played.database) as statements:
        await boards.follow(keys[1])
    assert alone == len(statements)
    await played.project()
    found = await asyncio.wait_for(asyncio.gather(first, *others), 10)
    assert [board.head.source for board in found if board is not None] == [BoardSource.PROJECTION] * 3


async def test_it_is_waited_for_as_long_as_it_comes_nearer_but_not_for_ever(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, seconds = played.made[0], 0.0
    monkeypatch.setattr(held, "monotonic", lambda: seconds)
    leagues = LeagueBoards(played.database, played.projection, 1_000)
    seen = held.Held(played.projection, leagues, patience=3)
    goals = [await goal(played, made, number) for number in range(7)]
    async with played.database.snapshot() as connection:
        state = await read_state(connection, BoardKey(tournament_id=made.id))
    assert state is not None
    awaited = []
    for loaded in goals[:-1]:
        await played.projection.write(made.id, *loaded)
        assert not await seen.tables([state])
        awaited.append(seen.is_awaited(made.id))
        seconds += 2
    assert awaited == [True] * 5 + [False]

    await played.projection.write(made.id, *goals[-1])
    assert await seen.tables([state])
    for still, is_awaited in ((0, True), (2, True), (2, False)):
        seconds += still
        assert not await seen.tables([replace(state, parts=tuple(replace(p, board_version=99) for p in state.parts))])
        assert seen.is_awaited(made.id) is is_awaited


async def goal(played: Played, made: MadeTournament, number: int) -> tuple[ScoreTable, Ranking]:
    """The board after one more, not projected."""
    await in_play(played.database, made.id, made.matches[1], 1, 1 + number)
    loaded = await load(played.database, made.id)
    assert loaded is not None
    return loaded[1:]


async def test_a_tournaments_board_waits_too(played: Played) -> None:
    boards, key = played.boards(patience=60), BoardKey(tournament_id=played.made[0].id)
    await in_play(played.database, played.made[0].id, played.made[0].matches[1], 1, 1)
    following = asyncio.ensure_future(boards.follow(key))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(following), 0.3)
    await played.project()
    board = await asyncio.wait_for(following, 10)
    assert board is not None
    assert board.head.source is BoardSource.PROJECTION
    expected = await played.boards().open(key)
    assert expected is not None
    assert board.head.version == expected.head.version
    assert await board.window(50) == await expected.window(50)


async def test_who_gave_up_once_waits_again_when_it_is_behind_another_time(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, boards = played.made[0], played.boards(patience=1)
    key = BoardKey(tournament_id=made.id)

    async def source() -> BoardSource:
        board = await asyncio.wait_for(boards.follow(key), 10)
        assert board is not None
        return board.head.source

    await in_play(played.database, made.id, made.matches[1], 1, 1)
    assert await source() is BoardSource.DATABASE
    await played.project()
    assert await source() is BoardSource.PROJECTION

    now = held.monotonic
    monkeypatch.setattr(held, "monotonic", lambda: now() + 60)
    await in_play(played.database, made.id, made.matches[1], 2, 1)
    following = asyncio.ensure_future(source())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(following), 0.3)
    await played.project()
    assert await following is BoardSource.PROJECTION


@pytest.mark.parametrize("of", ["a league", "a tournament"])
@pytest.mark.parametrize("why", ["it stays behind", "it is gone", "it is of another epoch"])
async def test_otherwise_the_database_answers(played: Played, why: str, of: str) -> None:
    boards = played.boards(patience=0.2 if why == "it stays behind" else 60)
    key = played.keys()[0] if of == "a league" else BoardKey(tournament_id=played.made[0].id)
    await in_play(played.database, played.made[0].id, played.made[0].matches[1], 1, 1)
    if why == "it is gone":
        await played.projection.forget(played.made[0].id)
    if why == "it is of another epoch":
        async with played.database.read() as connection:
            present, _ = await read_epoch(connection)
        await begin_epoch(played.database, present=present, reason="test")
    board = await asyncio.wait_for(boards.follow(key), 20)
    expected = await played.boards().open(key)
    assert board is not None
    assert expected is not None
    assert board.head.source is BoardSource.DATABASE
    assert await board.window(50) == await expected.window(50)


async def test_new_names_and_who_is_in_a_league_are_seen_at_once(played: Played) -> None:
    boards, key = played.boards(), played.keys()[2]
    renamed, left = played.members[3], played.members[4]
    await boards.follow(key)
    await update_profile(played.database, renamed, nick_name="Another", time_zone=None, request_id="test")
    await leave(played.database, left, played.leagues[2], "test")
    board = await boards.follow(key)
    assert board is not None
    assert board.names is not None
    assert board.names[renamed.bytes] == "Another"
    assert left.bytes not in board.names
    assert left not in [row.member_id for row in await board.window(50)]
    async with played.database.begin() as connection:
        gone = update(leagues).where(leagues.c.id == played.leagues[2]).values(deleted_at=func.clock_timestamp())
        await connection.execute(gone)
    assert await boards.follow(key) is None
    assert await boards.follow(BoardKey(LeagueId(new_id()))) is None


async def test_in_another_epoch_equal_versions_mean_nothing(played: Played) -> None:
    boards, key = played.boards(), played.keys()[2]
    before = await boards.follow(key)
    assert before is not None
    async with played.database.begin() as connection:  # as it was in the backup
        restored = update(members).where(members.c.id == played.members[3]).values(nick_name="Restored")
        await connection.execute(restored)
    await begin_epoch(played.database, present=UUID(before.head.epoch), reason="test")
    await played.project()
    board = await boards.follow(key)
    assert board is not None
    assert (board.head.version, board.head.epoch == before.head.epoch) == (before.head.version, False)
    assert board.names is not None
    assert board.names[played.members[3].bytes] == "Restored"
