"""Which fields are shareable: executed once for all clients that ask for the same, in streams and in queries.

A field is shareable only when it stands here. What depends on who asks must never: `viewer*`, `admin*`, guesses,
predictions, and leagues, which are read with the rights of the viewer.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any
from uuid import UUID

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
)

_EVENT = frozenset({"epoch", "version"})
_PAGE = frozenset({"edges", "pageInfo", "totalCount"})
_EDGE = frozenset({"cursor", "node"})
SHAREABLE: Mapping[str, frozenset[str]] = {
    "Query": frozenset({"tournament"}),
    "Subscription": frozenset({"leaderboardUpdates", "matchUpdates"}),
    "StreamEvent": _EVENT,
    "Node": frozenset({"id"}),
    "LeaderboardSnapshot": _EVENT | {"leaderboard", "rows"},
    "LeaderboardDelta": _EVENT | {"fromVersion", "leaderboard", "rows", "removedRowIds"},
    "MatchSnapshot": _EVENT | {"matches"},
    "MatchDelta": _EVENT | {"fromVersion", "matches", "removedMatchIds"},
    "Resync": _EVENT | {"reason"},
    "Heartbeat": _EVENT | {"at", "stalenessMs"},
    "Leaderboard": frozenset(
        {
            *("id", "tournament", "round", "settledVersion", "streamPosition", "freshness", "settledMatches"),
            *("matches", "rows"),
        }
    ),
    "LeaderboardRowConnection": _PAGE | {"boardMoved"},
    "LeaderboardRowEdge": _EDGE,
    "StreamPosition": frozenset({"epoch", "version"}),
    "Freshness": frozenset({"computedAt", "source", "stalenessMs", "provisional", "liveMatches", "pendingMatches"}),
    "LeaderboardRow": frozenset(
        {
            *("id", "version", "member", "position", "rank", "denseRank", "settledRank", "tied", "separatedBy"),
            *("points", "settledPoints", "provisionalPoints", "exactScores", "goalDifferences", "outcomes"),
            *("guessedMatches", "movement"),
        }
    ),
    "Member": frozenset({"id", "nickName"}),
    "Tournament": frozenset(
        {
            *("id", "label", "season", "logoUrl", "mode", "status", "settledVersion"),
            *("ruleset", "currentRound", "rounds", "round", "matches", "leaderboard"),
        }
    ),
    "Ruleset": frozenset({"id", "code", "version", "label", "scoreBasis", "weights"}),
    "RulesetWeight": frozenset({"fact", "points"}),
    "Round": frozenset({"id", "position", "label", "slug", "kind", "isCurrent", "matches"}),
    "MatchConnection": _PAGE,
    "MatchEdge": _EDGE,
    "PageInfo": frozenset({"hasNextPage", "hasPreviousPage", "startCursor", "endCursor"}),
    "Match": frozenset(
        {
            *("id", "tournament", "round", "version", "kickOff", "kickOffPrecision", "lockAt", "isLocked", "status"),
            *("minute", "home", "away", "result", "stadium", "lastCheckedAt"),
        }
    ),
    "MatchSide": frozenset({"team", "label"}),
    "Team": frozenset({"id", "name", "shortName", "badgeUrl"}),
    "MatchResult": frozenset(
        {"state", "kind", "revision", "goals", "regulation", "afterExtraTime", "shootOut", "holdReason"}
    ),
    "Goals": frozenset({"home", "away"}),
}

PARTS: Mapping[str, frozenset[str]] = {"Leaderboard": frozenset({"rows"}), "Tournament": frozenset({"ruleset"})}
"""Shareable fields that are executed once for all even in operations that are not shared as a whole."""


class Parted:
    """Mixin of object types that have such fields."""

    def state(self) -> tuple[Hashable, UUID]:
        """What these fields depend on besides their arguments, and whose ticks may change what has no version."""
        raise NotImplementedError


def is_shareable(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> bool:
    """Whether all that an operation of a valid document selects is shareable."""
    root = schema.get_root_type(operation.operation)
    if operation.operation is OperationType.MUTATION or root is None:
        return False
    return _walk(schema, document).is_shareable(root, operation.selection_set)


def is_part_shareable(
    schema: GraphQLSchema, document: DocumentNode, parent: GraphQLCompositeType, nodes: Iterable[FieldNode]
) -> bool:
    """Whether these nodes of one field are shareable with all below them."""
    walk = _walk(schema, document)
    return all(walk.is_node_shareable(parent, node) for node in nodes)


def _walk(schema: GraphQLSchema, document: DocumentNode) -> "_Walk":
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    return _Walk(schema, fragments)


def shown_tournament(operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> str | None:
    """The global id of the one tournament that a shareable query shows; None when it shows several, or hides them."""
    (first, *others) = operation.selection_set.selections
    if others or not isinstance(first, FieldNode):
        return None
    found = [argument.value for argument in first.arguments or () if argument.name.value == "id"]
    match found:
        case [VariableNode() as variable]:
            value = variables.get(variable.name.value)
            return value if isinstance(value, str) else None
        case [StringValueNode() as text]:
            return text.value
    return None


class _Walk:
    """Goes through selections; through a fragment once."""

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments
        self._seen: set[str] = set()

    def is_shareable(self, parent: GraphQLCompositeType, selections: SelectionSetNode) -> bool:
        return all(self.is_node_shareable(parent, node) for node in selections.selections)

    def is_node_shareable(self, parent: GraphQLCompositeType, node: object) -> bool:
        match node:
            case FieldNode():
                return self._is_field_shareable(parent, node)
            case InlineFragmentNode():
                condition = node.type_condition
                kind = self._composite(condition.name.value) if condition else parent
                return self.is_shareable(kind, node.selection_set)
            case FragmentSpreadNode():
                return self._is_fragment_shareable(node.name.value)
        return False

    def _is_field_shareable(self, parent: GraphQLCompositeType, node: FieldNode) -> bool:
        name = node.name.value
        if name == "__typename":
            return True
        if name not in SHAREABLE.get(parent.name, ()):
            return False
        if node.selection_set is None:
            return True
        return self.is_shareable(self._type_of(parent, name), node.selection_set)

    def _is_fragment_shareable(self, name: str) -> bool:
        if name in self._seen:
            return True
        self._seen.add(name)
        fragment = self._fragments[name]
        return self.is_shareable(self._composite(fragment.type_condition.name.value), fragment.selection_set)

    def _composite(self, name: str) -> GraphQLCompositeType:
        kind = self._schema.get_type(name)
        if kind is None or not is_composite_type(kind):
            raise LookupError(f"{name} is no type of objects")
        return kind

    def _type_of(self, parent: GraphQLCompositeType, name: str) -> GraphQLCompositeType:
        field: GraphQLField | None = None
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            field = parent.fields.get(name)
        if field is None:
            raise LookupError(f"{parent.name} has no field {name}")
        return self._composite(get_named_type(field.type).name)
