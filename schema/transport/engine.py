"""Runs GraphQL requests: one pipeline of limits, parsing, validation and cost for every transport."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, cast
from weakref import WeakValueDictionary

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    Source,
    create_source_event_stream,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.values import get_variable_values

from domain.errors import Unavailable
from schema import ids
from schema.context import ApiContext
from schema.shared import ErrorCode
from schema.sharing import shown_tournament
from schema.transport.answers import Query
from schema.transport.cost import Plan, cost_of, plan_of
from schema.transport.executor import NativeExecutor
from schema.transport.faults import ErrorWriter, IsOutage, Kind, RequestRefused, refused, too_complex
from schema.transport.limits import Limits
from schema.transport.measure import check_size, scan
from schema.transport.parts import Parts
from schema.transport.requests import GraphQLRequest
from schema.transport.selections import Selections
from schema.transport.subscriptions import Begun, Sharing, sharing_of

_ATTEMPTS = 3
"""Of a query during which a board moves each time; nobody waits for boards to stand still."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Prepared:
    """A valid document and the plans of its operations."""

    text: str
    document: DocumentNode
    operations: Mapping[str | None, OperationDefinitionNode]
    plans: Mapping[str | None, Plan]
    sharing: Mapping[str | None, Sharing | None]
    selections: Selections


@dataclass(frozen=True, slots=True)
class Operation:
    """A request that may be executed."""

    prepared: Prepared
    name: str | None
    node: OperationDefinitionNode
    variables: Mapping[str, Any]
    cost: int
    sharing: Sharing | None
    """How it is shared with equal ones, if it may be."""
    query: Query | None = None
    """Of a query that may be shared: what its answer is kept by."""

    @property
    def kind(self) -> OperationType:
        return self.node.operation


class Engine:
    """One per process. Valid documents are remembered, so that only new ones are parsed and validated."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, is_outage: IsOutage) -> None:
        self.limits = limits
        self.errors = ErrorWriter(is_outage, limits.errors)
        self._schema = schema
        self._known: OrderedDict[str, Prepared] = OrderedDict()
        self._followed: WeakValueDictionary[str, Prepared] = WeakValueDictionary()
        """Those that streams hold on to, and others that they did and are still known."""

    def prepare(self, request: GraphQLRequest, allowed: Collection[OperationType]) -> Operation:
        """Check a request against all limits and the schema.

        Raises:
            RequestRefused: it is not to be executed.
        """
        prepared = self._document(request.query)
        node, plan = self._choose(prepared, request.operation_name)
        if node.operation not in allowed:
            kind = Kind.METHOD if node.operation is OperationType.MUTATION else Kind.DOCUMENT
            raise refused(kind, _not_here(node.operation))
        # What the document does not ask would make streams unequal, and be held as long as they last.
        asked = [definition.variable.name.value for definition in node.variable_definitions or ()]
        inputs = {name: request.variables[name] for name in asked if name in request.variables}
        values = get_variable_values(self._schema, node.variable_definitions or (), inputs, hide_suggestions=True)
        if isinstance(values, list):
            raise RequestRefused(Kind.DOCUMENT, values)
        cost = cost_of(plan, values.coerced)
        if cost > self.limits.cost:
            most = self.limits.cost
            raise too_complex(
                f"An answer may have at most {most} objects, this one could have {cost}: ask for smaller pages."
            )
        sharing = prepared.sharing[node.name.value if node.name else None]
        query = _query(request.operation_name, inputs, node, sharing, cost) if sharing is not None else None
        return Operation(prepared, request.operation_name, node, inputs, cost, sharing, query)

    async def execute(self, operation: Operation, context: ApiContext) -> dict[str, Any]:
        """Run a query or mutation; the answer has `data`, and `errors` when there are any.

        What one answer shows of a board belongs together: a query during which one has moved is executed anew.
        """
        try:
            return await self.execute_until(self.deadline(), operation, context)
        except TimeoutError:
            return self.late(context)

    async def execute_until(self, deadline: float, operation: Operation, context: ApiContext) -> dict[str, Any]:
        """The same, for what has taken a part of its time already.

        Raises:
            TimeoutError: it takes too long.
        """
        result: ExecutionResult | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                for _ in range(_ATTEMPTS):
                    executed = self.executor(operation, context).execute_operation()
                    result = cast("ExecutionResult", await executed if isawaitable(executed) else executed)
                    has_moved = any(board.has_moved for board in context.boards)
                    if operation.kind is not OperationType.QUERY or not has_moved:
                        break
                    context.renew_loaders()
        if result is None:
            raise TimeoutError
        return self.answer(result, context)

    def deadline(self) -> float:
        """When what begins now has taken too long, on the clock of the loop."""
        return asyncio.get_running_loop().time() + self.limits.request_seconds

    def late(self, context: ApiContext) -> dict[str, Any]:
        """The answer to what takes too long."""
        problem = Unavailable(
            f"The answer took more than {self.limits.request_seconds:g} seconds; ask for less, or try again."
        )
        return {"errors": self.errors.write_exception(problem, context.request.id), "data": None}

    async def begin(self, operation: Operation, context: ApiContext) -> Begun:
        """Begin a subscription.

        Raises:
            RequestRefused: it cannot begin.
        """
        self._follow(operation.prepared)
        executor = self.executor(operation, context)
        source = create_source_event_stream(executor)
        if not isinstance(source, ExecutionResult | AsyncIterable):
            source = await source
        if isinstance(source, ExecutionResult):
            raise RequestRefused(Kind.DOCUMENT, source.errors or [])
        return Begun(self, operation, context, executor, source)

    def _follow(self, prepared: Prepared) -> None:
        """A stream holds on to its document, 330 kB of the largest: strangers could have gigabytes of them held."""
        if prepared.text not in self._followed and self._is_full():
            most = self.limits.documents_followed
            message = f"A server follows at most {most} different documents; try again later."
            raise refused(Kind.DOCUMENT, message, ErrorCode.LIMIT_REACHED)
        self._followed[prepared.text] = prepared

    def _is_full(self) -> bool:
        """Whether streams hold all that they may. What they let go is forgotten first, and not what they hold."""
        if len(self._followed) >= self.limits.documents_followed:
            for text in list(self._followed):
                self._known.pop(text, None)
        return len(self._followed) >= self.limits.documents_followed

    def executor(self, operation: Operation, context: ApiContext) -> NativeExecutor:
        """What executes an operation in a context.

        Raises:
            RequestRefused: its variables do not fit.
        """
        executor = NativeExecutor.build(
            self._schema,
            operation.prepared.document,
            context_value=context,
            raw_variable_values=dict(operation.variables),
            operation_name=operation.name,
            hide_suggestions=True,
            selections=operation.prepared.selections,
            parts=_parts(operation, context),
        )
        if isinstance(executor, list):
            raise RequestRefused(Kind.DOCUMENT, executor)
        return cast("NativeExecutor", executor)

    def answer(self, result: ExecutionResult, context: ApiContext) -> dict[str, Any]:
        """What a client gets of a result."""
        answer: dict[str, Any] = {}
        if result.errors:
            answer["errors"] = self.errors.write(result.errors, context.request.id)
        answer["data"] = result.data
        return answer

    def _document(self, text: str) -> Prepared:
        if text in self._known:
            self._known.move_to_end(text)
            return self._known[text]
        prepared = self._known[text] = self._followed.get(text) or self._prepare(text)
        if len(self._known) > self.limits.documents_kept:
            self._known.popitem(last=False)
        return prepared

    def _prepare(self, text: str) -> Prepared:
        if len(text.encode("utf-8", "replace")) > self.limits.document:
            raise too_complex(f"A document may have at most {self.limits.document} bytes.")
        document = self._parse(Source(text, "document"))
        check_size(document, self.limits)
        errors = validate(self._schema, document, specified_rules, self.limits.errors, hide_suggestions=True)
        if errors:
            raise RequestRefused(Kind.DOCUMENT, errors)
        found = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        operations = {node.name.value if node.name else None: node for node in found}
        plans = {name: plan_of(self._schema, document, node) for name, node in operations.items()}
        sharing = {name: sharing_of(self._schema, document, node) for name, node in operations.items()}
        return Prepared(text, document, operations, plans, sharing, Selections(self._schema, document))

    def _parse(self, source: Source) -> DocumentNode:
        try:
            scan(source, self.limits)
            return parse(source, no_location=False)
        except GraphQLSyntaxError as problem:
            raise RequestRefused(Kind.DOCUMENT, [problem]) from problem

    @staticmethod
    def _choose(prepared: Prepared, name: str | None) -> tuple[OperationDefinitionNode, Plan]:
        if name is None and len(prepared.operations) == 1:
            (only,) = prepared.operations
            return prepared.operations[only], prepared.plans[only]
        if name is None or name not in prepared.operations:
            message = f'Unknown operation named "{name}".' if name else "`operationName` must name one operation."
            raise RequestRefused(Kind.DOCUMENT, [GraphQLError(message, extensions={"code": "INVALID_INPUT"})])
        return prepared.operations[name], prepared.plans[name]


def _query(
    name: str | None, variables: Mapping[str, Any], node: OperationDefinitionNode, sharing: Sharing, cost: int
) -> Query | None:
    """What the answer to a query of one tournament is kept by."""
    shown = shown_tournament(node, variables) if node.operation is OperationType.QUERY else None
    tournament_id = ids.tournament_id(shown) if shown is not None else None
    if tournament_id is None:
        return None
    # All of the variables: only streams are equal whatever `after` says.
    written = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
    return Query((sharing.document, name, written), tournament_id, cost)


def _parts(operation: Operation, context: ApiContext) -> Parts | None:
    if context.answers is None or operation.kind is not OperationType.QUERY:
        return None
    return Parts(context.answers, operation.prepared.selections, operation.node, operation.variables)


def _not_here(kind: OperationType) -> str:
    if kind is OperationType.MUTATION:
        return "Send mutations by POST."
    if kind is OperationType.SUBSCRIPTION:
        return "Subscribe over a websocket or by server-sent events."
    return "This operation is not allowed here."
