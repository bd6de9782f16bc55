"""Owns the connection pool of a process: the concrete side of `domain.database.Database`."""

import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from runtime.database_url import DatabaseUrl, parse_database_url
from runtime.reads import Reads

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

    from domain.database import Database

_TRUSTED_SECONDS = 5.0
_PATIENCE_SECONDS = 5.0
"""For one that lay idle to answer. A server that is only busy does; behind one that is silent nobody else must wait."""
_FIRST_OWN_TYPE = 16_384
"""The numbers below are PostgreSQL's own types, and the same in every database."""
_to_json = partial(json.dumps, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class PostgresDatabase:
    """Transactions and reads on one pool; one per process, closed at its end."""

    def __init__(self, address: DatabaseUrl, engine: AsyncEngine) -> None:
        self._address = address
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._reads = Reads(engine)
        self._open: WeakSet[asyncpg.Connection] = WeakSet()
        self._is_closed = False
        event.listen(engine.sync_engine.pool, "connect", self._note)

    @classmethod
    def create(
        cls,
        url: str,
        *,
        pool_size: int = 10,
        application_name: str = "palpite",
        statement_timeout: float = 60.0,
        lock_timeout: float = 20.0,
        idle_in_transaction_timeout: float = 60.0,
        pool_timeout: float = 5.0,
    ) -> Self:
        """A pool that connects when it is first used. All timeouts in seconds; 0 switches one off.

        Raises:
            SetupError: the address cannot be used.
        """
        address = parse_database_url(url)
        server_settings = {
            "application_name": application_name,
            "timezone": "UTC",
            "statement_timeout": _milliseconds(statement_timeout),
            "lock_timeout": _milliseconds(lock_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(idle_in_transaction_timeout),
            **address.server_settings,
        }
        return cls(address, _engine(address, server_settings, pool_size, pool_timeout))

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One READ COMMITTED transaction: committed at the end of the block, rolled back by an exception."""
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement stands for itself."""
        async with self._reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self, *, of: AsyncConnection | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction for reads that all see one moment: that of another snapshot, if `of` one."""
        async with self.begin() as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            if of is not None:
                moment = (await of.execute(text("SELECT pg_export_snapshot()"))).scalar_one()
                await connection.execute(text(f"SET TRANSACTION SNAPSHOT '{moment}'"))
            yield connection

    async def fetch(self, statement: "Select[Any]", values: Mapping[str, Any]) -> list[Any]:
        """The rows that one statement by itself finds, which is built once; see `domain.database.Database`."""
        return await self._reads.fetch(statement, values)

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[asyncpg.Connection]:
        """A plain asyncpg connection outside the pool, for LISTEN; it lives as long as the block."""
        connection = await asyncpg.connect(**self._address.raw_arguments())
        try:
            yield connection
        finally:
            connection.terminate()

    async def close(self) -> None:
        """Give every connection back to the server; an answer to that is not waited for, for it may never come."""
        event.listen(self._engine.sync_engine.pool, "close", _part)
        self._is_closed = True
        await self._engine.dispose()
        for connection in list(self._open):
            connection.terminate()  # still in use by what nobody waits for

    def _note(self, connection: Any, _: object) -> None:
        self._open.add(connection.driver_connection)
        if self._is_closed:  # it was being made
            connection.terminate()


def _engine(
    address: DatabaseUrl, server_settings: Mapping[str, str], pool_size: int, pool_timeout: float
) -> AsyncEngine:
    connect_args: dict[str, Any] = {"timeout": 5.0, **address.connect_args, "server_settings": dict(server_settings)}
    connect_args["connection_class"] = _connection_class()
    engine = create_async_engine(
        address.url,
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        connect_args=connect_args,
        json_serializer=_to_json,
        hide_parameters=True,  # errors end up in logs, and values may be guesses or e-mail addresses
    )
    _look_before_use(engine)
    return engine


def _connection_class() -> type[asyncpg.Connection]:
    """Connections that look types up once for all of them.

    The driver does so on each, when that first sends an array: 30 ms, where many wait for who they are after a start.
    """
    known: dict[frozenset[int], Any] = {}

    class Connection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
        async def _introspect_types(self, typeoids: Iterable[int], timeout: float) -> Any:
            wanted = frozenset(typeoids)
            if wanted in known:
                return known[wanted]
            found = await super()._introspect_types(typeoids, timeout)
            if max(wanted) < _FIRST_OWN_TYPE:
                known[wanted] = found
            return found

    return Connection


def _part(connection: Any, _: object) -> None:
    connection.driver_connection.terminate()


def _look_before_use(engine: AsyncEngine) -> None:
    """Replace connections that are gone before they are used.

    The driver knows at once which were closed. Those that lay idle are asked besides, for what is between may have
    dropped them in silence; to ask each time would cost as much as the statement that follows.
    """
    pool = engine.sync_engine.pool

    @event.listens_for(pool, "checkin")
    def note(_: "DBAPIConnection | None", entry: "ConnectionPoolEntry") -> None:
        entry.info["idle_since"] = monotonic()

    @event.listens_for(pool, "checkout")
    def look(connection: Any, entry: "ConnectionPoolEntry", _: object) -> None:
        driver: Any = entry.driver_connection
        if driver is None or driver.is_closed():
            raise InvalidatePoolError
        if monotonic() - entry.info.get("idle_since", math.inf) > _TRUSTED_SECONDS:
            try:
                connection.run_async(lambda driver: driver.fetchrow(";", timeout=_PATIENCE_SECONDS))
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as problem:
                driver.terminate()  # to part in good order would take an answer
                raise InvalidatePoolError from problem


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


if TYPE_CHECKING:
    _conforms: type[Database] = PostgresDatabase
