"""Ten thousand members with the same points: one rank for all, and a place for each, for every reader."""

from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from domain.clock import utc_now
from domain.leaderboard.model import BoardKey
from domain.leaderboard.service import Boards
from runtime.database import PostgresDatabase
from tests.support.boards import ids_of, projected, walk, walk_back
from tests.support.football import at_once, make_league, make_members, make_tournament
from tests.support.live import finish

TIED = 10_000
pytestmark = pytest.mark.timeout(300)


async def test_all_readers_agree_where_all_are_tied(database: PostgresDatabase, valkey: Redis) -> None:
    async with at_once(database) as made_in:
        made = await make_tournament(made_in, matches=2)
        ids = await make_members(made_in, TIED, joins=[made])
        league_id = await make_league(made_in, "All", ids[0], members=ids[1:], plays=[made])
    async with database.begin() as connection:
        await connection.execute(text("ANALYZE"))  # as PostgreSQL does by itself within minutes
    await finish(database, made.matches[0], 2, 1)
    order = sorted(ids, key=lambda member_id: UUID(str(member_id)).bytes)
    in_valkey = await projected(database, valkey, made.id)
    for boards in (in_valkey, Boards(database, None, utc_now)):
        for key in (BoardKey(tournament_id=made.id), BoardKey(league_id=league_id)):
            board = await boards.open(key)
            assert board is not None
            rows = await walk(board, 100)
            assert ids_of(rows) == order
            assert ids_of(await walk_back(board, 97)) == order
            assert {(row.rank, row.dense_rank) for row in rows} == {(1, 1)}
            assert [row.position for row in rows] == list(range(1, TIED + 1))
            middle = TIED // 2
            assert ids_of(await board.around(order[middle], 3)) == order[middle - 3 : middle + 4]
            assert ids_of(await board.around(order[-1], 3)) == order[-4:]
            found = await board.page(first=100, search="Member 12")
            assert found.total == TIED
            assert len(found.rows) == 100
            assert [order[row.position - 1] for row in found.rows] == ids_of(found.rows)
