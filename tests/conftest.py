"""Fixtures that every test may use: databases, Valkey, connections. Servers start when the first test asks."""

import gc
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from xdist.scheduler import LoadScopeScheduling

    from runtime.database import PostgresDatabase
    from tests.support.queues import Queue
    from tests.support.servers import TestPostgres

# A busy machine is no failure.
settings.register_profile("palpite", parent=settings.default, deadline=None)
settings.load_profile("palpite")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what was collected out of every later garbage collection: it is a million objects that stay to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In which order, where there are workers."""
    if hasattr(config, "workerinput"):
        from tests.support.spread import mixed

        items[:] = mixed(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadScopeScheduling":
    """Which worker runs which test."""
    from tests.support.spread import Spread

    return Spread(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[TestPostgres]":
    """The PostgreSQL of this pytest process."""
    from tests.support.compiled import compile_once
    from tests.support.servers import running_postgres

    compile_once()
    with running_postgres(in_memory=True) as server:
        yield server


@pytest.fixture
async def database_url(postgres_server: "TestPostgres") -> AsyncIterator[str]:
    """The address of a migrated database that only this test uses."""
    url = await postgres_server.create_database()
    yield url
    postgres_server.leave_database(url)


@pytest.fixture
async def empty_database_url(postgres_server: "TestPostgres") -> AsyncIterator[str]:
    """The address of a database without any table."""
    url = await postgres_server.create_database(migrated=False)
    yield url
    postgres_server.leave_database(url)


@pytest.fixture
async def database(database_url: str) -> "AsyncIterator[PostgresDatabase]":
    """A pool on this test's database."""
    from runtime.database import PostgresDatabase

    pool = PostgresDatabase.create(database_url, application_name="palpite-test")
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """The address of the Valkey of this pytest process."""
    from tests.support.servers import running_valkey

    with running_valkey() as url:
        yield url


@pytest.fixture
async def valkey_url(valkey_server: str) -> str:
    """The address of an empty Valkey."""
    from redis.asyncio import Redis

    async with Redis.from_url(valkey_server) as client:
        await client.flushall()
    return valkey_server


@pytest.fixture
async def valkey(valkey_url: str) -> "AsyncIterator[Redis]":
    """A client that answers bytes."""
    from redis.asyncio import Redis

    async with Redis.from_url(valkey_url, decode_responses=False) as client:
        yield client


@pytest.fixture(scope="session")
def nats_server() -> Iterator[str]:
    """The address of the NATS of this pytest process."""
    from tests.support.queues import running_nats

    with running_nats() as url:
        yield url


@pytest.fixture(params=["valkey", "nats"])
async def jobs(request: pytest.FixtureRequest, valkey_url: str) -> "Queue":
    """The empty queue of each broker."""
    from tests.support.queues import NatsQueue, ValkeyQueue

    if request.param == "valkey":
        return ValkeyQueue(valkey_url)
    queue = NatsQueue(request.getfixturevalue("nats_server"))
    await queue.lose()
    return queue
