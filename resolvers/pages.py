"""Pages of lists: their size, and cursors that are valid for one field and its arguments only."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from domain.errors import InvalidInput

T = TypeVar("T")
LARGEST_PAGE = 100
SHORT_LIST = 1_000
LONGEST_CURSOR = 2_000
MARK_BYTES = 8


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list in order, each with its cursor."""

    items: Sequence[T]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    total: int = 0
    """Items in all, where the list tells it."""


def page_size(size: int, argument: str = "first") -> int:
    """Check how many items are asked for.

    Raises:
        InvalidInput: not 1 to 100.
    """
    if not 1 <= size <= LARGEST_PAGE:
        raise InvalidInput(f"`{argument}` must be 1 to {LARGEST_PAGE}.", field=(argument,))
    return size


class Cursors:
    """Writes and reads the cursors of one list: the sort key of an item, and a digest of what the list was asked with.

    A digest, because arguments may be long, and a cursor goes with each item.
    """

    def __init__(self, name: str, *arguments: object) -> None:
        asked = [name, *(None if argument is None else str(argument) for argument in arguments)]
        self._mark = blake2b(json.dumps(asked).encode(), digest_size=MARK_BYTES).hexdigest()

    def write(self, *key: object) -> str:
        """The cursor of the item with this sort key."""
        values = [None if part is None else str(part) for part in key]
        return _pack([self._mark, values])

    def read(self, after: str, *parsers: Callable[[str], Any], argument: str = "after") -> tuple[Any, ...]:
        """The sort key in a cursor, each part read by its parser.

        Raises:
            InvalidInput: not a cursor of this list.
        """
        try:
            return self._read(after, parsers)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
            message = f"`{argument}` must be a cursor of a page of the same field with the same arguments."
            raise InvalidInput(message, field=(argument,)) from problem

    def _read(self, after: str, parsers: Sequence[Callable[[str], Any]]) -> tuple[Any, ...]:
        mark, values = json.loads(_unpack(after))
        if mark != self._mark:
            raise ValueError(after)
        return tuple(parse(value) for value, parse in zip(values, parsers, strict=True))


def words(value: str) -> str:
    """Reads a part that is text, as the database takes it: without halves of characters."""
    if b"\0" in value.encode():
        raise ValueError(value)
    return value


def place(value: str) -> int:
    """Reads a part that is a place in a short list."""
    number = int(value)
    if not 0 <= number <= SHORT_LIST:
        raise ValueError(value)
    return number


def number(value: str) -> int:
    """Reads a part that is a number which a double holds."""
    found = int(value)
    if not 0 <= found < 2**53:
        raise ValueError(value)
    return found


def small_number(value: str) -> int:
    """Reads a part that is a number which the database keeps in 32 bits."""
    found = number(value)
    if found >= 2**31:
        raise ValueError(value)
    return found


def instant(value: str) -> datetime:
    """Reads a part that is an instant."""
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError(value)
    return found.astimezone(UTC)  # the database has no year 0


def instant_or_none(value: str | None) -> datetime | None:
    """Reads a part that is an instant or unknown."""
    return None if value is None else instant(value)


def cut(rows: Sequence[T], first: int, *, after: object, cursor: Callable[[T], str], total: int = 0) -> Page[T]:
    """A page of `first` items out of rows that were read with one more than that."""
    items = rows[:first]
    return Page(
        items=items,
        cursors=[cursor(item) for item in items],
        has_next=len(rows) > first,
        has_previous=after is not None,
        total=total,
    )


def _pack(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _unpack(text: str) -> bytes:
    if len(text) > LONGEST_CURSOR:
        raise ValueError("too long")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
