"""The limits of a request: each is met just so, refused one further, and hostile documents cost next to nothing."""

import time
from collections.abc import Callable

import pytest
from graphql import GraphQLSchema, OperationType
from graphql import build_schema as read_sdl

from schema.build import build_schema
from schema.transport.engine import Engine
from schema.transport.faults import RequestRefused
from schema.transport.limits import Limits
from schema.transport.requests import GraphQLRequest

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

    started = time.perf_counter()
    assert _code(engine, document) == "TOO_COMPLEX"

    assert time.perf_counter() - started < 0.05 * 5


def test_fragments_in_a_circle_are_refused_like_any_invalid_document(engine: Engine) -> None:
    assert _code(engine, "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }") == "CORE"


def test_cost_multiplies_page_sizes(ours: GraphQLSchema, engine: Engine) -> None:
    def cost(document: str, **variables: object) -> int:
        prepared = Engine(ours, Limits(), lambda _: False)
        return prepared.prepare(GraphQLRequest(document, variables, None), [OperationType.QUERY]).cost

    assert cost("{ " + NODES.format(first=10) + " }") == 1 + 10 * 2
    assert cost("{ tournaments { edges { cursor } } }") == 1 + 25
    assert cost("query ($n: Int!) { tournaments(first: $n) { edges { cursor } } }", n=7) == 1 + 7
    assert cost("query ($n: Int! = 9) { tournaments(first: $n) { edges { cursor } } }") == 1 + 9
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
    many = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"
    assert _code(engine, many) == "CORE"


def test_unknown_names_are_not_guessed_at(ours: GraphQLSchema) -> None:
    engine = Engine(ours, Limits(), lambda _: False)
    with pytest.raises(RequestRefused) as refusal:
        engine.prepare(GraphQLRequest("{ tournament_ }", {}, None), [OperationType.QUERY])

    assert [error.message for error in refusal.value.errors] == ["Cannot query field 'tournament_' on type 'Query'."]


def test_only_so_many_documents_are_remembered(engine: Engine) -> None:
    for number in range(300):
        assert _code(engine, f"{{ a{number}: __typename }}") == "OK"

    assert len(engine._known) == Limits().documents_kept
