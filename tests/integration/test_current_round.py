"""The current round moves on with time, and the boards with it: ranks are compared with those at its beginning."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from domain.clock import utc_now
from domain.execution.model import Operation
from domain.ids import MatchId
from domain.ingestion.service import sync_current_round
from domain.leaderboard.model import AfterRound, AtTime, BoardKey
from domain.leaderboard.service import Boards
from domain.match.tables import matches
from domain.tournament.tables import rounds, tournaments
from runtime.database import PostgresDatabase
from runtime.migrate import downgrade, upgrade
from tests.support.football import make_league, make_members, make_tournament, put_guesses
from tests.support.runs import run_now
from tests.support.settlement import database_now, play


async def test_boards_move_when_a_round_begins_and_only_then(database: PostgresDatabase) -> None:
    begun = datetime.now(UTC) - timedelta(days=2)
    made = await make_tournament(database, matches=2, rounds=2, kick_off=begun, spacing=timedelta(days=1))
    boards, key = Boards(database, None, utc_now), BoardKey(tournament_id=made.id)
    versions = [(await boards.versions([key]))[key]]
    for _ in range(2):
        await run_now(database, Operation.SYNC_CURRENT_ROUND, sync_current_round)
        versions.append((await boards.versions([key]))[key])
    assert versions == [versions[0], versions[0] + 1, versions[0] + 1]


async def test_rounds_that_are_passed_over_begin_at_one_instant(database: PostgresDatabase) -> None:
    begun = datetime.now(UTC) - timedelta(days=40)
    made = await make_tournament(database, matches=4, rounds=4, kick_off=begun, spacing=timedelta(days=10))

    await run_now(database, Operation.SYNC_CURRENT_ROUND, sync_current_round)

    async with database.read() as connection:
        found = (await connection.execute(select(rounds.c.baseline_at).order_by(rounds.c.position))).scalars().all()
    assert None not in found
    assert len(found) == len(made.rounds)
    assert len(set(found)) == 1


async def test_movement_is_since_a_round_is_the_current_one_though_one_behind_it_was_before(
    database: PostgresDatabase,
) -> None:
    begun = datetime.now(UTC) - timedelta(days=40)
    made = await make_tournament(database, matches=4, rounds=4, kick_off=begun, spacing=timedelta(days=10))
    ana, bob = await make_members(database, 2, joins=[made])
    guesses = [(match_id, ana, 1, 0) for match_id in made.matches] + [
        (match_id, bob, 0, 1) for match_id in made.matches
    ]
    await put_guesses(database, made, guesses)
    await play(database, made.matches[0], 1, 0)
    await run_now(database, Operation.SYNC_CURRENT_ROUND, sync_current_round)
    first = await baselines(database)
    for match_id in made.matches[2:]:
        await play(database, match_id, 0, 1)
    await kick_off(database, made.matches[1:2], datetime.now(UTC) - timedelta(hours=1))

    await run_now(database, Operation.SYNC_CURRENT_ROUND, sync_current_round)

    board = await Boards(database, None, utc_now).open(BoardKey(tournament_id=made.id))
    assert board is not None
    rows = await board.window(2)
    assert [row.member_id for row in rows] == [bob, ana]
    assert await board.movement(rows) == {ana: 0, bob: 0}
    assert await baselines(database) == first == [1, 1, 1, 1]


async def test_a_round_that_is_the_current_one_again_leaves_the_past_as_it_was(database: PostgresDatabase) -> None:
    now = datetime.now(UTC)
    made = await make_tournament(database, matches=9, rounds=3, kick_off=now + timedelta(days=10))
    ana, bob = await make_members(database, 2, joins=[made])
    league = await make_league(database, "Office", ana, members=[bob], plays=[made])
    await put_guesses(database, made, [(match_id, ana, 1, 0) for match_id in made.matches])
    await put_guesses(database, made, [(match_id, bob, 0, 1) for match_id in made.matches])
    first, second, third = (made.matches[n::3] for n in range(3))
    await begin(database, first, now - timedelta(days=40))
    for match_id in first:
        await play(database, match_id, 1, 0)
    await begin(database, second, now - timedelta(days=30))
    await play(database, second[0], 0, 1)
    await kick_off(database, second[1:], None)  # put off to a day that nobody knows yet
    await begin(database, third, now - timedelta(days=10))
    for match_id in third:
        await play(database, match_id, 0, 1)
    kept, then = Boards(database, None, utc_now), await database_now(database)

    async def past(boards: Boards) -> tuple[object, ...]:
        after = await boards.open(BoardKey(tournament_id=made.id), as_of=AfterRound(made.rounds[0]))
        of_league = await boards.open(BoardKey(league, made.id), as_of=AtTime(then))
        assert after is not None
        assert of_league is not None
        return after.head.settled_version, await after.window(2), await of_league.history([ana, bob])

    before, begun = await past(kept), await baselines(database)
    assert before[0] == 3

    await begin(database, second[1:], now - timedelta(hours=1))

    assert await past(kept) == before
    assert await past(Boards(database, None, utc_now)) == before
    assert await baselines(database) == begun == [3, 3, 4]
    board = await kept.open(BoardKey(tournament_id=made.id))
    assert board is not None
    rows = await board.window(2)
    assert await board.movement(rows) == {ana: 0, bob: 0}
    await play(database, second[1], 1, 0)
    await play(database, second[2], 1, 0)
    board = await kept.open(BoardKey(tournament_id=made.id))
    assert board is not None
    rows = await board.window(2)
    assert [row.member_id for row in rows] == [ana, bob]
    assert await board.movement(rows) == {ana: 1, bob: -1}


async def test_movement_outlives_an_upgrade(database: PostgresDatabase, database_url: str) -> None:
    made = await make_tournament(database, matches=2, rounds=2, kick_off=datetime.now(UTC) - timedelta(days=1))
    upcoming = await make_tournament(database)
    await run_now(database, Operation.SYNC_CURRENT_ROUND, sync_current_round)
    columns = (tournaments.c.id, tournaments.c.movement_version, tournaments.c.movement_at)
    async with database.read() as connection:
        first = (await connection.execute(select(rounds.c.baseline_at).where(rounds.c.id == made.rounds[1]))).scalar()

    await downgrade(database_url, "0013")
    await upgrade(database_url)

    async with database.read() as connection:
        found = (await connection.execute(select(*columns).order_by(tournaments.c.id))).all()
    assert [tuple(row) for row in found] == [(made.id, 0, first), (upcoming.id, None, None)]


async def begin(database: PostgresDatabase, match_ids: Sequence[MatchId], at: datetime) -> None:
    """Have matches begin, and look which round is the current one."""
    await kick_off(database, match_ids, at)
    await run_now(database, Operation.SYNC_CURRENT_ROUND, sync_current_round)


async def kick_off(database: PostgresDatabase, match_ids: Sequence[MatchId], at: datetime | None) -> None:
    async with database.begin() as connection:
        await connection.execute(update(matches).where(matches.c.id.in_(match_ids)).values(kick_off=at))


async def baselines(database: PostgresDatabase) -> list[int | None]:
    async with database.read() as connection:
        found = await connection.execute(select(rounds.c.baseline_version).order_by(rounds.c.position))
        return list(found.scalars())
