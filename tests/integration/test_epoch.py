"""The epoch: it changes when the database was restored or somebody says so, once, and not before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from domain.clock import utc_now
from domain.installation.service import Restores, begin_epoch, notice_restore
from domain.installation.store import read_epoch, read_run
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


@pytest.mark.parametrize("refusal", ["insufficient_privilege", "undefined_function", "feature_not_supported"])
async def test_what_may_not_be_asked_is_no_reason_to_compare_nothing(
    database: "PostgresDatabase", database_url: str, refusal: str
) -> None:
    """A server may keep how far it has come to itself, each with a code of its own."""
    async with refusing(database, database_url, refusal) as other:
        async with other.read() as connection:
            assert await read_run(connection) is None
        assert await Restores(other).notice() is False


async def test_another_fault_is_told(database: "PostgresDatabase", database_url: str) -> None:
    async with refusing(database, database_url, "disk_full") as other, other.read() as connection:
        with pytest.raises(DBAPIError, match="refused here"):
            await read_run(connection)


@asynccontextmanager
async def refusing(database: "PostgresDatabase", url: str, condition: str) -> "AsyncIterator[PostgresDatabase]":
    """A pool on a database that answers by an error how far it has come."""
    from runtime.database import PostgresDatabase

    function = "CREATE FUNCTION public.pg_current_wal_flush_lsn() RETURNS pg_lsn LANGUAGE plpgsql"
    async with database.begin() as connection:
        body = f"BEGIN RAISE {condition} USING MESSAGE = 'refused here'; END"
        await connection.execute(text(f"{function} AS $${body}$$"))
        name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        await connection.execute(text(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog'))
    other = PostgresDatabase.create(url, application_name="palpite-test")
    try:
        yield other
    finally:
        await other.close()
