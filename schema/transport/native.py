"""Completes plain fields of an object at once, without a resolver, a path and arguments for each of them.

A selection is looked into once for its document, and for each way its @skip and @include fall. What is not as expected,
such as null where it must not be, is refused here and executed by graphql-core, whose errors and nulls hold then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

import orjson
from graphql import (
    GraphQLBoolean,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from strawberry.schema.schema_converter import CustomGraphQLEnumType, GraphQLCoreConverter
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from schema.batched import Batch, Batched, Cells, Table
from schema.scalars import LARGEST_INT

Finish: TypeAlias = Callable[[Any], Any]
"""Makes of a field's value what the answer shows; None it refuses, unless its type allows it."""
_DEFINITION = GraphQLCoreConverter.DEFINITION_BACKREF
_AS_THEY_ARE: Mapping[Any, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}


class NotNative(Exception):
    """A value that only graphql-core may judge."""


class Selector(Protocol):
    """What knows the selections of a document."""

    def native_below(self, kind: GraphQLObjectType, details: FieldDetailsList) -> "Native | None": ...


@dataclass(frozen=True, slots=True)
class Plain:
    """A field without a resolver of its own, or a batched one."""

    name: str
    finish: Finish
    below: "Native | None"
    is_batched: bool

    def json(self, value: Any) -> bytes:
        """A value as the answer shows it."""
        return orjson.dumps(self.finish(value))

    def each(self, cells: Cells) -> list[bytes]:
        """The same of objects that are not made, one a value of the field."""
        if self.below is None:
            raise NotNative
        return self.below.each(cells)


class Native:
    """The plain fields of one selection of one object type."""

    __slots__ = ("_batched", "_below", "_blank", "_finishers", "_keys", "_needs", "_origin", "_plain", "_read", "rest")

    def __init__(self, origin: type, blank: dict[str, Any], plain: Mapping[str, Plain], rest: GroupedFieldSet) -> None:
        """`blank`: all keys in order, with what is the same for all objects."""
        read = {key: field for key, field in plain.items() if not field.is_batched}
        self.rest = rest
        """The fields that are not plain."""
        self._origin: Any = origin
        self._blank = blank
        self._plain = plain
        self._keys = list(read)
        self._finishers = [field.finish for field in read.values()]
        self._read = _reader([field.name for field in read.values()])
        self._batched = [(key, field.name, field.finish) for key, field in plain.items() if field.is_batched]
        self._needs = {name for _, name, _ in self._batched}
        self._below = [(field.name, field.below) for field in read.values() if field.below and field.below.is_batched]

    @property
    def is_batched(self) -> bool:
        """Whether something in it is read for many objects together, see `wants`."""
        return bool(self._needs or self._below)

    def is_of(self, kind: type) -> bool:
        """Whether it completes objects of this class."""
        return self._origin is kind

    def complete(self, source: Any) -> dict[str, Any]:
        """The fields of an object in the order of the selection; None stands for the others.

        Raises:
            Exception: NotNative or any other; graphql-core is to judge.
        """
        if type(source) is not self._origin:
            raise NotNative
        found = self._blank.copy()
        for key, finish, value in zip(self._keys, self._finishers, self._read(source), strict=True):
            found[key] = finish(value)
        for key, name, finish in self._batched:
            found[key] = finish(source.batched(name))
        return found

    def write(self, table: Cells) -> bytes:
        """All objects of a table as a list. Raises what `each` raises."""
        return b"[" + b",".join(self.each(table)) + b"]"

    def each(self, table: Cells) -> list[bytes]:
        """The objects of a table. What all of them show alike stands in the text that the rest is put into.

        Raises:
            Exception: as `complete`.
        """
        if table.OF is not self._origin:
            raise NotNative
        texts, columns = list[bytes](), list[Sequence[int | bytes]]()
        for key, value in self._blank.items():
            cells = orjson.dumps(value) if key not in self._plain else table.cells(self._plain[key])
            if isinstance(cells, bytes):
                shown = cells.replace(b"%", b"%%")
            else:
                shown = b"%b" if cells and isinstance(cells[0], bytes) else b"%d"
                columns.append(cells)
            texts.append(orjson.dumps(key) + b":" + shown)
        row = b"{" + b",".join(texts) + b"}"
        if not columns:
            return [row % ()] * len(table)
        return [row % cells for cells in zip(*columns, strict=True)]

    def wants(self, source: Any, found: dict[Batch, set[str]]) -> None:
        """Note what has to be loaded before an object can be completed."""
        if self._needs:
            found.setdefault(source.shared_batch(), set()).update(self._needs)
        for name, native in self._below:
            value = getattr(source, name)
            if not isinstance(value, Table):  # which has all that its objects show
                for item in value if isinstance(value, list | tuple) else (value,):
                    native.wants(item, found)


def native_of(selector: Selector, kind: GraphQLObjectType, grouped: GroupedFieldSet) -> Native | None:
    """What is plain of a selection; None when nothing is."""
    definition = kind.extensions.get(_DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of is not None:
        return None
    blank, plain, rest = dict[str, Any](), dict[str, Plain](), GroupedFieldSet()
    for key, details in grouped.items():
        name = details[0].node.name.value
        blank[key] = kind.name if name == "__typename" else None
        if name != "__typename":
            field = _field(selector, kind, definition.origin, details)
            if field is None:
                rest[key] = details
            else:
                plain[key] = field
    return Native(definition.origin, blank, plain, rest) if len(rest) < len(blank) else None


def _field(selector: Selector, kind: GraphQLObjectType, origin: type, details: FieldDetailsList) -> Plain | None:
    found = kind.fields[details[0].node.name.value]
    field = found.extensions.get(_DEFINITION)
    if not isinstance(field, StrawberryField) or found.args:
        return None
    is_batched = issubclass(origin, Batched) and field.python_name in origin.BATCHED
    if not is_batched and not field.is_basic_field:
        return None
    completed = _finish(selector, found.type, details)
    return None if completed is None else Plain(field.python_name, *completed, is_batched)


def _finish(
    selector: Selector, wanted: GraphQLOutputType, details: FieldDetailsList
) -> tuple[Finish, Native | None] | None:
    """How a value of this type is completed, and by what selection; None when that is not plain."""
    kind = get_nullable_type(wanted)
    below: Native | None = None
    if is_leaf_type(kind):
        finish = _leaf(kind)
    elif is_object_type(kind):
        below = selector.native_below(kind, details)
        if below is None or below.rest:
            return None
        finish = below.complete
    elif is_list_type(kind) and not is_list_type(get_nullable_type(kind.of_type)):
        item = _finish(selector, kind.of_type, details)
        if item is None:
            return None
        finish, below = _list(*item), item[1]
    else:
        return None
    return (finish if is_non_null_type(wanted) else _optional(finish)), below


def _optional(finish: Finish) -> Finish:
    return lambda value: None if value is None else finish(value)


def _list(finish: Finish, below: Native | None) -> Finish:
    def finish_all(values: object) -> list[Any] | orjson.Fragment:
        if isinstance(values, Table) and below is not None:
            return orjson.Fragment(below.write(values))
        if not isinstance(values, list | tuple):
            raise NotNative
        return [finish(value) for value in values]

    return finish_all


def _leaf(kind: GraphQLLeafType) -> Finish:
    def coerced(value: object) -> Any:
        found = None if isinstance(value, Exception) else kind.coerce_output_value(value)
        if value is None or found is None:
            raise NotNative
        return found

    if isinstance(kind, CustomGraphQLEnumType):
        wrapped: Any = kind.wrapped_cls
        names = {
            member: name for member in wrapped for name, found in kind.values.items() if found.value == member.value
        }
        return lambda value: names[value] if type(value) is wrapped else coerced(value)
    if kind is GraphQLInt:
        return lambda value: value if type(value) is int and -LARGEST_INT <= value <= LARGEST_INT else coerced(value)
    exact = _AS_THEY_ARE.get(kind)
    return coerced if exact is None else lambda value: value if type(value) is exact else coerced(value)


def _reader(names: Sequence[str]) -> Callable[[Any], Iterable[Any]]:
    """Reads attributes of an object, however few."""
    match names:
        case []:
            return lambda _: ()
        case [name]:
            return lambda source: (getattr(source, name),)
    return attrgetter(*names)
