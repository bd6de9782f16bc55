"""The schema against the contract: what is missing is listed, nothing else differs, and everything has its words."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLSchema,
    find_breaking_changes,
    find_dangerous_changes,
    is_specified_scalar_type,
    parse,
    validate,
    value_from_ast_untyped,
)
from graphql import (
    build_schema as read_sdl,
)

from schema.build import SDL_FILE, build_schema, sdl
from schema.transport.cost import cost_of, plan_of
from schema.transport.engine import Engine
from schema.transport.limits import Limits
from schema.transport.measure import check_size
from schema.transport.requests import GraphQLRequest
from tests.support.graphql_client import CONTRACT, REDUCED, operation_names, read_operation

MISSING = Path(__file__).parent / "missing.txt"
# Run unchanged since the issue that built them; the copies in `operations/` wait for theirs.
UNCHANGED = [
    "addLeagueTournament",
    "adminAuditLog",
    "adminDeadLetters",
    "adminExecution",
    "adminExecutions",
    "adminMembers",
    "adminOperationsStatus",
    "adminSchedule",
    "adminSchedules",
    "adminTournaments",
    "cancelExecution",
    "changeLeagueRole",
    "changePlatformRole",
    "correctResult",
    "corrections",
    "createLeague",
    "createLeagueInvite",
    "createRuleset",
    "createSchedule",
    "dashboard",
    "deleteAccount",
    "deleteLeague",
    "discardDeadLetter",
    "dismissHealthProblem",
    "executionUpdates",
    "exportLeaderboard",
    "joinLeague",
    "joinTournament",
    "leaderboardUpdates",
    "league",
    "leagueHistory",
    "leagueInvite",
    "leagueInvites",
    "leagueLeaderboard",
    "leaveLeague",
    "liveScoreboard",
    "matchUpdates",
    "myGuesses",
    "operationsUpdates",
    "refetch",
    "removeLeagueMember",
    "removeLeagueTournament",
    "replayDeadLetter",
    "replaySettlement",
    "retryExecution",
    "revokeLeagueInvite",
    "revokeSession",
    "rulesets",
    "runOperation",
    "runScheduleNow",
    "saveGuess",
    "saveGuesses",
    "signIn",
    "signOut",
    "signUp",
    "tournament",
    "tournamentLeaderboard",
    "tournaments",
    "transferLeague",
    "updateLeague",
    "updateLeagueTournament",
    "updateProfile",
    "updateSchedule",
    "updateTournament",
]


@pytest.fixture(scope="module")
def ours() -> GraphQLSchema:
    return build_schema()


@pytest.fixture(scope="module")
def contract() -> GraphQLSchema:
    return read_sdl((CONTRACT / "schema.graphql").read_text())


def test_breaking_changes_are_exactly_those_that_are_listed(ours: GraphQLSchema, contract: GraphQLSchema) -> None:
    found = sorted(f"{change.type.name} {change.description}" for change in find_breaking_changes(contract, ours))

    assert found == MISSING.read_text().splitlines()


def test_nothing_is_dangerously_different(ours: GraphQLSchema, contract: GraphQLSchema) -> None:
    missing_values = {"ErrorCode", "Operation"}
    changes = [change.description for change in find_dangerous_changes(contract, ours)]

    assert [change for change in changes if not any(name in change for name in missing_values)] == []


def test_everything_that_the_contract_describes_has_its_words(ours: GraphQLSchema, contract: GraphQLSchema) -> None:
    expected = dict(_descriptions(contract))
    found = dict(_descriptions(ours))

    assert {place: words for place, words in found.items() if expected.get(place, words) != words} == {}


def test_everything_is_described(ours: GraphQLSchema) -> None:
    plain_arguments = {"first", "after", "id", "input", "code", "statuses", "filter", "timeZone"}
    silent = [
        place
        for place, words in _descriptions(ours)
        if not words and not any(place.endswith(f"({name})") for name in plain_arguments)
    ]

    assert silent == []


def test_words_name_no_field_that_is_not_there(ours: GraphQLSchema, contract: GraphQLSchema) -> None:
    planned = {name for kind in (contract.query_type, contract.mutation_type) if kind for name in kind.fields}
    there = {part for place, _ in _descriptions(ours) for part in re.findall(r"\w+", place)}
    named = {
        (place, name) for place, words in _descriptions(ours) for name in re.findall(r"`([a-z]+[A-Z]\w*)`", words or "")
    }

    assert len(named) > 50
    assert {(place, name) for place, name in named if name not in there | planned} == set()


def test_the_committed_schema_is_what_the_code_says(ours: GraphQLSchema) -> None:
    assert SDL_FILE.read_text() == sdl(ours)


def test_the_committed_schema_says_which_inputs_take_one_field(contract: GraphQLSchema) -> None:
    assert _one_of(contract) == ["BoardMomentInput", "MatchScopeInput", "OperationInput"]
    assert _one_of(read_sdl(SDL_FILE.read_text())) == _one_of(contract)


def test_the_operations_that_run_are_exactly_those_that_are_listed(ours: GraphQLSchema) -> None:
    valid = [name for name in operation_names(CONTRACT) if not validate(ours, parse(read_operation(name)))]

    assert valid == UNCHANGED


@pytest.mark.parametrize("name", operation_names(REDUCED))
def test_a_reduced_copy_is_part_of_its_original(name: str, ours: GraphQLSchema) -> None:
    copy, original = _names(read_operation(name, REDUCED)), _names(read_operation(name))

    assert name not in UNCHANGED
    assert validate(ours, parse(read_operation(name, REDUCED))) == []
    assert copy < original


@pytest.mark.parametrize("name", operation_names(CONTRACT))
def test_every_operation_meets_the_limits(name: str, contract: GraphQLSchema) -> None:
    document = parse(read_operation(name))
    (operation,) = (node for node in document.definitions if node.kind == "operation_definition")

    check_size(document, Limits())

    defaults = {
        node.variable.name.value: value_from_ast_untyped(node.default_value)
        for node in operation.variable_definitions or ()  # type: ignore[attr-defined]
        if node.default_value is not None
    }
    assert cost_of(plan_of(contract, document, operation), defaults) <= Limits().cost  # type: ignore[arg-type]


@pytest.mark.parametrize("name", UNCHANGED)
def test_every_operation_passes_the_pipeline(name: str, ours: GraphQLSchema) -> None:
    engine = Engine(ours, Limits(), lambda _: False)

    assert engine._document(read_operation(name)) is engine._document(read_operation(name))
    assert engine._document(GraphQLRequest(read_operation(name), {}, None).query).operations


def _one_of(schema: GraphQLSchema) -> list[str]:
    inputs = [kind for kind in schema.type_map.values() if isinstance(kind, GraphQLInputObjectType)]
    return sorted(kind.name for kind in inputs if kind.is_one_of)


def _names(document: str) -> Counter[str]:
    """How often each name stands in a document, comments left out."""
    return Counter(re.findall(r"\w+", re.sub(r"#.*", "", document)))


def _descriptions(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for name, kind in schema.type_map.items():
        if not name.startswith("__") and not is_specified_scalar_type(kind):
            yield name, kind.description
            yield from _descriptions_of(kind)


def _descriptions_of(kind: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    if isinstance(kind, GraphQLEnumType):
        for value, definition in kind.values.items():
            yield f"{kind.name}.{value}", definition.description
    for name, field in getattr(kind, "fields", {}).items():
        yield f"{kind.name}.{name}", field.description
        for argument, definition in getattr(field, "args", {}).items():
            yield f"{kind.name}.{name}({argument})", definition.description
