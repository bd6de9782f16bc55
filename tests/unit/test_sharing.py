"""What depends on who asks is never executed once for all: the schema itself is walked."""

from collections.abc import Iterator

import pytest
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    OperationDefinitionNode,
    get_named_type,
    is_required_argument,
    parse,
    validate,
)

from schema.build import build_schema
from schema.sharing import PARTS, SHAREABLE, is_shareable
from schema.transport.selections import Selections
from schema.transport.subscriptions import Sharing, sharing_of
from tests.support.graphql_client import read_operation

STREAMS = {
    "leaderboardUpdates": '(board: {leagueId: "x"})',
    "matchUpdates": '(scope: {roundId: "x"})',
}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema()


def sharing(schema: GraphQLSchema, text: str) -> Sharing | None:
    document = parse(text)
    assert validate(schema, document) == []
    (operation,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    found = sharing_of(schema, document, operation)
    assert (found is not None) is is_shareable(schema, document, operation)
    return found


def paths(schema: GraphQLSchema) -> Iterator[tuple[str, str, str]]:
    """Every field that streams reach, once by type and name: type, name, and a document that selects it."""
    assert schema.subscription_type is not None
    for stream, arguments in STREAMS.items():
        union = get_named_type(schema.subscription_type.fields[stream].type)
        assert isinstance(union, GraphQLUnionType)
        todo = [(kind, [f"{stream}{arguments}", f"... on {kind.name}"]) for kind in union.types]
        seen = {kind.name for kind in union.types}
        while todo:
            kind, path = todo.pop(0)
            for name, field in kind.fields.items():
                below = get_named_type(field.type)
                required = [argument for argument, found in field.args.items() if is_required_argument(found)]
                selected = name + (
                    "(" + ", ".join(f'{argument}: "x"' for argument in required) + ")" if required else ""
                )
                if isinstance(below, GraphQLObjectType | GraphQLInterfaceType):
                    yield kind.name, name, _document([*path, selected, "__typename"])
                    if below.name not in seen and isinstance(below, GraphQLObjectType):
                        seen.add(below.name)
                        todo.append((below, [*path, selected]))
                else:
                    yield kind.name, name, _document([*path, selected])


def _document(path: list[str]) -> str:
    return "subscription { " + " { ".join(path) + " }" * len(path)


def test_only_declared_fields_are_shareable_wherever_they_stand(schema: GraphQLSchema) -> None:
    found = list(paths(schema))
    assert len(found) > 150
    viewers = [(kind, name) for kind, name, _ in found if name.startswith(("viewer", "admin"))]
    assert len(viewers) >= 8
    count = 0
    for kind, name, document in found:
        shared = sharing(schema, document) is not None
        count += shared
        if name.startswith(("viewer", "admin")):
            assert not shared, (kind, name)
        if name not in SHAREABLE.get(kind, ()):
            assert not shared, (kind, name)
    assert count > 60


def test_what_is_declared_exists_and_nothing_of_it_is_read_with_the_rights_of_somebody(schema: GraphQLSchema) -> None:
    private = {"League", "Guess", "GuessConnection", "MatchPrediction", "ScorelineCount", "Viewer", "Execution"}
    for kind, names in SHAREABLE.items():
        found = schema.get_type(kind)
        assert isinstance(found, GraphQLObjectType | GraphQLInterfaceType), kind
        for name in names:
            below = get_named_type(found.fields[name].type).name
            assert below not in private, (kind, name)
            assert not name.startswith(("viewer", "admin")), (kind, name)
            assert "joined" not in found.fields[name].args


@pytest.mark.parametrize("name", ["leaderboardUpdates", "matchUpdates"])
def test_the_streams_of_the_screens_are_shared_by_all_but_their_position(schema: GraphQLSchema, name: str) -> None:
    found = sharing(schema, read_operation(name))
    assert found is not None
    assert found.left_out == {"after"}
    spaced = sharing(schema, read_operation(name).replace("\n", "\n\n   # a comment\n"))
    assert spaced is not None
    first = found.key("A", {"after": {"epoch": "e", "version": 1}, "x": 1, "y": [2]}, "board")
    assert first == spaced.key("A", {"y": [2], "x": 1}, "board")
    assert first != spaced.key("A", {"y": [2], "x": 2}, "board")
    assert first != spaced.key("A", {"y": [2], "x": 1}, "another")
    assert first != spaced.key("B", {"y": [2], "x": 1}, "board")


@pytest.mark.parametrize(
    "document",
    [
        '{ match(id: "x") { id } }',
        "subscription { executionUpdates { id } }",
        "subscription { operationsUpdates { at } }",
        """subscription { matchUpdates(scope: {roundId: "x"}) { ...F } }
        fragment F on MatchSnapshot { matches { ...G } } fragment G on Match { id viewerGuess { id } }""",
        """subscription { leaderboardUpdates(board: {leagueId: "x"}) {
        ... on LeaderboardDelta { rows { member { id } } leaderboard { ... on Node { id } viewerRow { id } } } } }""",
    ],
)
def test_other_operations_run_alone(schema: GraphQLSchema, document: str) -> None:
    assert sharing(schema, document) is None


def test_variables_inside_the_position_are_left_out_and_others_not(schema: GraphQLSchema) -> None:
    found = sharing(
        schema,
        "subscription ($b: BoardInput!, $e: String!, $v: Int!, $f: Int) "
        "{ leaderboardUpdates(after: {epoch: $e, version: $v}, board: $b, first: $f) { __typename } }",
    )
    assert found is not None
    assert found.left_out == {"e", "v"}


def test_a_variable_that_is_asked_beside_the_position_tells_streams_apart(schema: GraphQLSchema) -> None:
    found = sharing(
        schema,
        "subscription ($b: BoardInput!, $e: String!, $v: Int!) "
        "{ leaderboardUpdates(board: $b, after: {epoch: $e, version: $v}) { ... on LeaderboardSnapshot "
        "{ leaderboard { rows(first: 1, search: $e) { totalCount } } } } }",
    )
    assert found is not None
    assert found.left_out == {"v"}


@pytest.mark.parametrize(
    "document",
    [
        "{ ...F } fragment F on Subscription { ...G } fragment G on Subscription ",
        "{ ... on Subscription ",
        "{ ... { ... ",
    ],
)
def test_a_position_is_one_in_whatever_fragment_its_stream_stands(schema: GraphQLSchema, document: str) -> None:
    end = " }" * (document.count("{") - document.count("}"))
    field = "{ leaderboardUpdates(board: $b, after: %s) { __typename } }"
    whole = f"subscription ($b: BoardInput!%s) {document}{field}{end}"
    by_variable = sharing(schema, whole % (", $a: StreamPositionInput", "$a"))
    written = sharing(schema, whole % ("", '{epoch: "e", version: 1}'))
    assert by_variable is not None
    assert by_variable.left_out == {"a"}
    assert by_variable.is_resumed_by_variable
    assert written is not None
    assert not written.is_resumed_by_variable


def test_a_cursor_inside_a_stream_is_no_position(schema: GraphQLSchema) -> None:
    found = sharing(
        schema,
        "subscription ($b: BoardInput!, $c: String, $after: StreamPositionInput) "
        "{ leaderboardUpdates(board: $b, after: $after) { ... on LeaderboardSnapshot "
        "{ leaderboard { rows(first: 1, after: $c) { totalCount } } } } }",
    )
    assert found is not None
    assert found.left_out == {"after"}


def test_parts_that_are_shared_are_declared_and_nothing_else_is_below_them(schema: GraphQLSchema) -> None:
    for kind, names in PARTS.items():
        found = schema.get_type(kind)
        assert isinstance(found, GraphQLObjectType)
        assert names <= SHAREABLE[kind]
        assert not any(name.startswith(("viewer", "admin")) for name in names)
    tried = [(kind, name, part) for kind, name, part in _parts(schema) if name not in SHAREABLE[kind]]
    assert {(kind, name) for kind, name, _ in tried} >= {("LeaderboardRow", "history")}
    assert not any(_is_part_shareable(schema, part) for _, _, part in tried)
    kept = [part for kind, name, part in _parts(schema) if name in SHAREABLE[kind]]
    assert len(kept) > 25
    assert all(_is_part_shareable(schema, part) for part in kept)


def _parts(schema: GraphQLSchema) -> Iterator[tuple[str, str, str]]:
    """Every field below the rows of a board: its type, its name, and the rows that select it alone."""
    connection = schema.get_type("LeaderboardRowConnection")
    assert isinstance(connection, GraphQLObjectType)
    todo = [(connection, ["rows"])]
    while todo:
        kind, path = todo.pop()
        for name, field in kind.fields.items():
            below = get_named_type(field.type)
            selected = (
                [*path, name] if isinstance(below, GraphQLObjectType) else [*path[:-1], f"{path[-1]} {{ {name} }}"]
            )
            if not isinstance(below, GraphQLObjectType):
                yield kind.name, name, " { ".join(selected) + " }" * (len(selected) - 1)
                continue
            yield kind.name, name, " { ".join([*selected, "__typename"]) + " }" * len(selected)
            if name in SHAREABLE[kind.name]:
                todo.append((below, [*path, name]))


def _is_part_shareable(schema: GraphQLSchema, part: str) -> bool:
    document = parse(f"fragment F on Leaderboard {{ {part} }} query {{ __typename }}")
    (fragment, _) = document.definitions
    assert isinstance(fragment, FragmentDefinitionNode)
    (node,) = fragment.selection_set.selections
    assert isinstance(node, FieldNode)
    board = schema.get_type("Leaderboard")
    assert isinstance(board, GraphQLObjectType)
    assert board.fields[node.name.value]
    return Selections(schema, document).are_shareable(board, [node])
