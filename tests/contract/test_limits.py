"""The limits of a request: each is met just so, refused one further, and hostile documents cost next to nothing."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import cast

import pytest
from graphql import (
    FieldNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_introspection_query,
    parse,
)
from graphql import build_schema as read_sdl

from schema.build import build_schema
from schema.context import ApiContext
from schema.transport.engine import Engine
from schema.transport.faults import RequestRefused
from schema.transport.limits import Limits
from schema.transport.requests import GraphQLRequest
from schema.transport.selections import Selections
from schema.transport.subscriptions import Begun

NODES = "tournaments(first: {first}) {{ edges {{ node {{ id }} }} }}"
# A schema with a circle, for documents that go deep.
CIRCLE = """
type Query { a: Query b: Query c(x: [[[Int]]]): Int items(first: Int! = 25): Items! }
type Items { edges: [Query!]! }
"""


@pytest.fixture(scope="module")
def ours() -> GraphQLSchema:
    return build_schema()


@pytest.fixture
def engine() -> Engine:
    return Engine(read_sdl(CIRCLE), Limits(), lambda _: False)


def _code(engine: Engine, document: str, **variables: object) -> str:
    try:
        engine.prepare(GraphQLRequest(document, variables, None), [OperationType.QUERY])
    except RequestRefused as refusal:
        return str((refusal.errors[0].extensions or {}).get("code", "CORE"))
    return "OK"


def _deep(levels: int) -> str:
    return "{ " + "a { " * (levels - 1) + "__typename" + " }" * (levels - 1) + " }"


LIMITS: list[tuple[str, Callable[[int], str], int]] = [
    ("depth", _deep, 12),
    ("aliases", lambda n: "{ " + "x: a { " * 5 + " ".join(f"a{i}: __typename" for i in range(n - 5)) + " }" * 6, 20),
    ("root fields", lambda n: "{ " + " ".join(["a { __typename }"] * n) + " }", 10),
    ("operations", lambda n: " ".join(f"query Q{i} {{ __typename }}" for i in range(n)), 5),
    (
        "fragments",
        lambda n: (
            "{ a { "
            + " ".join(f"...F{i}" for i in range(n))
            + " } } "
            + " ".join(f"fragment F{i} on Query {{ __typename }}" for i in range(n))
        ),
        30,
    ),
    ("directives at a field", lambda n: "{ __typename " + "@skip(if: false) " * n + "}", 5),
    ("nesting", lambda n: "{ c(x: " + "[" * (n - 2) + "]" * (n - 2) + ") }", 64),
    ("tokens", lambda n: "{ c(x: [[[" + "1 " * (n - 13) + "]]]) }", 1_000),
]


@pytest.mark.parametrize(("name", "document", "most"), LIMITS, ids=[name for name, _, _ in LIMITS])
def test_a_limit_is_met_just_so_and_refused_one_further(
    name: str, document: Callable[[int], str], most: int, engine: Engine
) -> None:
    met, refused = _code(engine, document(most)), _code(engine, document(most + 1))

    assert met != "TOO_COMPLEX", name
    assert refused == "TOO_COMPLEX"


def test_fragments_cannot_multiply_without_end(engine: Engine) -> None:
    fragments = [f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(25)]
    document = "{ ...F0 } " + " ".join(fragments) + " fragment F25 on Query { __typename }"

    started = time.thread_time()  # whatever else the machine does
    assert _code(engine, document) == "TOO_COMPLEX"

    assert time.thread_time() - started < 0.05 * 5


def test_fragments_in_a_circle_are_refused_like_any_invalid_document(engine: Engine) -> None:
    assert _code(engine, "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }") == "CORE"


def test_cost_multiplies_page_sizes(ours: GraphQLSchema, engine: Engine) -> None:
    def cost(document: str, **variables: object) -> int:
        prepared = Engine(ours, Limits(), lambda _: False)
        return prepared.prepare(GraphQLRequest(document, variables, None), [OperationType.QUERY]).cost

    assert cost("{ " + NODES.format(first=10) + " }") == 1 + 10 * 2
    assert cost("{ tournaments { edges { cursor } } }") == 1 + 25
    assert cost("query ($n: Int!) { tournaments(first: $n) { edges { cursor } } }", n=7) == 1 + 7
    defaulted = "query ($n: Int = 9) { tournaments(first: $n) { edges { cursor } } }"
    assert (cost(defaulted), cost(defaulted, n=3)) == (1 + 9, 1 + 3)
    assert cost(defaulted, n=None) == 1 + 25  # null is no page size, whatever the variable has by default
    board = '{{ tournament(id: "x") {{ leaderboard {{ rows{} {{ edges {{ cursor }} }} }} }} }}'
    either = "query ($n: Int, $m: Int) " + board.format("(first: $n, last: $m)")
    assert cost(board.format("")) == 3 + 50
    assert cost(board.format("(last: 20)")) == 3 + 20
    assert cost(either, n=None) == 3 + 50
    assert cost(either, n=None, m=90) == 3 + 90
    assert cost("{ tournaments(first: 100) { pageInfo { endCursor } } }") == 2
    inner = "tournaments(first: 100) { edges { node { matches(first: 100) { edges { node { id } } } } } }"
    assert _code(Engine(ours, Limits(), lambda _: False), "{ " + inner + " }") == "TOO_COMPLEX"
    nested = "{ items { edges { items { edges { items { edges { __typename } } } } } } }"
    assert _code(engine, nested) == "TOO_COMPLEX"


def test_introspection_may_be_deeper_than_documents(engine: Engine) -> None:
    kind = "ofType { " * 12 + "name" + " }" * 12
    assert _code(engine, "{ __schema { types { fields { type { " + kind + " } } } } }") == "OK"
    assert (
        _code(engine, "{ __schema { types { fields { type { " + "ofType { " * 7 + kind + " }" * 7 + " } } } } }")
        == "TOO_COMPLEX"
    )
    assert (
        _code(engine, "{ __typename __schema { types { fields { type { " + kind + " } } } } a { b: __typename } }")
        == "TOO_COMPLEX"
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "{ a: __schema { types { name } } b: __schema { types { name } } }",
        "{ ...A b: __schema { types { name } } } fragment A on Query { __schema { types { name } } }",
        "{ __schema { types { name } a: types { name } } }",
        "{ __schema { types { ...A } } } fragment A on __Type { fields { a: type { name } b: type { name } } }",
        "{ __schema { types { fields { type { ofType { fields { name } } } } } } }",
        "{ __schema { types { possibleTypes { ...A } } } } fragment A on __Type { interfaces { name } }",
        '{ __type(name: "Query") { fields { type { fields { name } } } } }',
    ],
)
def test_introspection_cannot_multiply_the_schema(hostile: str, engine: Engine) -> None:
    assert _code(engine, hostile) == "TOO_COMPLEX"


def test_introspection_as_tools_ask_for_it_is_answered(engine: Engine) -> None:
    every = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    assert _code(engine, every) == "OK"
    some = " ".join(f'{name}: __type(name: "{name}") {{ fields {{ name type {{ name }} }} }}' for name in ("A", "B"))
    assert _code(engine, f"{{ {some} }}") == "OK"


def test_unknown_names_are_not_guessed_at(ours: GraphQLSchema) -> None:
    engine = Engine(ours, Limits(), lambda _: False)
    with pytest.raises(RequestRefused) as refusal:
        engine.prepare(GraphQLRequest("{ tournament_ }", {}, None), [OperationType.QUERY])

    assert [error.message for error in refusal.value.errors] == ["Cannot query field 'tournament_' on type 'Query'."]


def test_only_so_many_documents_are_remembered(engine: Engine) -> None:
    for number in range(300):
        assert _code(engine, f"{{ a{number}: __typename }}") == "OK"

    assert len(engine._known) == Limits().documents_kept


def test_variables_that_the_document_does_not_ask_are_not_kept(engine: Engine) -> None:
    request = GraphQLRequest("query ($x: [[[Int]]]) { c(x: $x) }", {"x": [], "junk": "x" * 60_000}, None)
    assert engine.prepare(request, [OperationType.QUERY]).variables == {"x": []}


def test_what_is_known_of_fields_is_bounded_however_conditions_fall(ours: GraphQLSchema) -> None:
    document = parse("{ " + "tournaments { totalCount } " * 11 + "}")
    selections = Selections(ours, document)
    (operation,) = cast("tuple[OperationDefinitionNode]", document.definitions)
    nodes = cast("tuple[FieldNode, ...]", operation.selection_set.selections)
    query = cast("GraphQLObjectType", ours.query_type)
    for way in range(1, 2**11):
        chosen = [node for place, node in enumerate(nodes) if way >> place & 1]
        selections.are_shareable(query, chosen)
        assert selections.spare(operation, chosen) == frozenset()
    assert len(selections._shareable) <= 512
    assert len(selections._spare) <= 512


async def test_streams_hold_so_many_documents_and_others_that_hold_the_same_begin() -> None:
    engine = _engine_of_streams(Limits(documents_kept=1, documents_followed=3))
    streams = [await _follow(engine, number) for number in range(3)]
    for _ in range(2):  # whoever is refused takes nothing from the others
        streams.extend([await _follow(engine, number) for number in range(3)])
        with pytest.raises(RequestRefused) as refusal:
            await _follow(engine, 3)
        assert (refusal.value.errors[0].extensions or {})["code"] == "LIMIT_REACHED"
    assert len({id(stream._operation.prepared) for stream in streams}) == 3
    del refusal, streams[::3]
    gc.collect()
    await _follow(engine, 3)


async def test_documents_that_no_stream_holds_any_more_are_in_nobodys_way() -> None:
    engine = _engine_of_streams(Limits(documents_kept=9, documents_followed=3))
    for number in range(9):
        await _follow(engine, number)
        gc.collect()


def _engine_of_streams(limits: Limits) -> Engine:
    schema = read_sdl("type Query { a: Int } type Subscription { b: Int }")
    cast("GraphQLObjectType", schema.subscription_type).fields["b"].subscribe = _endless
    return Engine(schema, limits, lambda _: False)


async def _follow(engine: Engine, number: int) -> Begun:
    document = GraphQLRequest(f"subscription S{number} {{ b }}", {}, None)
    context = cast("ApiContext", SimpleNamespace(answers=None))
    return await engine.begin(engine.prepare(document, [OperationType.SUBSCRIPTION]), context)


async def _endless(_root: object, _info: object) -> AsyncIterator[None]:
    await asyncio.Event().wait()
    yield
