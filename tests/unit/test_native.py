"""Answers that are executed natively are those of graphql-core: data, nulls, errors and their places."""

import asyncio
from collections.abc import Collection
from enum import StrEnum
from types import SimpleNamespace
from typing import Any, ClassVar

import orjson
import pytest
import strawberry
from graphql import ExecutionResult, GraphQLSchema, execute, parse, validate

from schema.batched import Batched, Column, Table
from schema.scalars import LARGEST_INT
from schema.transport.executor import NativeExecutor
from schema.transport.selections import Selections


@strawberry.enum
class Colour(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


class Shadow(StrEnum):
    """Of the same name, and not of the schema."""

    RED = "RED"


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Leaf(Named):
    name: str
    size: int
    weight: float | None = None
    colour: Colour | None = None
    tag: strawberry.ID | None = None
    is_green: bool = True

    @strawberry.field
    def up(self) -> str:
        return self.name.upper()


class Sums:
    """Reads sums for all leaves of a branch; -1 fails, and counts how often it was asked."""

    def __init__(self, sums: dict[str, Any]) -> None:
        self.sums = sums
        self.reads = 0
        self.loaded: dict[str, Any] = {}

    def has(self, names: Collection[str]) -> bool:
        return bool(self.loaded) and set(names) == {"sum"}

    async def load(self, names: Collection[str], loaders: object) -> None:
        assert (set(names), loaders) == ({"sum"}, "loaders")
        self.loaded = await self.read()

    async def read(self) -> dict[str, Any]:
        self.reads += 1
        await asyncio.sleep(0)
        if -1 in self.sums.values():
            raise ValueError("no sums")
        return self.sums


@strawberry.type
class Bud(Batched):
    BATCHED: ClassVar = frozenset({"sum"})
    sums: strawberry.Private[Sums]
    name: str

    @strawberry.field
    async def sum(self) -> int | None:
        return (await self.sums.read())[self.name]

    @strawberry.field
    async def slow(self) -> str:
        await asyncio.sleep(0)
        return self.name

    def shared_batch(self) -> Sums:
        return self.sums

    def batched(self, name: str) -> Any:
        assert name == "sum"
        return self.sums.loaded[self.name]


class Leaves(Table[Leaf]):
    """Made only when they are asked for one by one."""

    OF: ClassVar = Leaf

    def __init__(self, *leaves: Leaf) -> None:
        self.leaves = leaves
        self.made = 0

    def __len__(self) -> int:
        return len(self.leaves)

    def __getitem__(self, place: Any) -> Any:
        self.made += 1
        return self.leaves[place]

    def cells(self, column: Column) -> list[int] | list[bytes] | bytes:
        values = [getattr(one, column.name) for one in self.leaves]
        if column.name == "size":
            return [int(value) for value in values]
        if column.name == "is_green":
            return column.json(values[0]) if values else b"null"
        return [column.json(value) for value in values]


@strawberry.type
class Branch:
    name: str
    leaf: Leaf | None
    leaves: list[Leaf]
    few: list[Leaf | None]
    buds: list[Bud]

    @strawberry.field
    async def again(self, times: int = 1) -> "Branch":
        assert times > 0
        return self

    @strawberry.field
    def named(self) -> Named | None:
        return self.leaf

    @strawberry.field
    async def fails(self) -> str | None:
        raise ValueError("on purpose")


@strawberry.type
class Query:
    @strawberry.field
    def branch(self, info: strawberry.Info) -> Branch:
        found: Branch = info.context.branch
        return found

    @strawberry.field
    def branches(self, info: strawberry.Info) -> list[Branch | None]:
        return [info.context.branch, None]


SCHEMA: GraphQLSchema = strawberry.Schema(query=Query)._schema


def leaf(**values: Any) -> Leaf:
    return Leaf(**{"name": "oak", "size": 3, **values})


def branch(**values: Any) -> Branch:
    sums = values.pop("sums", None) or Sums({"a": 1, "b": None})
    buds = [Bud(sums=sums, name=name) for name in sums.sums]
    made = {"name": "b", "leaf": leaf(), "leaves": [leaf(), leaf(name="ash")], "few": [leaf(), None], "buds": buds}
    return Branch(**{**made, **values})


async def both(made: Branch, document: str, **variables: Any) -> dict[str, Any]:
    """The answer, the same natively and plainly."""
    parsed = parse(document)
    assert validate(SCHEMA, parsed) == []
    context = SimpleNamespace(branch=made, loaders="loaders")
    executor = NativeExecutor.build(
        SCHEMA, parsed, context_value=context, raw_variable_values=variables, selections=Selections(SCHEMA, parsed)
    )
    assert isinstance(executor, NativeExecutor), executor
    natively = await _ended(executor.execute_operation())
    plainly = await _ended(execute(SCHEMA, parsed, context_value=context, variable_values=variables))
    assert repr(natively) == repr(plainly)  # in the same order too
    return natively


async def _ended(result: Any) -> dict[str, Any]:
    found = result if isinstance(result, ExecutionResult) else await result
    return {"data": found.data, "errors": sorted(map(str, found.errors or ()))}


@pytest.mark.parametrize(
    "selected",
    [
        "name leaf { name size weight colour tag isGreen __typename }",
        "__typename kind: __typename one: leaf { size } two: leaf { size name } leaf { tag }",
        "...F leaf { ... on Named { name } ...G } fragment F on Branch { name } fragment G on Leaf { size }",
        "leaves { name } few { name size } buds { name sum }",
        "buds { name slow sum }",
        "again(times: 2) { name again { leaves { name } } fails }",
        "named { name __typename ... on Leaf { size } }",
        "name again { name fails } fails leaf { name }",
    ],
)
async def test_what_is_selected_is_answered_alike(selected: str) -> None:
    selected, *fragments = selected.split(" fragment ")
    document = " ".join(
        ["{ branch {", selected, "} branches {", selected, "} }", *(f"fragment {x}" for x in fragments)]
    )
    assert (await both(branch(), document))["data"]["branches"][1] is None


async def test_the_order_of_the_answer_is_that_of_the_selection() -> None:
    answer = await both(branch(), "{ branch { fails name again { name } kind: __typename } }")
    assert list(answer["data"]["branch"]) == ["fails", "name", "again", "kind"]


@pytest.mark.parametrize(
    "values",
    [
        {"name": None},
        {"name": 7},
        {"name": Shadow.RED},
        {"name": ValueError("kept as a value")},
        {"leaf": None},
        {"leaf": leaf(name=None)},
        {"leaf": leaf(size=LARGEST_INT + 1)},
        {"leaf": leaf(size=-LARGEST_INT - 1)},
        {"leaf": leaf(size=True)},
        {"leaf": leaf(size="3")},
        {"leaf": leaf(colour=Shadow.RED)},
        {"leaf": leaf(colour="GREEN")},
        {"leaf": leaf(colour=Colour.BLUE, tag=12, weight=1.5, is_green=0)},
        {"leaf": SimpleNamespace(name="x", size=1, weight=None, colour=None, tag=None, is_green=False)},
        {"leaves": [leaf(), None]},
        {"leaves": (leaf(), leaf())},
        {"leaves": None},
        {"leaves": 5},
        {"few": [leaf(name=None), leaf()]},
        {"few": iter([leaf()])},
        {"buds": [None]},
        {"sums": Sums({"a": -1, "b": 2})},
        {"sums": Sums({"a": "x", "b": 2})},
    ],
)
async def test_values_that_do_not_fit_fail_alike(values: dict[str, Any]) -> None:
    document = """{ branches { name leaf { name size weight colour tag isGreen } leaves { name size }
        few { name } buds { name sum } again { name } } }"""
    if isinstance(values.get("few"), list) or not hasattr(values.get("few"), "__next__"):
        await both(branch(**values), document)
    else:  # an iterator is spent by the first who reads it
        found = [await both(branch(few=iter([leaf()])), document.replace("few { name }", "name")) for _ in range(2)]
        assert found[0] == found[1]


@pytest.mark.parametrize("a", [True, False])
@pytest.mark.parametrize("b", [True, False])
async def test_conditions_are_asked_each_time(a: bool, b: bool) -> None:
    document = """query ($a: Boolean!, $b: Boolean!) { branch {
        name @skip(if: $a) leaf { size @include(if: $b) name ... @skip(if: $b) { tag } } ...F @include(if: $a) } }
        fragment F on Branch { leaves { name @skip(if: $b) size } }"""
    parsed = parse(document)
    selections = Selections(SCHEMA, parsed)
    for values in ({"a": a, "b": b}, {"a": not a, "b": b}, {"a": a, "b": b}):
        executor = NativeExecutor.build(
            SCHEMA,
            parsed,
            context_value=SimpleNamespace(branch=branch()),
            raw_variable_values=values,
            selections=selections,
        )
        assert isinstance(executor, NativeExecutor)
        data = (await _ended(executor.execute_operation()))["data"]["branch"]
        assert ("name" in data, "leaves" in data) == (not values["a"], values["a"])
        assert ("size" in data["leaf"], "tag" in data["leaf"]) == (b, not b)
        await both(branch(), document, **values)


@pytest.mark.parametrize(
    "selected",
    [
        "name leaf { size @skip(if: $a) name }",
        "name leaves { name size @include(if: $a) }",
        "name buds { name sum @skip(if: $a) }",
        "name again { name leaf { ... @skip(if: $a) { size } } }",
        "name named { ... on Leaf { size @skip(if: $a) } }",
        "name @skip(if: $a) leaf { size }",
    ],
)
async def test_conditions_that_are_null_fail_alike(selected: str) -> None:
    document = f"query ($a: Boolean = true) {{ branch {{ {selected} }} branches {{ {selected} }} }}"
    assert (await both(branch(), document, a=None))["errors"] != []
    assert (await both(branch(), document, a=False))["errors"] == []


async def test_what_is_batched_is_read_once_and_before() -> None:
    sums = Sums({"a": 1, "b": 2, "c": 3})
    parsed = parse("{ branch { buds { sum again: sum name } } }")
    context = SimpleNamespace(branch=branch(sums=sums), loaders="loaders")
    executor = NativeExecutor.build(SCHEMA, parsed, context_value=context, selections=Selections(SCHEMA, parsed))
    assert isinstance(executor, NativeExecutor)
    answer = await _ended(executor.execute_operation())

    assert [bud["sum"] for bud in answer["data"]["branch"]["buds"]] == [1, 2, 3]
    assert sums.reads == 1


LEAVES = "{ branch { name leaves { __typename name size is: isGreen colour weight tag n: name } } }"
TABLES = [
    (leaf(), leaf(name='%d "quoted" é%'), leaf(size=-7, colour=Colour.BLUE, weight=0.5, tag="t")),
    (leaf(),),
    (),
    (leaf(), leaf(name=None)),
    (leaf(), leaf(size="x")),
]


@pytest.mark.parametrize("leaves", TABLES)
@pytest.mark.parametrize(
    "document", [LEAVES, "{ branch { leaves { __typename } } }", LEAVES.replace("name l", "slow: fails l")]
)
async def test_a_table_is_written_as_its_objects_are_answered(document: str, leaves: tuple[Leaf, ...]) -> None:
    table = Leaves(*leaves)
    parsed = parse(document)
    answers = []
    for values in (table, list(leaves)):
        context = SimpleNamespace(branch=branch(leaves=values), loaders="loaders")
        executor = NativeExecutor.build(SCHEMA, parsed, context_value=context, selections=Selections(SCHEMA, parsed))
        assert isinstance(executor, NativeExecutor)
        answers.append(orjson.dumps(await _ended(executor.execute_operation())))
    assert answers[0] == answers[1]
    are_sound = all(isinstance(one.name, str) and isinstance(one.size, int) for one in leaves)
    assert (table.made == 0) == (are_sound or "size" not in document)


async def test_what_is_not_plain_is_asked_of_the_objects_of_a_table() -> None:
    answer = await both(
        branch(leaves=Leaves(leaf(), leaf(name="ash"))), "{ branch { leaves { name ...F } } } fragment F on Leaf { up }"
    )
    assert answer["data"]["branch"]["leaves"] == [{"name": "oak", "up": "OAK"}, {"name": "ash", "up": "ASH"}]
