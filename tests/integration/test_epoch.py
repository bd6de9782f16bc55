"""The epoch: it changes when the database was restored or somebody says so, once, and not before."""

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import text

from domain.clock import utc_now
from domain.installation.service import begin_epoch, notice_restore
from domain.installation.store import read_epoch
from domain.leaderboard.model import BoardKey
from domain.leaderboard.service import Boards
from tests.support.football import make_tournament
from tests.support.forked import run_forked

if TYPE_CHECKING:
    from uuid import UUID

    from runtime.database import PostgresDatabase


async def epoch_of(database: "PostgresDatabase") -> "UUID":
    async with database.read() as connection:
        return (await read_epoch(connection))[0]


async def audited(database: "PostgresDatabase") -> list[tuple[str, str, str]]:
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT actor_kind, action, reason FROM audit_log ORDER BY id"))
        return [(row.actor_kind, row.action, row.reason) for row in rows]


async def test_another_database_is_noticed_once_however_many_look(database: "PostgresDatabase") -> None:
    first = await epoch_of(database)
    assert await asyncio.gather(*(notice_restore(database) for _ in range(5))) == [False] * 5
    assert await epoch_of(database) == first
    async with database.begin() as connection:
        await connection.execute(text("UPDATE installation SET identity = 'where the copy was made'"))

    noticed = await asyncio.gather(*(notice_restore(database) for _ in range(5)))

    assert sorted(noticed) == [False] * 4 + [True]
    assert await epoch_of(database) != first
    assert await notice_restore(database) is False
    assert await audited(database) == [("SYSTEM", "newEpoch", "The database was restored from a copy.")]


async def test_an_epoch_that_has_ended_is_not_ended_again(database: "PostgresDatabase") -> None:
    first = await epoch_of(database)
    assert await begin_epoch(database, present=first, reason="once")
    second = await epoch_of(database)

    assert await begin_epoch(database, present=first, reason="late") is False
    assert await begin_epoch(database, present=uuid4(), reason="wrong") is False

    assert await epoch_of(database) == second != first
    assert len(await audited(database)) == 1


async def test_a_board_of_an_ended_epoch_stands_no_longer_though_its_version_is_the_present_one(
    database: "PostgresDatabase",
) -> None:
    made = await make_tournament(database)
    board = await Boards(database, None, utc_now).open(BoardKey(tournament_id=made.id))
    assert board is not None
    assert await board.stands()

    await begin_epoch(database, present=await epoch_of(database), reason="restored")

    assert not await board.stands()


async def test_an_operator_begins_one_and_says_why(database: "PostgresDatabase", database_url: str) -> None:
    first = await epoch_of(database)
    done = await run_forked("db", "new-epoch", "--reason", "restored by hand", DATABASE_URL=database_url)

    assert (done.returncode, done.stdout.strip()) == (0, "A new epoch has begun.")
    assert await epoch_of(database) != first
    assert await audited(database) == [("OPERATOR", "newEpoch", "restored by hand")]
