"""Crashes at a chosen statement of whatever a block does with the database, its COMMITs counted too."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


class Crashed(Exception):
    """The program fails where a statement was to be sent."""


class Crash(StrEnum):
    RAISE = "an exception"
    CUT = "the connection is cut"


CRASHES = (Crashed, DBAPIError)
"""What comes of them."""


@dataclass
class Fuse:
    """Counts what is sent, and breaks before the statement `at` (from 1; 0: never)."""

    at: int
    kind: Crash
    sent: list[str] = field(default_factory=list)

    def burn(self, connection: Any, statement: str) -> None:
        self.sent.append(statement)
        if len(self.sent) != self.at:
            return
        if self.kind is Crash.RAISE:
            raise Crashed(f"before statement {self.at}: {statement[:60]}")
        connection.connection.driver_connection.terminate()


_FUSE: ContextVar[Fuse | None] = ContextVar("fuse", default=None)


@contextmanager
def crash_at(database: "PostgresDatabase", number: int, kind: Crash = Crash.RAISE) -> Iterator[Fuse]:
    """Crash before statement `number` that this task, and no other, sends within the block; 0 only counts them."""

    def before_statement(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if _FUSE.get() is fuse:
            fuse.burn(connection, statement)

    def before_commit(connection: Any) -> None:
        if _FUSE.get() is fuse and connection.get_isolation_level() != "AUTOCOMMIT":
            fuse.burn(connection, "COMMIT")

    engine = database._engine.sync_engine
    fuse = Fuse(number, kind)
    token = _FUSE.set(fuse)
    event.listen(engine, "before_cursor_execute", before_statement)
    event.listen(engine, "commit", before_commit)
    try:
        yield fuse
    finally:
        event.remove(engine, "commit", before_commit)
        event.remove(engine, "before_cursor_execute", before_statement)
        _FUSE.reset(token)
