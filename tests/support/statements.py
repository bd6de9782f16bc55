"""Counts the SQL statements of a block: a list that reads more of them for more rows is found out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


@contextmanager
def recorded_statements(database: "PostgresDatabase") -> Iterator[list[str]]:
    """The statements that a database is sent within the block; transactions' beginnings and ends are not among them."""
    statements: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)
