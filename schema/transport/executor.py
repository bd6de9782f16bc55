"""graphql-core's executor, but that plain fields of an object are completed at once: see `schema.transport.native`."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from copy import copy
from inspect import isawaitable
from typing import Any, TypeVar, cast

import orjson
from graphql import (
    Executor,
    FieldNode,
    GraphQLError,
    GraphQLList,
    GraphQLObjectType,
    GraphQLResolveInfo,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet, collect_fields
from graphql.execution.executor import CollectedErrors
from graphql.pyutils import AwaitableOrValue, Path, gather_with_cancel

from schema.batched import Batch, Table
from schema.transport.native import Native, native_of
from schema.transport.parts import Parts
from schema.transport.selections import Selections

T = TypeVar("T")


class NativeExecutor(Executor[Any]):
    """Runs one operation of a valid document."""

    def __init__(self, *args: Any, selections: Selections, parts: Parts | None = None, **named: Any) -> None:
        """`parts`: what is shared of the operation; None where nothing is to be."""
        super().__init__(*args, **named)
        # What resolvers may be lent, ours are not: with it, executor and context would wait for the garbage collector.
        self.async_helpers = None  # type: ignore[assignment]
        self._known = selections.known(self.variable_values.coerced)
        self._parts = parts

    def native(self, kind: GraphQLObjectType, grouped: GroupedFieldSet) -> Native | None:
        """What is plain of a selection; None when nothing is."""
        key = (kind.name, *[id(field.node) for details in grouped.values() for field in details])
        natives = self._known.natives
        if key not in natives:
            natives[key] = native_of(self, kind, grouped)
        return natives[key]

    def native_below(self, kind: GraphQLObjectType, details: FieldDetailsList) -> Native | None:
        """What is plain below a field; None too when a condition there is null, of which graphql-core tells."""
        try:
            return self.native(kind, self.collect_subfields(kind, details).grouped_field_set)
        except GraphQLError:
            return None

    def complete_event(self, event: object) -> dict[str, Any] | None:
        """The data of an event of a subscription, if all that is selected of it is plain and there; None otherwise."""
        events, asked = self._known.events, (id(self.operation), type(event))
        if asked not in events:
            events[asked] = self._native_of_event(type(event))
        key, native = events[asked]
        if native is None or (native.is_batched and _wanted(native, (event,))):
            return None
        try:
            return {key: native.complete(event)}
        except Exception:  # noqa: BLE001 -- graphql-core finds it too, and says where
            return None

    def _native_of_event(self, kind: type) -> tuple[str, Native | None]:
        """What completes all of an event of this kind, and the name under which it is answered."""
        root = self.schema.subscription_type
        assert root is not None
        grouped, *_ = collect_fields(
            self.schema, self.fragments, self.variable_values, root, self.operation, self.hide_suggestions
        )
        ((key, details),) = grouped.items()
        returned = get_named_type(root.fields[details[0].node.name.value].type)
        possible = self.schema.get_possible_types(returned) if is_abstract_type(returned) else [returned]
        for found in possible:
            native = self.native_below(found, details)
            if native is not None and native.is_of(kind) and not native.rest:
                return key, native
        return key, None

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        """One field of an object."""
        field = (parent_type, source, field_details_list, path, position_context)
        nodes = [details.node for details in field_details_list]
        if self._parts is None or not self._parts.holds(parent_type, source, nodes):
            return super().execute_field(*field)
        return self._execute_part(self._parts, nodes, field)

    async def _execute_part(self, parts: Parts, nodes: list[FieldNode], field: tuple[Any, ...]) -> Any:
        kept = await parts.answer(field[1], nodes, lambda: self._execute_for_all(field))
        if kept is not None:
            return kept
        found = super().execute_field(*field)
        return await found if isawaitable(found) else found

    async def _execute_for_all(self, field: tuple[Any, ...]) -> dict[str, Any]:
        """The value of a field as `data`, or that it has `errors`."""
        executor = copy(self)
        executor.context_value = self.context_value.for_all()
        executor.collected_errors = CollectedErrors()
        executor._parts = None  # noqa: SLF001 -- its own kind
        try:
            found = executor.execute_field(*field)
            data = await found if isawaitable(found) else found
        except GraphQLError as error:
            return {"errors": [error]}
        errors = executor.collected_errors.errors
        return {"errors": errors} if errors else {"data": data}

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        """The fields of an object."""
        native = self.native(parent_type, grouped_field_set) if path is not None else None
        execute = super().execute_fields
        if native is None:
            return execute(parent_type, source_value, path, grouped_field_set, position_context)

        def complete() -> AwaitableOrValue[dict[str, Any]]:
            try:
                found = native.complete(source_value)
            except Exception:  # noqa: BLE001 -- graphql-core finds it too, and says where
                return execute(parent_type, source_value, path, grouped_field_set, position_context)
            if not native.rest:
                return found
            return _joined(found, execute(parent_type, source_value, path, native.rest, position_context))

        return self._when_loaded(native, (source_value,), complete)

    def complete_list_value(
        self,
        return_type: GraphQLList[Any],
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> AwaitableOrValue[list[Any]]:
        """The items of a list."""
        native = self._native_of_items(return_type, field_details_list)
        complete_one_by_one = super().complete_list_value

        def complete() -> AwaitableOrValue[list[Any]]:
            try:
                if native is not None and isinstance(result, Table):
                    return cast("list[Any]", orjson.Fragment(native.write(result)))
                if native is not None and isinstance(result, list | tuple):
                    return [native.complete(item) for item in result]
            except Exception:  # noqa: BLE001, S110 -- as above
                pass
            return complete_one_by_one(return_type, field_details_list, info, path, result, position_context)

        if native is None or isinstance(result, Table):
            return complete()
        return self._when_loaded(native, result, complete)

    def _native_of_items(self, return_type: GraphQLList[Any], details: FieldDetailsList) -> Native | None:
        """What completes all of an item."""
        kind = get_nullable_type(return_type.of_type)
        if not is_object_type(kind):
            return None
        native = self.native_below(kind, details)
        return None if native is None or native.rest else native

    def _when_loaded(
        self, native: Native, items: Iterable[Any], complete: Callable[[], AwaitableOrValue[T]]
    ) -> AwaitableOrValue[T]:
        wanted = _wanted(native, items) if native.is_batched else {}
        return self._loaded(wanted, complete) if wanted else complete()

    async def _loaded(self, wanted: dict[Batch, set[str]], complete: Callable[[], AwaitableOrValue[T]]) -> T:
        loads = [batch.load(names, self.context_value.loaders) for batch, names in wanted.items()]
        with suppress(Exception):  # what is not there fails its fields
            await (loads[0] if len(loads) == 1 else gather_with_cancel(*loads))
        found = complete()
        return await found if isawaitable(found) else found


def _wanted(native: Native, items: Iterable[Any]) -> dict[Batch, set[str]]:
    """What is to be loaded before objects can be completed."""
    found: dict[Batch, set[str]] = {}
    try:
        for item in items:
            native.wants(item, found)
    except Exception:  # noqa: BLE001 -- then it cannot be completed natively
        return {}
    return {batch: names for batch, names in found.items() if not batch.has(names)}


def _joined(found: dict[str, Any], rest: AwaitableOrValue[dict[str, Any]]) -> AwaitableOrValue[dict[str, Any]]:
    return _join(found, rest) if isawaitable(rest) else found | rest


async def _join(found: dict[str, Any], rest: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    return found | await rest
