"""What nobody waits for any more ends before the database is closed, and holds no connection."""

import asyncio

import pytest
from sqlalchemy import text

from domain.clock import utc_now
from domain.leaderboard.model import BoardKey
from domain.leaderboard.service import Boards
from runtime.database import PostgresDatabase
from tests.support.football import make_members, make_tournament
from tests.support.live import until
from tests.support.statements import until_one_waits


async def test_a_board_that_is_being_ranked_is_given_up(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    await make_members(database, 3, joins=[made])
    boards = Boards(database, None, utc_now)
    async with database.begin() as connection:
        await connection.execute(text("LOCK TABLE member_scores IN ACCESS EXCLUSIVE MODE"))
        asking = asyncio.create_task(boards.open(BoardKey(tournament_id=made.id)))
        await until_one_waits(database)
        asking.cancel()
        await asyncio.sleep(0.05)
        assert _checked_out(database) == 2  # others may wait for it too
        await boards.stop()
        await until(lambda: _checked_out(database) == 1)


@pytest.mark.parametrize("is_made", [False, True])
async def test_a_connection_that_is_being_made_or_still_in_use_is_closed_too(database_url: str, is_made: bool) -> None:
    database = PostgresDatabase.create(database_url)
    used = asyncio.create_task(_sleep(database))
    await until(lambda: _checked_out(database) == 1)
    await until(lambda: bool(database._open) or not is_made)
    async with asyncio.timeout(5):
        await database.close()
        (problem,) = await asyncio.gather(used, return_exceptions=True)
    assert isinstance(problem, Exception)


async def _sleep(database: PostgresDatabase) -> None:
    async with database.read() as connection:
        await connection.execute(text("SELECT pg_sleep(60)"))


def _checked_out(database: PostgresDatabase) -> int:
    pool = database._engine.sync_engine.pool
    return pool.checkedout()  # type: ignore[attr-defined, no-any-return]
