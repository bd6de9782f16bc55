"""Boards are answered natively as by graphql-core: every operation that shows one, and selections at random."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from graphql import (
    ExecutionResult,
    Executor,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    execute,
    execute_subscription_event,
    get_named_type,
    is_required_argument,
    parse,
    visit,
)

from domain.ids import MemberId
from domain.leaderboard.model import BoardKey
from domain.leaderboard.projector import project
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from live import events
from live.boards import BoardFeed, Window
from resolvers.context import RequestFacts
from runtime.api import _open_parts, _Parts
from runtime.outage import is_outage
from schema import updates
from schema.build import build_schema
from schema.context import ApiContext
from schema.transport.credentials import Credentials, viewer_of
from schema.transport.engine import Engine
from schema.transport.limits import Limits
from schema.transport.requests import GraphQLRequest
from tests.support.api import Api, running_api
from tests.support.api_world import World, begin_session, make_world
from tests.support.campaign import times
from tests.support.graphql_client import CONTRACT, id_of, operation_names, read_operation
from tests.support.settlement import play

# Of fields whose neighbour fails, graphql-core leaves some unasked.
LEFT = ["ignore:coroutine .* was never awaited", "ignore:Exception ignored in. <coroutine object"]
pytestmark = [pytest.mark.timeout(240), *map(pytest.mark.filterwarnings, LEFT)]
CASES: dict[str, dict[str, str]] = {
    "dashboard": {},
    "league": {"id": "league"},
    "leagueHistory": {"id": "league", "tournament": "tournament"},
    "leagueLeaderboard": {"id": "league"},
    "liveScoreboard": {"id": "tournament"},
    "myGuesses": {"tournament": "tournament", "league": "league"},
    "refetch": {"id": "board"},
    "tournament": {"id": "tournament"},
    "tournamentLeaderboard": {"id": "tournament", "round": "round"},
}
STREAM = "leaderboardUpdates"
WIDE = Engine(
    build_schema(),
    Limits(
        aliases=10_000,
        tokens=100_000,
        document=10**6,
        cost=10**9,
        depth=50,
        directives=10_000,
        expansions=10**6,
        fragments=1_000,
    ),
    is_outage,
)


@dataclass(frozen=True)
class Place:
    """A world, and the parts of a process that answers for it."""

    parts: _Parts
    world: World
    token: str

    @property
    def ids(self) -> dict[str, str]:
        world = self.world
        return {
            "league": world.league_id,
            "tournament": world.tournament_id,
            "round": world.round_id(0),
            "board": id_of("Leaderboard", None, world.tournament.id, None),
            "row": id_of("LeaderboardRow", None, world.tournament.id, None, world.ana),
        }

    async def context(self) -> ApiContext:
        viewer, _ = await viewer_of(self.parts.database, Credentials(self.token, None))
        return self.parts.contexts.make(RequestFacts("mine", "", None), viewer)

    async def both(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The answer, the same natively and plainly."""
        natively, plainly = await self._answers(document, variables)
        assert natively == plainly
        found: dict[str, Any] = orjson.loads(natively)
        return found

    async def _answers(self, document: str, variables: dict[str, Any]) -> tuple[bytes, bytes]:
        operation = WIDE.prepare(GraphQLRequest(document, variables, None), [OperationType.QUERY])
        context = await self.context()
        natively = await WIDE.execute(operation, context)
        context.renew_loaders()
        result: Any = execute(
            WIDE._schema,
            operation.prepared.document,
            context_value=context,
            variable_values=variables,
            hide_suggestions=True,
        )
        return _written(natively), _written(WIDE.answer(await result, context))


def _written(answer: dict[str, Any]) -> bytes:
    """With errors in an order of their own: they come as they happen."""
    errors = sorted(answer.get("errors", ()), key=str)
    return orjson.dumps(orjson.loads(orjson.dumps(answer | ({"errors": errors} if errors else {}))))


@pytest.fixture
async def place(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with running_api(database_url, valkey_url, tmp_path) as api, AsyncExitStack() as stack:
        world = await make_world(api, crowd=5)
        async with connect(valkey_url) as valkey:
            await project(api.database, ValkeyProjection(valkey), world.tournament.id)
        yield await place_of(api, world, world.ana, stack)


async def place_of(api: Api, world: World, member_id: MemberId, stack: AsyncExitStack) -> Place:
    return Place(await _open_parts(api.settings, stack), world, await begin_session(api, member_id))


# ---------------------------------------------------------------- the contract


def test_the_cases_are_the_operations_that_show_a_board() -> None:
    assert {*CASES, STREAM} == {name for name in operation_names(CONTRACT) if _shows_board(WIDE._schema, name)}


async def test_an_operation_is_answered_alike(place: Place) -> None:
    for name, asked in CASES.items():
        variables = {key: place.ids[value] for key, value in asked.items()}
        answer = await place.both(read_operation(name), variables)
        assert "errors" not in answer, name
        for search in ({"search": "a"}, {"last": 2}, {"first": 3}, {"first": 0}, {"after": "nonsense"}):
            await place.both(read_operation(name), variables | search)


async def test_a_row_is_fetched_alike(place: Place) -> None:
    answer = await place.both(read_operation("refetch"), {"id": place.ids["row"]})
    assert answer["data"]["node"]["__typename"] == "LeaderboardRow"


@pytest.mark.parametrize("kind", ["snapshot", "delta", "resync", "heartbeat"])
async def test_an_event_is_answered_alike(kind: str, place: Place) -> None:
    made = await _events(place)
    board = {"tournamentId": place.ids["tournament"]}
    operation = WIDE.prepare(
        GraphQLRequest(read_operation(STREAM), {"board": board}, None), [OperationType.SUBSCRIPTION]
    )
    context = (await place.context()).for_all()
    variables = dict(operation.variables)
    plain = Executor.build(
        WIDE._schema, operation.prepared.document, context_value=context, raw_variable_values=variables
    )
    assert isinstance(plain, Executor)
    found = []
    for executor in (WIDE.executor(operation, context), plain):
        result = execute_subscription_event(executor.build_per_event_executor(made[kind]))
        answer = WIDE.answer(result if isinstance(result, ExecutionResult) else await result, context)
        found.append(_written(answer))
    assert found[0] == found[1]
    assert "errors" not in orjson.loads(found[0])
    assert _written({"data": WIDE.executor(operation, context).complete_event(made[kind])}) == found[1]


async def _events(place: Place) -> dict[str, Any]:
    feed = BoardFeed(place.parts.database, place.parts.contexts.services.boards)
    window = Window(BoardKey(tournament_id=place.world.tournament.id), 5)
    before = await feed.load(window)
    await play(place.parts.database, place.world.locked, 3, 2)
    after = await feed.load(window)
    assert before is not None
    assert after is not None
    delta = feed.delta(before, after)
    assert delta is not None
    now = datetime.now(UTC)
    return {
        "snapshot": updates.LeaderboardSnapshot.from_event(feed.snapshot(after)),
        "delta": updates.LeaderboardDelta.from_event(delta),
        "resync": updates.Resync.from_event(events.Resync("e", 3, events.ResyncReason.TOO_OLD)),
        "heartbeat": updates.Heartbeat.from_event(events.Heartbeat("e", 3, now, 12)),
    }


class _Types(Visitor):
    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info
        self.names: set[str] = set()

    def enter_field(self, *_: Any) -> None:
        parent = self._info.get_parent_type()
        self.names.add(parent.name if parent is not None else "")


def _shows_board(schema: GraphQLSchema, name: str) -> bool:
    info = TypeInfo(schema)
    found = _Types(info)
    visit(parse(read_operation(name)), TypeInfoVisitor(info, found))
    return bool(found.names & {"Leaderboard", "LeaderboardRow"})


# ---------------------------------------------------------------- at random


@pytest.mark.parametrize("seed", range(times(4, 12)))
async def test_a_selection_is_answered_alike_whatever_is_in_it(seed: int, place: Place) -> None:
    random = Random(seed)
    for _ in range(12):
        root = random.choice(["tournament", "league", "viewer", "node"])
        document = Documents(random, WIDE._schema).of(root)
        variables = {"id": place.ids.get(root, place.ids[random.choice(["board", "row"])])}
        await place.both(document, variables | {name: random.random() < 0.5 for name in "abc"})


class Documents:
    """Writes valid documents about boards: with aliases, fragments, conditions, names of types, and errors."""

    def __init__(self, random: Random, schema: Any) -> None:
        self._random = random
        self._schema = schema
        self._fragments: list[str] = []
        self._number = 0

    def of(self, root: str) -> str:
        argument = "" if root == "viewer" else "(id: $id)"
        kind = get_named_type(self._schema.query_type.fields[root].type)
        body = self._selection(kind, 4)
        used = "x: __typename @skip(if: $a) y: __typename @include(if: $b) z: __typename @skip(if: $c)"
        head = "query ($id: ID!, $a: Boolean!, $b: Boolean!, $c: Boolean!)"
        other = "" if root != "viewer" else "node(id: $id) { id }"
        return f"{head} {{ {root}{argument} {body} {used} {other} }} " + " ".join(self._fragments)

    def _selection(self, kind: GraphQLNamedType, depth: int) -> str:
        if not isinstance(kind, GraphQLObjectType):
            named = [self._schema.type_map[name] for name in ("Leaderboard", "LeaderboardRow", "Tournament")]
            below = " ".join(f"... on {found.name} {self._selection(found, depth)}" for found in named)
            return f"{{ __typename id {below} }}"
        parts = list(self._parts(kind, depth)) or ["__typename"]
        return "{ " + " ".join(parts) + " }"

    def _parts(self, kind: GraphQLObjectType, depth: int) -> Iterator[str]:
        names = self._random.sample(sorted(kind.fields), min(len(kind.fields), self._random.randint(1, 4)))
        boards = [name for name in kind.fields if name in _TOWARDS]
        for name in dict.fromkeys([*names, *boards]):
            part = self._field(kind, name, depth)
            if part is not None:
                yield self._wrapped(kind, part)
        if self._random.random() < 0.3:
            yield f"{self._alias()}: __typename"

    def _field(self, kind: GraphQLObjectType, name: str, depth: int) -> str | None:
        field = kind.fields[name]
        below = get_named_type(field.type)
        if name.startswith("admin") or any(is_required_argument(found) for found in field.args.values()):
            return None
        is_leaf = not hasattr(below, "fields")
        if not is_leaf and (depth == 0 or below.name == "Viewer"):
            return None
        body = "" if is_leaf else self._selection(below, depth - 1)
        return f"{self._alias()}: {name}{self._arguments(field.args)}{self._condition()} {body}"

    def _arguments(self, arguments: dict[str, Any]) -> str:
        if "first" not in arguments or self._random.random() < 0.4:
            return ""
        return f"(first: {self._random.choice([0, 1, 2, 3, 5, 101])})"

    def _alias(self) -> str:
        self._number += 1
        return f"f{self._number}"

    def _condition(self) -> str:
        if self._random.random() < 0.8:
            return ""
        return f" @{self._random.choice(['skip', 'include'])}(if: ${self._random.choice('abc')})"

    def _wrapped(self, kind: GraphQLObjectType, part: str) -> str:
        chance = self._random.random()
        if chance < 0.15:
            return f"... on {kind.name}{self._condition()} {{ {part} }}"
        if chance < 0.3:
            name = f"F{self._alias()}"
            self._fragments.append(f"fragment {name} on {kind.name} {{ {part} }}")
            return f"...{name}{self._condition()}"
        return part


_TOWARDS = {"leaderboard", "rows", "edges", "node", "viewerRow", "viewerNeighbours", "member", "totalLeaderboard"}
"""Fields that lead to rows."""
