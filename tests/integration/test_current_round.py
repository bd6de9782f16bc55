"""The current round moves on with time, and the boards with it: ranks are compared with those at its beginning."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from domain.clock import utc_now
from domain.execution.model import Operation
from domain.ingestion.service import sync_current_round
from domain.leaderboard.model import BoardKey
from domain.leaderboard.service import Boards
from domain.match.tables import matches
from domain.tournament.tables import rounds
from runtime.database import PostgresDatabase
from tests.support.football import make_members, make_tournament, put_guesses
from tests.support.runs import run_now
from tests.support.settlement import play


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
    late = datetime.now(UTC) - timedelta(hours=1)
    async with database.begin() as connection:
        await connection.execute(update(matches).where(matches.c.id == made.matches[1]).values(kick_off=late))

    await run_now(database, Operation.SYNC_CURRENT_ROUND, sync_current_round)

    board = await Boards(database, None, utc_now).open(BoardKey(tournament_id=made.id))
    assert board is not None
    rows = await board.window(2)
    assert [row.member_id for row in rows] == [bob, ana]
    assert await board.movement(rows) == {ana: 0, bob: 0}
    assert await baselines(database) == [first[0], 3, *first[2:]]


async def baselines(database: PostgresDatabase) -> list[int | None]:
    async with database.read() as connection:
        found = await connection.execute(select(rounds.c.baseline_version).order_by(rounds.c.position))
        return list(found.scalars())
