"""The one `MetaData` of the database, and the column shapes that its tables share."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import count
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Insert,
    MetaData,
    Table,
    Text,
    any_,
    bindparam,
    func,
    insert,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.dialects.postgresql.dml import OnConflictDoNothing, OnConflictDoUpdate

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Uuid = UUID(as_uuid=True)
Instant = DateTime(timezone=True)


def one_of(column: str, kinds: type[StrEnum], *, name: str | None = None) -> CheckConstraint:
    """CHECK that a text column holds one of an enum's values; a test compares it with the enum."""
    values = ", ".join(f"'{kind.value}'" for kind in kinds)
    return CheckConstraint(f"{column} IN ({values})", name=name or column)


def created_at(name: str = "created_at") -> "Column[Any]":
    return Column(name, Instant, nullable=False, server_default=func.clock_timestamp())


def text(name: str, *, nullable: bool = False, **options: Any) -> "Column[Any]":
    return Column(name, Text, nullable=nullable, **options)


def among(column: "Column[Any]", values: Iterable[Any]) -> ColumnElement[bool]:
    """That a column holds one of the values: one statement text for any number of them, unlike IN."""
    return column == any_(bindparam(column.name, list(values), type_=ARRAY(column.type), unique=True))


class _OrNothing(OnConflictDoNothing):
    """Without columns it is always the same text: so a statement with it need not be compiled each time."""

    _traverse_internals = []  # noqa: RUF012 -- a declaration to SQLAlchemy, read only


def any_of(column: "Column[Any]", given: str) -> ColumnElement[bool]:
    """The same for statements that are built once: the values are `given` by name when it runs."""
    return column == any_(bindparam(given, type_=ARRAY(column.type)))


def constant(value: StrEnum) -> ColumnElement[str]:
    """A value that is part of the statement's text: so that a partial index on it is found, and none is bound."""
    return literal_column(f"'{value.value}'", Text)


class _OrUpdate(OnConflictDoUpdate):
    """Known by its number, which SQLAlchemy can compare: so a statement with it need not be compiled each time."""

    _traverse_internals = []  # noqa: RUF012 -- a declaration to SQLAlchemy, read only
    _numbers = count()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._number = next(self._numbers)

    def _gen_cache_key(self, *_: object) -> tuple[type, int]:
        return type(self), self._number


def insert_or_nothing(table: Table) -> Insert:
    """Insert rows but for those that are there already, by whatever unique key.

    As `on_conflict_do_nothing` of the dialect, whose statements SQLAlchemy 2.0 compiles anew each time.
    """
    statement = insert(table)
    statement._post_values_clause = _OrNothing()  # noqa: SLF001
    return statement


def or_update(statement: Insert, key: Sequence[str], values: Mapping[str, Any], where: ColumnElement[bool]) -> Insert:
    """`on_conflict_do_update` for statements that are built once: the dialect's are compiled anew each time."""
    statement._post_values_clause = _OrUpdate(index_elements=key, set_=values, where=where)  # noqa: SLF001
    return statement
