"""What a document may cost: how many objects an answer can have, by page sizes.

A field that gives an object costs 1; below a field with `first` (or `last`) its `edges` cost that many times, other
lists of objects a fixed number of times. The plan is made once a document; variables are put in at each request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

LIST_SIZE = 10
"""Taken for lists that are no pages."""
DEFAULT_PAGE = 50
LARGEST_PAGE = 100
PAGE_ARGUMENTS = ("first", "last")


@dataclass(frozen=True, slots=True)
class Plan:
    """The cost of a selection: own objects, plus each part times its factor."""

    own: int
    parts: Sequence["Part"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a plan; the factor is a number, or a variable with the page size that it stands for by default."""

    plan: Plan
    factor: "int | PageVariable" = 1


@dataclass(frozen=True, slots=True)
class PageVariable:
    """A page size that comes with each request: the largest of some variables, or the default when none is given."""

    names: tuple[str, ...]
    default: int


def plan_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Plan:
    """The plan of one operation of a valid document."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    root = schema.get_root_type(operation.operation)
    return _Planner(schema, fragments).selection(operation.selection_set, root, 1)


def cost_of(plan: Plan, variables: Mapping[str, Any]) -> int:
    """Objects that an answer may have at most; the variables are coerced, so that they have their defaults."""
    return _cost(plan, variables, {})


def _cost(plan: Plan, variables: Mapping[str, Any], known: dict[int, int]) -> int:
    if id(plan) not in known:
        parts = (_factor(part.factor, variables) * _cost(part.plan, variables, known) for part in plan.parts)
        known[id(plan)] = plan.own + sum(parts)
    return known[id(plan)]


def _factor(factor: int | PageVariable, variables: Mapping[str, Any]) -> int:
    if isinstance(factor, int):
        return factor
    given = [value for name in factor.names if isinstance(value := variables.get(name), int)]
    return _page(max(given, default=factor.default))


def _page(size: int) -> int:
    """Sizes out of bounds are refused by the field itself."""
    return min(max(size, 0), LARGEST_PAGE)


class _Planner:
    """Plans selections; fragments once for each page size that they are spread below."""

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments
        self._known: dict[tuple[str, int | PageVariable], Plan] = {}

    def selection(
        self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None, page: int | PageVariable
    ) -> Plan:
        nodes = selections.selections if selections is not None else ()
        return Plan(0, tuple(part for node in nodes if (part := self._part(node, parent, page)) is not None))

    def _part(self, node: object, parent: GraphQLNamedType | None, page: int | PageVariable) -> Part | None:
        match node:
            case FieldNode():
                return self._field(node, parent, page)
            case InlineFragmentNode():
                condition = node.type_condition
                kind = self._schema.get_type(condition.name.value) if condition else parent
                return Part(self.selection(node.selection_set, kind, page))
            case FragmentSpreadNode():
                return Part(self._fragment(node.name.value, page))
        return None

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, page: int | PageVariable) -> Part | None:
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return None
        field = parent.fields.get(node.name.value)
        if field is None or not is_composite_type(get_named_type(field.type)):
            return None
        below = self._page_size(node.arguments or (), field.args)
        plan = self.selection(node.selection_set, get_named_type(field.type), below)
        factor: int | PageVariable = 1
        if is_list_type(get_nullable_type(field.type)):
            factor = page if node.name.value == "edges" else LIST_SIZE
        return Part(Plan(1, plan.parts), factor)

    def _fragment(self, name: str, page: int | PageVariable) -> Plan:
        if (name, page) not in self._known:
            node = self._fragments[name]
            kind = self._schema.get_type(node.type_condition.name.value)
            self._known[name, page] = self.selection(node.selection_set, kind, page)
        return self._known[name, page]

    def _page_size(self, given: Sequence[ArgumentNode], known: Mapping[str, GraphQLArgument]) -> int | PageVariable:
        if "first" not in known:
            return 1
        default = _default(known["first"])
        sizes = [argument.value for argument in given if argument.name.value in PAGE_ARGUMENTS]
        names = tuple(size.name.value for size in sizes if isinstance(size, VariableNode))
        numbers = [int(size.value) for size in sizes if isinstance(size, IntValueNode)]
        number = max(numbers, default=default)
        return PageVariable(names, number) if names else _page(number)


def _default(argument: GraphQLArgument) -> int:
    """The default of an argument, wherever the schema's builder has put it."""
    default = argument.default
    if isinstance(argument.default_value, int):
        return argument.default_value
    if default is not None and isinstance(default.literal, IntValueNode):
        return int(default.literal.value)
    return DEFAULT_PAGE
