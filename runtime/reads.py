"""Owns reads that are made again and again: SQLAlchemy writes their text once, and the driver alone runs them.

For each execution SQLAlchemy costs several times what the driver does. The pool is the one of everything else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from sqlalchemy import Dialect, Select
    from sqlalchemy.ext.asyncio import AsyncEngine

_Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Written:
    """A statement as the driver wants it."""

    text: str
    parameters: list[tuple[str | None, Any, _Convert | None]]
    """In the driver's order: the name of what is given each time, else the value; and what makes it the driver's."""
    columns: dict[str, _Convert]
    """Those whose values are not as the driver gives them out."""

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        given = [(own if name is None else values[name], convert) for name, own, convert in self.parameters]
        return [value if convert is None else convert(value) for value, convert in given]

    def row(self, record: asyncpg.Record) -> SimpleNamespace:
        row = dict(record.items())
        for name, convert in self.columns.items():
            row[name] = convert(row[name])
        return SimpleNamespace(**row)


class Reads:
    """Those of one engine. What is written of their statements is kept as long as it lives."""

    def __init__(self, engine: "AsyncEngine") -> None:
        self._engine = engine
        self._written: dict[Select[Any], Written] = {}

    async def fetch(self, statement: "Select[Any]", values: Mapping[str, Any]) -> list[Any]:
        """See `domain.database.Database.fetch`."""
        written = self.written(statement, values)
        pooled = await self._engine.raw_connection()
        try:
            driver: Any = pooled.driver_connection
            found = await driver.fetch(written.text, *written.arguments(values))
        except BaseException as problem:
            if not isinstance(problem, asyncpg.PostgresError):  # cancelled, or gone: an answer may be on its way
                pooled.invalidate()
            raise
        finally:
            pooled.close()
        return [written.row(record) for record in found]

    def written(self, statement: "Select[Any]", values: Mapping[str, Any]) -> Written:
        """A statement about to be sent."""
        if statement not in self._written:
            self._written[statement] = _write(statement, values, self._engine.dialect)
        return self._written[statement]


def _write(statement: "Select[Any]", values: Mapping[str, Any], dialect: "Dialect") -> Written:
    """`values` are those of the first time: of all others the statement has its own."""
    written: Any = statement.params(values).compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    parameters: list[tuple[str | None, Any, _Convert | None]] = []
    for name in written.positiontup:
        bound = written.binds.get(name)  # the values of an `IN` stand for themselves
        convert = None if bound is None else bound.type.dialect_impl(dialect).bind_processor(dialect)
        parameters.append((name, None, convert) if name in values else (None, written.params[name], convert))
    columns: dict[str, _Convert] = {
        column.name: convert
        for column in statement.selected_columns
        if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
    }
    return Written(written.string, parameters, columns)
