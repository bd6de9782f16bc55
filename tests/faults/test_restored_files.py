"""The server's files are replaced by earlier ones, which have the identity of those that they replace."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from domain.clock import utc_now
from domain.ids import LeagueId, MemberId, new_id
from domain.installation.service import Restores
from domain.leaderboard.model import BoardKey
from domain.leaderboard.service import Boards
from runtime.database import PostgresDatabase
from tests.support.board_faults import make_cup
from tests.support.boards import ids_of, walk
from tests.support.football import make_league, make_members
from tests.support.servers import TestPostgres, running_postgres

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def server() -> Iterator[TestPostgres]:
    with running_postgres(durable=True) as found:
        yield found


@pytest.fixture
async def own_database(server: TestPostgres) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase.create(await server.create_database())
    yield database
    await database.close()


async def write(database: PostgresDatabase, rows: int = 1) -> None:
    async with database.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS written (n int)"))
        await connection.execute(text("INSERT INTO written SELECT generate_series(1, :rows)"), {"rows": rows})


async def begun(database: PostgresDatabase) -> list[str]:
    """Why epochs have begun."""
    async with database.read() as connection:
        found = await connection.execute(text("SELECT reason FROM audit_log WHERE action = 'newEpoch'"))
        return list(found.scalars())


async def test_they_are_noticed_once_however_much_was_written_since(
    server: TestPostgres, own_database: PostgresDatabase, tmp_path: Path
) -> None:
    await asyncio.to_thread(server.copy_files, tmp_path / "files")
    await write(own_database)
    processes = [Restores(own_database) for _ in range(3)]
    for one in processes:
        assert await one.notice() is False

    for _ in range(2):
        await asyncio.to_thread(server.replace_files, tmp_path / "files")
        await write(own_database, rows=10_000)

        assert sorted([await one.notice() for one in processes]) == [False, False, True]
        assert await begun(own_database) == ["The files of the database were replaced by earlier ones."]
        assert not any([await one.notice() for one in processes])


async def test_a_restart_and_a_crash_are_none(server: TestPostgres, own_database: PostgresDatabase) -> None:
    restores = Restores(own_database)
    for restart in (server.restart_at_once, server.restart):
        for _ in range(3):
            await write(own_database)
            assert await restores.notice() is False
            await asyncio.to_thread(restart)
            assert await restores.notice() is False

    assert await begun(own_database) == []


async def test_a_league_that_was_later_is_not_shown_any_more(
    server: TestPostgres, own_database: PostgresDatabase, tmp_path: Path
) -> None:
    cup = await make_cup(own_database, matches=1)
    ana, late, other = await make_members(own_database, 3, joins=[cup.made])
    league = await make_league(own_database, "Lions", ana, plays=[cup.made])
    restores, boards = Restores(own_database), Boards(own_database, None, utc_now)
    await asyncio.to_thread(server.copy_files, tmp_path / "files")
    await join_league(own_database, league, late)
    version, members = await read(boards, league)
    await restores.notice()

    await asyncio.to_thread(server.replace_files, tmp_path / "files")
    await join_league(own_database, league, other)
    assert await restores.notice() is True

    assert members == {ana, late}
    assert await read(boards, league) == (version, {ana, other})


async def join_league(database: PostgresDatabase, league_id: LeagueId, member_id: MemberId) -> None:
    given = {"id": new_id(), "league": league_id, "member": member_id}
    joined = "INSERT INTO league_members (id, league_id, member_id, role) VALUES (:id, :league, :member, 'MEMBER')"
    async with database.begin() as connection:
        await connection.execute(text(joined), given)
        raised = "UPDATE leagues SET board_version = board_version + 1 WHERE id = :league"
        await connection.execute(text(raised), given)


async def read(boards: Boards, league_id: LeagueId) -> tuple[int, set[MemberId]]:
    board = await boards.open(BoardKey(league_id=league_id))
    assert board is not None
    return board.head.version, set(ids_of(await walk(board, 5)))
