"""Owns what commands for the person on call share: a database, ids as they paste them, tables, and JSON for scripts."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import orjson
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table

from domain.clock import utc_now
from domain.errors import DomainError, NotFound
from domain.execution.model import Counts
from runtime.database import PostgresDatabase
from runtime.embedded.servers import servers_for_command
from runtime.errors import SetupError
from runtime.preflight import require_postgres
from runtime.process import require_migrations
from runtime.settings import load_settings
from schema.ids import MalformedId, decode

T = TypeVar("T")
Row = Mapping[str, Any]
"""One line of an answer; the keys are those of the API."""


def with_database(work: Callable[[PostgresDatabase], Awaitable[T]], *, named: str | None = None) -> T:
    """Do something with the database of the Palpite that runs, else of the data folder.

    `named` is what the command line names, with its id, for the case that there is none.

    Raises:
        SetupError: it cannot be reached, or what was asked for is refused; the message says why.
    """
    with servers_for_command(load_settings(), with_valkey=False) as settings:
        return asyncio.run(use_database(settings.required_database_url(), work, named=named))


async def use_database(url: str, work: Callable[[PostgresDatabase], Awaitable[T]], *, named: str | None = None) -> T:
    """Do something with the database at an address. Raises what `with_database` raises."""
    await require_postgres(url)
    await require_migrations(url)
    database = PostgresDatabase.create(url, pool_size=2, application_name="palpite-operator")
    try:
        return await work(database)
    except DomainError as refusal:
        is_missing = named is not None and isinstance(refusal, NotFound)
        raise SetupError(f"There is no {named}." if is_missing else refusal.message) from refusal
    finally:
        await database.close()


def request_id() -> str:
    """Names one command in the audit log and in the logs of what it starts."""
    return f"operator-{uuid4()}"


def parse_id(text: str, kind: str) -> UUID:
    """An id as it stands in logs and tables (a UUID), or as the API gives it.

    Raises:
        SetupError: it is neither.
    """
    try:
        return UUID(text)
    except ValueError:
        pass
    try:
        (part,) = decode(text, kind)
        return UUID(part)
    except (MalformedId, ValueError) as problem:
        raise SetupError(
            f"{text!r} is the id of no {_in_words(kind)}: copy one from the list, from a log line or from the API."
        ) from problem


def _in_words(kind: str) -> str:
    return re.sub(r"\B([A-Z])", r" \1", kind).lower()


def show_rows(rows: Sequence[Row], columns: Mapping[str, str], *, as_json: bool, nothing: str) -> None:
    """A table with `columns` (heading by key) for people, everything for scripts."""
    if as_json:
        _write_json(list(rows))
    elif not rows:
        Console().print(nothing, highlight=False)
    else:
        heading, *lines = _aligned([list(columns.values()), *([as_text(row[key]) for key in columns] for row in rows)])
        console = Console(soft_wrap=True, highlight=False, markup=False)
        console.print(heading, style="bold")
        console.print(*lines, sep="\n")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two spaces apart. No line is broken, so that ids can be copied and lines be searched."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(set_cell_size(*one) for one in zip(row, widths, strict=True)).rstrip() for row in rows]


def show_one(row: Row, *, as_json: bool) -> None:
    """Every value of one thing, a line each."""
    if as_json:
        _write_json(row)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in row.items():
        if value not in (None, [], {}):
            table.add_row(key, as_text(value))
    Console().print(table, highlight=False, markup=False)


def say(words: str) -> None:
    """One sentence for people."""
    Console().print(words, highlight=False, markup=False, soft_wrap=True)


def ago(instant: datetime | None) -> str:
    """How long ago an instant is, in its two largest units; empty for none."""
    return "" if instant is None else f"{duration((utc_now() - instant).total_seconds())} ago"


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units that they have; empty for none."""
    if seconds is None:
        return ""
    left = max(round(seconds), 0)
    parts: list[str] = []
    for name, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count}{name}")
    return " ".join(parts[:2])


def as_text(value: object) -> str:
    """A value in a table."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}Z"
        case Counts():
            return ", ".join(f"{name} {number}" for name, number in asdict(value).items() if number is not None)
        case dict() | list():
            return orjson.dumps(value, default=str).decode()
        case _:
            return str(value)


def _write_json(value: object) -> None:
    Console(soft_wrap=True).print(
        orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode(), highlight=False, markup=False
    )
