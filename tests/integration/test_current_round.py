"""The current round moves on with time, and the boards with it: ranks are compared with those at its beginning."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from domain.clock import utc_now
from domain.execution.model import Operation
from domain.ingestion.service import sync_current_round
from domain.leaderboard.model import BoardKey
from domain.leaderboard.service import Boards
from domain.tournament.tables import rounds
from runtime.database import PostgresDatabase
from tests.support.football import make_tournament
from tests.support.runs import run_now


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
