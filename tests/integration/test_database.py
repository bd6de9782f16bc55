"""The pool: transactions commit and roll back, settings reach the server, reads stand for themselves."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import ARRAY, Integer, Text, bindparam, cast, func, literal, literal_column, select, text
from sqlalchemy.dialects.postgresql import JSONB, TSTZMULTIRANGE
from sqlalchemy.exc import DBAPIError

from domain.leaderboard.fold.store import copy
from domain.tables import Uuid
from runtime.database import PostgresDatabase
from runtime.outage import is_outage
from tests.support.cut_proxy import postgres_through_proxy
from tests.support.executions import until
from tests.support.servers import temporary_data

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def test_a_transaction_commits_at_its_end_and_rolls_back_on_an_exception(database: PostgresDatabase) -> None:
    async with database.begin() as connection:
        await connection.execute(text("CREATE TABLE kept (n int)"))
        await connection.execute(text("INSERT INTO kept VALUES (1)"))
    with pytest.raises(RuntimeError, match="no"):
        await _insert_and_fail(database)

    async with database.read() as connection:
        assert (await connection.execute(text("SELECT array_agg(n) FROM kept"))).scalar_one() == [1]


async def _insert_and_fail(database: PostgresDatabase) -> None:
    async with database.begin() as connection:
        await connection.execute(text("INSERT INTO kept VALUES (2)"))
        raise RuntimeError("no")


async def test_a_read_is_not_inside_a_transaction(database: PostgresDatabase) -> None:
    async with database.read() as connection:
        started = [(await connection.execute(text("SELECT transaction_timestamp()"))).scalar_one() for _ in range(2)]

    assert started[0] < started[1]


async def test_connections_that_the_server_closed_are_replaced_unnoticed(
    database: PostgresDatabase, database_url: str
) -> None:
    of_pool = "FROM pg_stat_activity WHERE application_name = 'palpite-test' AND datname = current_database()"
    async with database.read(), database.read(), database.begin():
        pass  # three connections that wait in the pool now
    other = PostgresDatabase.create(database_url, application_name="other")
    async with other.read() as connection:
        ended = await connection.execute(text(f"SELECT count(pg_terminate_backend(pid)) {of_pool}"))
        assert ended.scalar_one() == 3

        async def are_gone() -> bool:
            return not (await connection.execute(text(f"SELECT count(*) {of_pool}"))).scalar_one()

        await until(are_gone)
    await other.close()

    for _ in range(3):
        async with database.begin() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_connections_that_are_silent_are_replaced_by_a_look(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.database._TRUSTED_SECONDS", 0)
    monkeypatch.setattr("runtime.database._PATIENCE_SECONDS", 0.3)
    with temporary_data() as folder:
        async with postgres_through_proxy(database_url, folder) as (proxy, url):
            pool = PostgresDatabase.create(url, pool_size=3)
            async with pool.read(), pool.read(), pool.read():
                pass  # three that wait in the pool now
            proxy.hush()
            proxy.speak()
            pid = select(func.pg_backend_pid().label("pid"))
            async with asyncio.timeout(30):
                found = await asyncio.gather(*(pool.fetch(pid, {}) for _ in range(6)))
            await pool.close()

    assert len(found) == 6


async def _commit(pool: PostgresDatabase, hush: Callable[[], None]) -> None:
    async with pool.begin() as connection:
        await connection.execute(text("SELECT 1"))
        hush()


async def _execute(pool: PostgresDatabase, hush: Callable[[], None]) -> None:
    async with pool.begin() as connection:
        await connection.execute(text("SELECT 1"))
        hush()
        await connection.execute(text("SELECT 2"))


async def _read(pool: PostgresDatabase, hush: Callable[[], None]) -> None:
    async with pool.read() as connection:
        hush()
        await connection.execute(text("SELECT 1"))


async def _fetch(pool: PostgresDatabase, hush: Callable[[], None]) -> None:
    hush()
    await pool.fetch(select(literal(1).label("one")), {})


async def _copy(pool: PostgresDatabase, hush: Callable[[], None]) -> None:
    async with pool.begin() as connection:
        await connection.execute(text("SELECT 1"))
        hush()
        await copy(connection, "SELECT 1")


@pytest.mark.parametrize("use", [_commit, _execute, _read, _fetch, _copy])
async def test_a_connection_that_falls_silent_while_it_is_used_is_lost(
    database_url: str, monkeypatch: pytest.MonkeyPatch, use: Callable[[PostgresDatabase, Callable[[], None]], Any]
) -> None:
    monkeypatch.setattr("runtime.database._PATIENCE_SECONDS", 0.3)
    with temporary_data() as folder:
        async with postgres_through_proxy(database_url, folder) as (proxy, url):
            pool = PostgresDatabase.create(url, pool_size=1, statement_timeout=1.7)
            pid = select(func.pg_backend_pid().label("pid"))
            (first,) = await pool.fetch(pid, {})
            began = monotonic()
            with pytest.raises((TimeoutError, DBAPIError)) as lost:
                await asyncio.wait_for(use(pool, proxy.hush), 30)
            took = monotonic() - began
            proxy.speak()
            async with asyncio.timeout(5):
                (then,) = await pool.fetch(pid, {})
            await pool.close()

    assert 1.9 < took < 4
    assert is_outage(lost.value)
    assert then.pid != first.pid


async def test_a_statement_without_a_limit_has_none_here_either(database_url: str) -> None:
    pool = PostgresDatabase.create(database_url, statement_timeout=0)
    async with pool.read() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        limit = (await connection.execute(text("SHOW statement_timeout"))).scalar_one()
    await pool.close()

    assert (driver._config.command_timeout, limit) == (None, "0")


async def test_settings_reach_the_server(database_url: str) -> None:
    pool = PostgresDatabase.create(database_url, application_name="named", statement_timeout=1.5, lock_timeout=2)
    async with pool.read() as connection:
        names = "application_name", "TimeZone", "statement_timeout", "lock_timeout", "transaction_isolation"
        values = [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in names]
    await pool.close()

    assert values == ["named", "UTC", "1500ms", "2s", "read committed"]


async def test_types_are_looked_up_once_for_all_connections(database_url: str) -> None:
    database = PostgresDatabase.create(database_url, pool_size=2)
    array = select(bindparam("ids", [uuid4()], ARRAY(Uuid)))
    look_ups = text("SELECT count(*) FROM pg_prepared_statements WHERE statement ~ '^\\s*WITH RECURSIVE typeinfo_tree'")
    try:
        async with database.read() as one, database.read() as other:
            for connection, expected in ((one, 1), (other, 0)):
                assert len((await connection.execute(array)).scalar_one()) == 1
                assert (await connection.execute(look_ups)).scalar_one() == expected
    finally:
        await database.close()


async def test_jsonb_keeps_its_text(database: PostgresDatabase) -> None:
    async with database.read() as connection:
        value = {"name": "São Paulo", "scores": [1, None]}
        statement = text("SELECT CAST(:value AS jsonb)").columns()
        found = (await connection.execute(statement, {"value": '{"name": "São Paulo", "scores": [1, null]}'})).scalar()

    assert found == value


async def test_a_dedicated_connection_hears_notifications(database: PostgresDatabase) -> None:
    heard: list[str] = []
    async with database.dedicated() as listener:
        await listener.add_listener("ticks", lambda *arguments: heard.append(arguments[3]))
        async with database.begin() as connection:
            await connection.execute(text("NOTIFY ticks, 'one'"))
        await listener.execute("SELECT 1")

    assert heard == ["one"]


async def test_valkey_starts_empty(valkey: "Redis") -> None:
    assert await valkey.dbsize() == 0
    await valkey.set("left over", b"\x00\xff")
    assert await valkey.get("left over") == b"\x00\xff"


async def test_valkey_is_flushed_between_tests(valkey: "Redis") -> None:
    assert await valkey.dbsize() == 0


async def test_an_error_tells_no_value(database: PostgresDatabase) -> None:
    with pytest.raises(DBAPIError) as failure:
        async with database.begin() as connection:
            await connection.execute(text("SELECT CAST(:secret AS text) / 2"), {"secret": "ana@example.org"})

    assert "ana@example.org" not in str(failure.value)


# ---------------------------------------------------------------- reads by the driver alone

_STATEMENT = select(
    bindparam("id", type_=Uuid).label("id"),
    bindparam("names", type_=ARRAY(Text)).label("names"),
    literal_column("'{\"a\": [1, null]}'::jsonb", JSONB).label("told"),
    literal_column("tstzmultirange(tstzrange('2026-01-01', NULL))", TSTZMULTIRANGE).label("spans"),
    literal("kept").in_(["kept", "other"]).label("is_one"),
)


async def test_what_is_fetched_is_what_sqlalchemy_reads(database: PostgresDatabase) -> None:
    for names in (["a", "b"], [], ["ç"]):
        given = {"id": uuid4(), "names": names}
        async with database.read() as connection:
            (row,) = await connection.execute(_STATEMENT, given)
        (found,) = await database.fetch(_STATEMENT, given)
        assert vars(found) == row._asdict()
        assert (found.id, found.names, found.is_one) == (given["id"], names, True)


async def test_a_value_that_is_not_given_is_not_that_of_an_earlier_time(database: PostgresDatabase) -> None:
    await database.fetch(_STATEMENT, {"id": uuid4(), "names": []})

    with pytest.raises(KeyError, match="names"):
        await database.fetch(_STATEMENT, {"id": uuid4()})


async def test_who_goes_while_it_is_fetched_takes_the_connection_along(database_url: str) -> None:
    pool = PostgresDatabase.create(database_url, pool_size=1)
    pid = select(func.pg_backend_pid().label("pid"))
    (first,) = await pool.fetch(pid, {})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await pool.fetch(select(func.pg_sleep(30).label("slept")), {})

    (then,) = await pool.fetch(pid, {})
    await pool.close()

    assert then.pid != first.pid


async def test_a_refusal_of_the_server_leaves_the_connection_in_the_pool(database_url: str) -> None:
    pool = PostgresDatabase.create(database_url, pool_size=1)
    pid = select(func.pg_backend_pid().label("pid"))
    (first,) = await pool.fetch(pid, {})
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await pool.fetch(select(cast(bindparam("number", type_=Text), Integer).label("n")), {"number": "none"})

    (then,) = await pool.fetch(pid, {})
    await pool.close()

    assert then.pid == first.pid
