"""Statements that are compiled once in a test process, as in one of the product.

Each test has an engine of its own, which would compile anew whatever it executes: a third of what such a test computes.
"""

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.util import LRUCache

_MOST = 2_000


def compile_once() -> None:
    """From now on, for every engine of this process."""
    # A compiled statement is found again by its dialect too. Those of one server differ in how they write JSON.
    PGDialect_asyncpg.__eq__ = lambda self, other: _key(self) == _key(other)
    PGDialect_asyncpg.__hash__ = lambda self: hash(_key(self))
    compiled = LRUCache(_MOST)

    @event.listens_for(Engine, "engine_connect")
    def share(connection: Connection) -> None:
        connection.execution_options(compiled_cache=compiled)


def _key(dialect: object) -> tuple[object, ...]:
    return type(dialect), getattr(dialect, "_json_serializer", None), getattr(dialect, "_json_deserializer", None)
