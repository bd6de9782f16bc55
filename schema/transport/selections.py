"""What is known of the selections of one document: found out once, however often it is executed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    print_ast,
)

from schema.sharing import is_part_shareable
from schema.transport.native import Native
from schema.transport.variables import places_of, variables_of, variables_of_directives


@dataclass(frozen=True, slots=True)
class Known:
    """What is known to be plain. The document outlives it, so that the ids of nodes stay theirs."""

    natives: dict[tuple[object, ...], Native | None] = field(default_factory=dict)
    """By the type and the nodes of a selection."""
    events: dict[tuple[int, type], tuple[str, Native | None]] = field(default_factory=dict)
    """By the node of an operation and the kind of an event: the name under which it is answered beside it."""


_MOST_WAYS = 16
"""So many ways for conditions to fall are remembered."""
_MOST_FIELDS = 512
"""So many fields: the nodes of one are as many ways together as conditions fall."""


class Selections:
    """Those of a valid document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._document = document
        self._conditions = tuple(variables_of_directives(document))
        self._known: dict[tuple[object, ...], Known] = {}
        self._shareable: dict[tuple[object, ...], bool] = {}
        self._spare: dict[tuple[object, ...], frozenset[str]] = {}

    @cached_property
    def text(self) -> str:
        """The document, normalised."""
        return print_ast(self._document)

    @cached_property
    def _places(self) -> Mapping[int, int]:
        return places_of(self._document)

    def places(self, nodes: Sequence[FieldNode | OperationDefinitionNode]) -> tuple[int, ...]:
        """Where nodes stand in `text`."""
        return tuple(self._places[id(node)] for node in nodes)

    def known(self, variables: Mapping[str, Any]) -> Known:
        """What is known to be plain when @skip and @include ask these variables."""
        way = tuple(variables.get(name) for name in self._conditions)
        if way not in self._known and len(self._known) >= _MOST_WAYS:
            self._known.clear()
        return self._known.setdefault(way, Known())

    def spare(self, operation: OperationDefinitionNode, nodes: Sequence[FieldNode]) -> frozenset[str]:
        """Variables of an operation that nothing below these nodes asks."""
        key = (id(operation), *map(id, nodes))
        if key not in self._spare:
            _make_room(self._spare)
            fragments = [node for node in self._document.definitions if isinstance(node, FragmentDefinitionNode)]
            declared = {node.variable.name.value for node in operation.variable_definitions or ()}
            self._spare[key] = frozenset(declared - variables_of([*nodes, *fragments]))
        return self._spare[key]

    def are_shareable(self, kind: GraphQLObjectType, nodes: Sequence[FieldNode]) -> bool:
        """Whether nodes of one field are shareable, with all below them."""
        key = (kind.name, *map(id, nodes))
        if key not in self._shareable:
            _make_room(self._shareable)
            self._shareable[key] = is_part_shareable(self._schema, self._document, kind, nodes)
        return self._shareable[key]


def _make_room(fields: dict[tuple[object, ...], Any]) -> None:
    if len(fields) >= _MOST_FIELDS:
        fields.clear()
