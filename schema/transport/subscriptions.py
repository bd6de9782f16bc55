"""Subscriptions that have begun: each followed alone, or, where its fields are shareable, executed once for all."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    execute_subscription_event,
    map_source_to_response_event,
    print_ast,
)
from graphql.language import FieldNode, NamedTypeNode, ValueNode, VariableNode

from domain.errors import Unavailable
from live.seats import Seat, Sink
from live.streams import Stream
from resolvers.context import RequestFacts
from schema.context import ApiContext
from schema.followed import Follow, Followed
from schema.shared import ErrorCode
from schema.sharing import is_shareable
from schema.transport.executor import NativeExecutor
from schema.transport.variables import times_asked

if TYPE_CHECKING:
    from schema.transport.engine import Engine, Operation

_POSITION = "after"
"""The argument that decides the first event of a stream alone."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """What makes two operations equal: the normalised document, and its variables but those of `left_out`."""

    document: str
    left_out: frozenset[str]
    is_resumed_by_variable: bool
    """Whether one variable, if any, is all that says where a client stands: without it, at the beginning."""

    def key(self, name: str | None, variables: Mapping[str, Any], stream_key: Hashable) -> Hashable:
        """Equal for operations whose events look the same."""
        kept = {name: value for name, value in variables.items() if name not in self.left_out}
        return self.document, name, orjson.dumps(kept, option=orjson.OPT_SORT_KEYS), stream_key


def sharing_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Sharing | None:
    """How an operation of a valid document is shared; None when it must not be."""
    if not is_shareable(schema, document, operation):
        return None
    positions = _positions(document, operation)
    optional = _optional_variables(operation)
    is_resumed_by_variable = all(
        isinstance(value, VariableNode) and value.name.value in optional for value in positions
    )
    return Sharing(print_ast(document), _asked_only_in(positions, document), is_resumed_by_variable)


def _optional_variables(operation: OperationDefinitionNode) -> set[str]:
    """Those that are nothing when they are left out: neither required nor with a default."""
    definitions = operation.variable_definitions or ()
    plain = [node for node in definitions if isinstance(node.type, NamedTypeNode) and node.default_value is None]
    return {node.variable.name.value for node in plain}


def _positions(document: DocumentNode, operation: OperationDefinitionNode) -> list[ValueNode]:
    """What says where a client stands: of the stream itself only, for pages of lists go by `after` too."""
    arguments = [argument for node in _root_fields(document, operation) for argument in node.arguments or ()]
    return [argument.value for argument in arguments if argument.name.value == _POSITION]


def _root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> Iterator[FieldNode]:
    """The fields of the operation itself, each once, in whatever fragment they stand."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    todo = list(operation.selection_set.selections)
    while todo:
        match todo.pop():
            case FieldNode() as node:
                yield node
            case InlineFragmentNode() as node:
                todo += node.selection_set.selections
            case FragmentSpreadNode() as node if (fragment := fragments.pop(node.name.value, None)) is not None:
                todo += fragment.selection_set.selections


def _asked_only_in(values: Collection[ValueNode], document: DocumentNode) -> frozenset[str]:
    """The variables in these values that nothing else in a document asks."""
    parts = [
        node for node in document.definitions if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    asked = times_asked(node.selection_set for node in parts)
    return frozenset(name for name, times in times_asked(values).items() if times == asked[name])


class Begun:
    """A subscription whose stream is there and has not been asked for its first event."""

    def __init__(
        self,
        engine: "Engine",
        operation: "Operation",
        context: ApiContext,
        executor: Executor[Any],
        source: AsyncIterable[Any],
    ) -> None:
        self._engine = engine
        self._operation = operation
        self._context = context
        self._executor = executor
        self._source = source

    async def answers(self) -> AsyncGenerator[dict[str, Any], None]:
        """One answer for each event, executed for this client. What ends the stream is raised.

        What could not be read is made good later of what is followed; of others it would be lost, so it ends them.
        """
        is_made_good = isinstance(self._source, Followed)
        events = cast("AsyncGenerator[Any, None]", aiter(self._source))
        results = map_source_to_response_event(self._executor, events)
        try:
            async for result in results:
                answer = self._engine.answer(result, self._context)
                if not is_made_good:
                    _require_read(answer)
                yield answer
        finally:
            await results.aclose()
            await events.aclose()

    @property
    def shared(self) -> "SharedStream | None":
        """What equal ones share; then it is not to be followed alone."""
        sharing, source = self._operation.sharing, self._source
        if sharing is None or not isinstance(source, Followed):
            return None
        key = sharing.key(self._operation.name, self._operation.variables, source.stream.key)
        return SharedStream(self._engine, self._operation, sharing, key, source.follow, source.shape)

    @property
    def stream(self) -> Stream[Any, Any, Any, Any]:
        """That of this client, of what is shared."""
        if not isinstance(self._source, Followed):
            raise TypeError("only what is shareable is joined")
        return self._source.stream


@dataclass(frozen=True, slots=True)
class SharedStream:
    """What equal subscriptions have in common, whoever asks."""

    engine: "Engine"
    operation: "Operation"
    sharing: Sharing
    key: Hashable
    follow: Follow
    shape: Callable[[Any], Any]

    async def join(
        self, context: ApiContext, stream: Stream[Any, Any, Any, Any], sink: Sink
    ) -> Seat[Any, Any, Any, Any]:
        """Have the payloads of all events handed to a sink. Raises what ends the stream before its first event."""
        rendering = Rendering(self.engine, self.operation, context, self.shape)
        return await context.hub.cohorts.join(self.key, stream, rendering, sink)


class Rendering:
    """Executes the events of a stream for everybody: with nobody as the viewer."""

    def __init__(
        self, engine: "Engine", operation: "Operation", asked: ApiContext, shape: Callable[[Any], Any]
    ) -> None:
        """`asked` is of the operation that came first; no viewer is taken from it."""
        self._engine = engine
        self._operation = operation
        self._asked = asked
        self._shape = shape
        self._prepared: tuple[ApiContext, NativeExecutor] | None = None

    async def __call__(self, event: Any) -> bytes:
        """The payload of an event, with the brace that closes a message around it: nothing goes behind it then.

        Raises Unavailable when it needs a server that is away.
        """
        context, executor = self._prepared = self._prepared or self._prepare()
        shaped = self._shape(event)
        if (data := executor.complete_event(shaped)) is not None:
            return orjson.dumps({"data": data}) + b"}"
        context.renew_loaders()
        answer = self._engine.answer(await self._executed(executor, shaped), context)
        _require_read(answer)
        return orjson.dumps(answer) + b"}"

    async def _executed(self, executor: NativeExecutor, shaped: Any) -> ExecutionResult:
        result = execute_subscription_event(executor.build_per_event_executor(shaped))
        try:
            async with asyncio.timeout(self._engine.limits.request_seconds):
                return await result if isawaitable(result) else result
        except TimeoutError:
            raise Unavailable("What an event shows took too long to be read.") from None

    def _prepare(self) -> tuple[ApiContext, NativeExecutor]:
        asked = self._asked
        facts = RequestFacts(id=asked.request.id, address="", user_agent=None)
        context = ApiContext(services=asked.services, request=facts, viewer=None, hub=asked.hub)
        return context, self._engine.executor(self._operation, context)


def _require_read(answer: Mapping[str, Any]) -> None:
    """Raise Unavailable for an event whose answer could not be read whole."""
    if any(error["extensions"]["code"] == ErrorCode.UNAVAILABLE for error in answer.get("errors", ())):
        raise Unavailable("What an event shows cannot be read at the moment.")
