"""Points of matches in play: on every board, from both sources, and gone or settled without a jump."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import insert, update

from domain.guess.tables import guesses
from domain.ids import LeagueId, MemberId, TeamId, new_id
from domain.ingestion.finality.rules import NO_EXTRA_TIME
from domain.leaderboard import loading
from domain.leaderboard.loading import BoardLoader, load
from domain.leaderboard.model import AtVersion, BoardKey, BoardSource, LiveMatch, RankedRow
from domain.leaderboard.projector import project
from domain.leaderboard.provisional.service import LockedGuesses
from domain.leaderboard.sheet import Sheet
from domain.league.model import LeagueTournamentStatus
from domain.league.tables import league_tournaments
from domain.match.model import Goals, MatchStatus, ResultKind, ResultState
from domain.scoring.model import ScoreBasis
from domain.scoring.tables import rulesets
from domain.tournament.model import TournamentMode
from integrations.valkey.projection import ValkeyProjection, key
from tests.support.boards import places, projected, ranked_by_sql, walk, walk_back
from tests.support.football import (
    MadeTournament,
    make_league,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
)
from tests.support.settlement import accept, in_play, play, settle_queued, void
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from domain.leaderboard.service import Boards
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(120)


async def league_under(
    database: "PostgresDatabase", made: MadeTournament, members: Sequence[MemberId], basis: ScoreBasis
) -> LeagueId:
    """A league that plays the tournament under a ruleset of its own."""
    ruleset_id = new_id()
    weights = {"outcome": 1, "goal_difference": 2, "home_goals": 0, "away_goals": 1, "exact": 5}
    values = {"id": ruleset_id, "code": f"own-{basis.value.lower()}", "version": 1, "label": "Own", "basis": basis}
    league_id = await make_league(database, f"League {basis}", members[0], members=members[1:])
    async with database.begin() as connection:
        await connection.execute(insert(rulesets).values(**values, **weights))
        link = {"league_id": league_id, "tournament_id": made.id, "ruleset_id": ruleset_id}
        await connection.execute(insert(league_tournaments).values(**link, status=LeagueTournamentStatus.ACTIVE))
    return league_id


async def season(
    database: "PostgresDatabase",
    *,
    mode: TournamentMode = TournamentMode.REGULAR_SEASON,
    basis: ScoreBasis = ScoreBasis.AFTER_EXTRA_TIME,
) -> tuple[MadeTournament, LeagueId]:
    """Six matches in two rounds, the first two settled, and a league of every other member with its own ruleset."""
    chance = random.Random(7)
    made = await make_tournament(database, matches=6, rounds=2, ruleset="kicktipp", mode=mode)
    found = await make_members(database, 14, joins=[made])
    league_id = await league_under(database, made, found[::2], basis)
    given = [
        (match_id, member_id, chance.randrange(3), chance.randrange(3))
        for match_id in made.matches
        for member_id in found
        if chance.random() < 0.8
    ]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches[:5], ago=timedelta(minutes=2))
    await play(database, made.matches[0], 1, 0)
    await play(database, made.matches[1], 1, 1)
    return made, league_id


async def read(boards: "Boards", board_key: BoardKey, **how: Any) -> list[RankedRow]:
    board = await boards.open(board_key, **how)
    assert board is not None
    rows = await walk(board, 5)
    assert await walk_back(board, 3) == rows
    for row in rows:
        assert await board.row_of(row.member_id) == row
    members, numbers = await board.numbers(len(rows))
    assert Sheet(members, [""] * len(members), numbers).rows == tuple(rows)
    return rows


def totals(rows: Sequence[RankedRow]) -> list[tuple[Any, ...]]:
    return [(*place, row.separated_by) for place, row in zip(places(list(rows)), rows, strict=True)]


async def test_every_board_shows_them_and_nothing_jumps_when_the_match_settles(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, league_id = await season(database)
    keys = [
        BoardKey(tournament_id=made.id),
        BoardKey(tournament_id=made.id, round_id=made.rounds[0]),
        BoardKey(league_id=league_id),
        BoardKey(league_id=league_id, tournament_id=made.id),
        BoardKey(league_id=league_id, tournament_id=made.id, round_id=made.rounds[0]),
    ]
    before = {board_key: await read(await projected(database, valkey, made.id), board_key) for board_key in keys}
    await in_play(database, made.id, made.matches[2], 2, 1)
    await in_play(database, made.id, made.matches[4], 0, 0)
    boards = await projected(database, valkey, made.id)
    live = {board_key: await read(boards, board_key) for board_key in keys}
    only = {board_key: await read(boards, board_key, settled_only=True) for board_key in keys}
    for board_key in keys:
        board = await boards.open(board_key, settled_only=True)
        assert board is not None
        assert board.head.live_matches == 0
        assert (await board.ranking()).rows(0, len(only[board_key])) == only[board_key]
    await valkey.flushall()
    fallen_back = await projected(database, valkey)
    for board_key in reversed(keys):  # the guesses of a league's members are not those of all
        board = await fallen_back.open(board_key)
        assert board is not None
        assert (board.head.source, board.head.live_matches) == (BoardSource.DATABASE, 2)
        assert await read(fallen_back, board_key) == live[board_key]
        assert await read(fallen_back, board_key, settled_only=True) == only[board_key] == before[board_key]
        assert totals(live[board_key]) != totals(before[board_key])
        settled = {row.member_id: row for row in before[board_key]}
        for row in live[board_key]:
            assert row.settled_points == settled[row.member_id].points <= row.points
            assert row.settled_rank == settled[row.member_id].rank
    await play(database, made.matches[2], 2, 1)
    await play(database, made.matches[4], 0, 0)
    after = await projected(database, valkey, made.id)
    for board_key in keys:
        rows = await read(after, board_key)
        assert totals(rows) == totals(live[board_key])
        assert [row.settled_points for row in rows] == [row.points for row in rows]


async def test_a_goal_replaces_what_stood_before(database: "PostgresDatabase", valkey: Redis) -> None:
    made, _ = await season(database)
    board_key = BoardKey(tournament_id=made.id)
    await in_play(database, made.id, made.matches[2], 0, 0)
    await projected(database, valkey, made.id)
    await in_play(database, made.id, made.matches[2], 0, 1)
    projection = await projected(database, valkey, made.id)
    board = await projection.open(board_key)
    assert board is not None
    assert (board.head.source, board.head.live_matches) == (BoardSource.PROJECTION, 1)
    live = await read(projection, board_key)
    await play(database, made.matches[2], 0, 1)
    assert totals(await read(await projected(database, valkey, made.id), board_key)) == totals(live)
    kept = await valkey.exists(*(key(made.id, name) for name in ("live_places", "live_distinct", "live_facts")))
    assert kept == 0


async def test_which_matches_pay_provisional_points(database: "PostgresDatabase", valkey: Redis) -> None:
    made, _ = await season(database)
    board_key = BoardKey(tournament_id=made.id)

    async def live_matches() -> int:
        boards = await projected(database, valkey, made.id)
        board = await boards.open(board_key)
        assert board is not None
        rows = await read(boards, board_key)
        assert any(row.points != row.settled_points for row in rows) == (board.head.live_matches > 0)
        return board.head.live_matches

    third = made.matches[2]
    assert await live_matches() == 0
    await in_play(database, made.id, third, 1, 0, result_state=ResultState.NONE)
    assert await live_matches() == 0, "nothing is known of its score"
    await in_play(database, made.id, third, 1, 0)
    assert await live_matches() == 1
    await in_play(database, made.id, made.matches[5], 1, 0)
    assert await live_matches() == 1, "its lock has not passed by the database's clock, so its guesses stay hidden"
    ended = {"status": MatchStatus.ENDED, "home_regulation": 1, "away_regulation": 0}
    await in_play(database, made.id, third, 1, 0, **ended, result_state=ResultState.AWAITING_CONFIRMATION)
    assert await live_matches() == 1, "it is over and not settled"
    await in_play(database, made.id, third, 1, 0, hold_reason=NO_EXTRA_TIME)
    assert await live_matches() == 0, "the score after 90 minutes does not stand in for that after extra time"
    await in_play(database, made.id, third, 1, 0, hold_reason=None)
    await void(database, third)
    assert await live_matches() == 0, "it pays nobody"
    await settle_queued(database)
    assert await live_matches() == 0
    await in_play(database, made.id, third, 1, 0)
    assert await live_matches() == 0, "it is still called off, whatever runs"
    await in_play(database, made.id, third, 1, 0, result_kind=ResultKind.PLAYED)
    assert await live_matches() == 1, "it was called off and is on again"


@pytest.mark.parametrize("was_called_off", [False, True])
async def test_nothing_vanishes_while_a_result_waits_for_its_settlement(
    database: "PostgresDatabase", valkey: Redis, *, was_called_off: bool
) -> None:
    made, _ = await season(database)
    board_key, third = BoardKey(tournament_id=made.id), made.matches[2]

    async def shown() -> tuple[Any, int, int, int]:
        boards = await projected(database, valkey, made.id)
        board = await boards.open(board_key)
        assert board is not None
        head = board.head
        return totals(await read(boards, board_key)), head.settled_matches, head.live_matches, head.pending_matches

    await in_play(database, made.id, third, 1, 0)
    if was_called_off:
        await void(database, third)
        await settle_queued(database)
        await in_play(database, made.id, third, 1, 0, result_kind=ResultKind.PLAYED)
    live, settled, *_ = await shown()
    over = {"status": MatchStatus.ENDED, "home_regulation": 1, "away_regulation": 0}
    await in_play(database, made.id, third, 1, 0, **over, result_state=ResultState.AWAITING_CONFIRMATION)
    assert await shown() == (live, settled, 1, 1)
    await accept(database, third, 1, 0)
    assert await shown() == (live, settled, 1, 1)
    await settle_queued(database)
    assert await shown() == (live, settled + 1, 0, 0)


async def test_a_settled_match_that_a_provider_says_is_in_play_counts_once(
    database: "PostgresDatabase", valkey: Redis
) -> None:
    made, _ = await season(database)
    before = await read(await projected(database, valkey, made.id), BoardKey(tournament_id=made.id))
    await in_play(database, made.id, made.matches[0], 1, 0)
    assert await read(await projected(database, valkey, made.id), BoardKey(tournament_id=made.id)) == before


async def test_each_basis_counts_its_own_part(database: "PostgresDatabase", valkey: Redis) -> None:
    made, ninety = await season(database, mode=TournamentMode.KNOCKOUT, basis=ScoreBasis.REGULATION)
    keys = [BoardKey(tournament_id=made.id), BoardKey(league_id=ninety)]
    third = made.matches[2]
    await in_play(database, made.id, third, 2, 1, home_regulation=1, away_regulation=1)
    boards = await projected(database, valkey, made.id)
    live = {board_key: await read(boards, board_key) for board_key in keys}
    await valkey.flushall()
    for board_key in keys:
        assert await read(await projected(database, valkey), board_key) == live[board_key]
    parts = {"home_regulation": 1, "away_regulation": 1, "home_extra_time": 2, "away_extra_time": 1}
    over = {"status": MatchStatus.ENDED, "result_state": ResultState.AWAITING_CONFIRMATION}
    await in_play(database, made.id, third, 6, 4, **parts, **over)  # penalties, which count nowhere
    boards = await projected(database, valkey, made.id)
    for board_key in keys:
        assert await read(boards, board_key) == live[board_key]
    await accept(database, third, 1, 1, after_extra_time=Goals(2, 1))
    await settle_queued(database)
    after = await projected(database, valkey, made.id)
    for board_key in keys:
        assert totals(await read(after, board_key)) == totals(live[board_key])


async def test_boards_of_earlier_versions_have_none(database: "PostgresDatabase", valkey: Redis) -> None:
    made, _ = await season(database)
    await in_play(database, made.id, made.matches[2], 2, 1)
    boards = await projected(database, valkey, made.id)
    for version in (1, 2):
        board = await boards.open(BoardKey(tournament_id=made.id), as_of=AtVersion(version))
        assert board is not None
        assert board.head.live_matches == 0
        assert all(row.points == row.settled_points for row in await walk(board, 5))
    present = await boards.open(BoardKey(tournament_id=made.id), as_of=AtVersion(2))
    assert present is not None
    assert places(await walk(present, 5)) == await ranked_by_sql(database, tournament_id=made.id)


async def test_the_check_of_projections_sees_them(database: "PostgresDatabase", valkey: Redis) -> None:
    made, _ = await season(database)
    await in_play(database, made.id, made.matches[2], 2, 1)
    projection = ValkeyProjection(valkey)
    await project(database, projection, made.id)
    loaded = await load(database, made.id)
    assert loaded is not None
    _, table, ranking = loaded
    assert await projection.differences(made.id, table, ranking) == []
    stamp = await valkey.get(key(made.id, "stamp"))
    words = stamp.split()
    await valkey.set(key(made.id, "stamp"), b" ".join((*words[:5], b"0", *words[6:])))
    assert await projection.differences(made.id, table, ranking) == ["stamp"], "nothing provisional would be shown"
    await valkey.set(key(made.id, "stamp"), stamp)
    await valkey.setrange(key(made.id, "live_places"), 0, b"\7")
    assert await projection.differences(made.id, table, ranking) == ["live_places"]


async def test_guesses_that_locked_stand_until_the_lock_or_the_sides_are_others(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=1)
    (member_id,) = await make_members(database, 1, joins=[made])
    basis, lock_at, kept = ScoreBasis.AFTER_EXTRA_TIME, datetime(2026, 1, 1, tzinfo=UTC), LockedGuesses(database)
    match = LiveMatch(made.matches[0], TeamId(new_id()), lock_at, {basis: Goals(0, 0)})
    await put_guesses(database, made, [(match.id, member_id, 0, 0)])

    async def guessed(match: LiveMatch, seconds: int) -> int:
        """Home goals, so long after the lock."""
        read_at = match.lock_at + timedelta(seconds=seconds)
        ((found, _),) = await kept.judged(made.id, [match], basis, read_at)
        return found.lines[0].home

    async def save(home: int) -> None:
        async with database.begin() as connection:
            await connection.execute(update(guesses).values(home=home))

    assert await guessed(match, 1) == 0
    await save(1)
    assert await guessed(match, 1) == 0
    assert await guessed(match, 60) == 1, "a save that began before the lock has come"
    assert await guessed(match, 600) == 1
    await save(2)
    assert await guessed(match, 6_000) == 1
    assert await guessed(replace(match, lock_at=lock_at + timedelta(days=1)), 1) == 2
    assert await guessed(replace(match, home_team_id=TeamId(new_id())), 600) == 2


@pytest.mark.parametrize(("answers", "reads"), [([False], 1), ([True, True, False], 3)])
async def test_what_moves_while_it_is_read_is_read_anew(
    database: "PostgresDatabase", monkeypatch: pytest.MonkeyPatch, answers: list[bool], reads: int
) -> None:
    monkeypatch.setattr(loading, "_BUNCH_SECONDS", 60)
    made = await make_tournament(database, matches=1)
    with recorded_statements(database) as statements:
        assert await BoardLoader(database).load(made.id, has_moved=iter(answers).__next__) is not None
    assert sum(statement.startswith("SET TRANSACTION ISOLATION") for statement in statements) == reads


async def test_what_moves_all_the_time_is_written_all_the_same(database: "PostgresDatabase", valkey: Redis) -> None:
    made = await make_tournament(database, matches=1)
    assert await project(database, ValkeyProjection(valkey), made.id, has_moved=lambda: True) is not None
