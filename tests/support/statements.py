"""Watches the SQL of a database: how many statements a block sends, and when one of them waits for a lock.

A list that reads more of them for more rows is found out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from runtime.reads import Written

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from runtime.database import PostgresDatabase


@contextmanager
def recorded_statements(database: "PostgresDatabase") -> Iterator[list[str]]:
    """The statements that a database is sent within the block; transactions' beginnings and ends are not among them."""
    statements: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    engine, reads = database._engine.sync_engine, database._reads
    written = reads.written

    def note(*given: Any) -> Written:
        statements.append(written(*given).text)
        return written(*given)

    event.listen(engine, "before_cursor_execute", record)
    reads.written = note  # type: ignore[method-assign]
    try:
        yield statements
    finally:
        reads.written = written  # type: ignore[method-assign]
        event.remove(engine, "before_cursor_execute", record)


async def until_one_waits(database: "PostgresDatabase", count: int = 1) -> None:
    """Until a statement of this database waits for a lock, or so many do."""
    async with database.read() as connection:
        for _ in range(20_000):
            if await waiting(connection) >= count:
                return
    pytest.fail("nothing has waited for a lock")


async def waiting(connection: "AsyncConnection") -> int:
    """How many statements of this database wait for a lock; other tests' are on the same server."""
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int((await connection.execute(blocked)).scalar_one())
