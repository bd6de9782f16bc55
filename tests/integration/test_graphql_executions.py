"""Cancel, retry and dead letters over the API, with the contract's own documents: answers, refusals, statements."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from domain.execution.dead_letter.model import DeadLetter, DeadLetterResolution
from domain.execution.lease import service as leases
from domain.execution.lease.store import Claim
from domain.execution.model import ExecutionState, ExecutionTrigger, Operation, Target
from domain.execution.service import live_executions
from domain.ids import new_id
from tests.support.api_world import World
from tests.support.commands import call, refusals
from tests.support.dead_letters import FAILURE, NOTHING, TRACE, all_letters, fail, fail_many, letter_of
from tests.support.executions import queue, read_one
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.statements import recorded_statements

REASONS = ["", "no", " x ", "x" * 501]
COMMANDS = {
    "cancelExecution": "executionId",
    "retryExecution": "executionId",
    "replayDeadLetter": "deadLetterId",
    "discardDeadLetter": "deadLetterId",
}


async def pages(client: GraphQLClient, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.operation("adminDeadLetters", **variables)).data["admin"]["deadLetters"]
    return found


# ---------------------------------------------------------------- cancel and retry


async def test_a_queued_execution_is_cancelled_and_run_again(world: World, root: GraphQLClient) -> None:
    database = world.api.database
    target = Target(world.tournament.id, None, world.open)
    queued = (await queue(database, operation=Operation.SETTLE_MATCH, target=target)).execution
    execution_id = id_of("Execution", queued.id)
    cancelled = await call(root, "cancelExecution", executionId=execution_id)
    retried = await call(root, "retryExecution", executionId=execution_id, reason=" after all ")
    again = await call(root, "retryExecution", executionId=execution_id)

    assert (cancelled["errors"], cancelled["alreadyLive"]) == ([], False)
    shown = cancelled["execution"]
    assert (shown["id"], shown["state"], shown["version"]) == (execution_id, "CANCELLED", 2)
    assert shown["cancelRequestedAt"] is not None
    assert shown["finishedAt"] is not None
    assert (shown["startedAt"], shown["reportUrl"]) == (None, None)
    assert (retried["errors"], retried["alreadyLive"]) == ([], False)
    new = retried["execution"]
    assert new["retryOf"] == {"id": execution_id, "state": "CANCELLED"}
    assert (new["state"], new["trigger"], new["reason"]) == ("QUEUED", "ADMIN", "after all")
    assert (new["actor"]["nickName"], new["match"]["id"]) == ("Root", id_of("Match", world.open))
    assert (again["execution"]["id"], again["alreadyLive"]) == (new["id"], True)
    assert (await root.operation("adminExecution", id=new["id"])).data["node"]["id"] == new["id"]


async def test_a_running_execution_is_asked_once(world: World, root: GraphQLClient) -> None:
    database = world.api.database
    queued = (await queue(database)).execution
    assert await leases.claim(database, queued.id, owner="test", lease_seconds=60)
    execution_id = id_of("Execution", queued.id)
    first = await call(root, "cancelExecution", executionId=execution_id)
    second = await call(root, "cancelExecution", executionId=execution_id)

    assert (first["execution"]["state"], first["errors"]) == ("IN_PROGRESS", [])
    assert first["execution"]["cancelRequestedAt"] is not None
    assert second == first


# ---------------------------------------------------------------- dead letters


async def test_a_dead_letter_says_what_failed_where_and_is_replayed(world: World, root: GraphQLClient) -> None:
    letter = await fail(
        world.api.database,
        operation=Operation.SETTLE_MATCH,
        target=Target(world.tournament.id, None, world.open),
        request_id="r-5",
    )
    (edge,) = (await pages(root))["edges"]
    node = edge["node"]
    replayed = await call(root, "replayDeadLetter", deadLetterId=node["id"])

    assert node["id"] == id_of("DeadLetter", letter.id)
    assert (node["operation"], node["attempts"], node["trace"]) == ("SETTLE_MATCH", 1, TRACE)
    assert json.loads(node["message"]) == letter.message
    assert node["error"] == {"code": FAILURE.code, "message": FAILURE.message}
    assert node["execution"] == {
        "id": id_of("Execution", letter.execution_id),
        "state": "FAILED",
        "requestId": "r-5",
    }
    assert (node["resolution"], node["resolvedBy"], node["resolvedAt"]) == (None, None, None)
    assert replayed["errors"] == []
    assert replayed["deadLetter"]["resolution"] == "REPLAYED"
    assert replayed["deadLetter"]["resolvedBy"]["nickName"] == "Root"
    assert replayed["execution"]["state"] == "QUEUED"
    assert (await pages(root))["edges"] == []
    (edge,) = (await pages(root, includeResolved=True))["edges"]
    assert edge["node"] == replayed["deadLetter"]
    query = "query ($id: ID!) { node(id: $id) { ... on Execution { retryOf { id } } } }"
    found = (await root.run(query, {"id": replayed["execution"]["id"]})).data["node"]
    assert found["retryOf"] == {"id": node["execution"]["id"]}


async def test_a_discarded_dead_letter_runs_nothing(world: World, root: GraphQLClient) -> None:
    letter = await fail(world.api.database)
    before = len(await live_executions(world.api.database))
    discarded = await call(root, "discardDeadLetter", deadLetterId=id_of("DeadLetter", letter.id))

    assert discarded["errors"] == []
    assert discarded["deadLetter"]["resolution"] == "DISCARDED"
    assert len(await live_executions(world.api.database)) == before
    query = "query ($id: ID!) { node(id: $id) { id ... on DeadLetter { resolution resolvedBy { nickName } } } }"
    found = (await root.run(query, {"id": id_of("DeadLetter", letter.id)})).data["node"]
    assert found == {
        "id": id_of("DeadLetter", letter.id),
        "resolution": "DISCARDED",
        "resolvedBy": {"nickName": "Root"},
    }


async def test_the_audit_log_names_the_dead_letter(world: World, root: GraphQLClient) -> None:
    letter = await fail(world.api.database)
    letter_id = id_of("DeadLetter", letter.id)
    await call(root, "discardDeadLetter", deadLetterId=letter_id)
    log = (await root.operation("adminAuditLog", filter={"subjectId": letter_id})).data["admin"]["auditLog"]

    (entry,) = [edge["node"] for edge in log["edges"]]
    assert (entry["action"], entry["reason"], entry["actor"]["nickName"]) == ("discardDeadLetter", "tested", "Root")
    assert entry["subject"]["id"] == letter_id


async def test_pages_walk_through_all_dead_letters(world: World, root: GraphQLClient) -> None:
    letters = await fail_many(world.api.database, 5)
    found: list[str] = []
    after = None
    while True:
        page = await pages(root, first=2, after=after)
        found += [edge["node"]["id"] for edge in page["edges"]]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break

    assert found == [id_of("DeadLetter", one.id) for one in reversed(letters)]
    for bad in ({"first": 0}, {"first": 101}, {"after": "x"}, {"after": after, "includeResolved": True}):
        answer = await root.operation("adminDeadLetters", **bad)
        assert answer.codes == ["INVALID_INPUT"], bad


# ---------------------------------------------------------------- refusals


async def _an_id(world: World, name: str) -> str:
    """An id that the command would take."""
    if name == "cancelExecution":
        return id_of("Execution", (await queue(world.api.database)).execution.id)
    letter = await fail(world.api.database)
    return id_of("Execution", letter.execution_id) if name == "retryExecution" else id_of("DeadLetter", letter.id)


@pytest.mark.parametrize("name", COMMANDS)
async def test_bad_input_changes_nothing(name: str, world: World, root: GraphQLClient) -> None:
    field = COMMANDS[name]
    good = await _an_id(world, name)
    before = await _state(world)
    for reason in REASONS:
        payload = await call(root, name, **{field: good}, reason=reason)
        assert refusals(payload) == [("INVALID_INPUT", ["reason"])]
    kind, other = ("Execution", "DeadLetter") if field == "executionId" else ("DeadLetter", "Execution")
    foreign = [world.tournament_id, id_of(other, new_id()), id_of(kind, new_id()), id_of(kind, "x"), "", "äö", "1"]
    for unknown in foreign:
        payload = await call(root, name, **{field: unknown})
        assert refusals(payload) == [("NOT_FOUND", [field])], unknown
        assert {payload[key] for key in ("execution", "deadLetter") if key in payload} == {None}
    assert await _state(world) == before


@pytest.mark.parametrize("name", COMMANDS)
async def test_only_admins_may(name: str, world: World) -> None:
    field = COMMANDS[name]
    good = await _an_id(world, name)
    before = await _state(world)
    for member, code in ((None, "UNAUTHENTICATED"), (world.eve, "FORBIDDEN"), (world.ana, "FORBIDDEN")):
        client = await world.client(member)
        assert refusals(await call(client, name, **{field: good})) == [(code, None)]
    assert await _state(world) == before


async def test_what_is_over_or_resolved_is_refused(world: World, root: GraphQLClient) -> None:
    database = world.api.database
    done = (await queue(database)).execution
    running = await leases.claim(database, done.id, owner="test", lease_seconds=60)
    assert running is not None
    retried_while_running = await call(root, "retryExecution", executionId=id_of("Execution", done.id))
    claim = Claim(running.id, running.fence)
    await leases.finish(database, claim, ExecutionState.COMPLETED, NOTHING, failure=None, report_key=None)
    letter = await fail(database, params={"a": 1})
    await queue(database, params={"a": 2}, trigger=ExecutionTrigger.SCHEDULE)
    letter_id = id_of("DeadLetter", letter.id)

    for payload in (
        retried_while_running,
        await call(root, "cancelExecution", executionId=id_of("Execution", done.id)),
        await call(root, "retryExecution", executionId=id_of("Execution", done.id)),
        await call(root, "retryExecution", executionId=id_of("Execution", letter.execution_id)),
        await call(root, "replayDeadLetter", deadLetterId=letter_id),
    ):
        assert refusals(payload) == [("WRONG_STATE", None)]
    assert (await letter_of(database, letter.execution_id)).resolution is None
    await call(root, "discardDeadLetter", deadLetterId=letter_id)
    for name in ("replayDeadLetter", "discardDeadLetter"):
        assert refusals(await call(root, name, deadLetterId=letter_id)) == [("WRONG_STATE", None)]
    assert (await letter_of(database, letter.execution_id)).resolution is DeadLetterResolution.DISCARDED


# ---------------------------------------------------------------- statements


@pytest.mark.parametrize("count", [2, 12])
async def test_the_list_takes_a_fixed_number_of_statements(count: int, world: World, root: GraphQLClient) -> None:
    for letter in await fail_many(world.api.database, count):
        await call(root, "discardDeadLetter", deadLetterId=id_of("DeadLetter", letter.id))
    with recorded_statements(world.api.database) as statements:
        page = await pages(root, includeResolved=True)

    assert len(page["edges"]) == count
    assert len(statements) == 3, _shown(statements)  # session, letters, executions; all by the viewer


Prepare = Callable[[World, DeadLetter], dict[str, Any]]
# What a command takes, and its statements: one for the session and the role in it, the transaction, and what is shown.
WRITES: dict[str, tuple[Prepare, int]] = {
    "retryExecution": (lambda _, letter: {"executionId": id_of("Execution", letter.execution_id)}, 13),
    "replayDeadLetter": (lambda _, letter: {"deadLetterId": id_of("DeadLetter", letter.id)}, 14),
    "discardDeadLetter": (lambda _, letter: {"deadLetterId": id_of("DeadLetter", letter.id)}, 8),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_command_takes_a_fixed_number_of_statements(name: str, world: World, root: GraphQLClient) -> None:
    variables, expected = WRITES[name]
    letter = (await fail_many(world.api.database, 3))[1]
    with recorded_statements(world.api.database) as statements:
        payload = await call(root, name, **variables(world, letter))

    assert payload["errors"] == []
    assert len(statements) == expected, _shown(statements)


async def test_a_cancel_takes_a_fixed_number_of_statements(world: World, root: GraphQLClient) -> None:
    queued = (await queue(world.api.database)).execution
    with recorded_statements(world.api.database) as statements:
        await call(root, "cancelExecution", executionId=id_of("Execution", queued.id))

    assert (await read_one(world.api.database, queued.id)).state is ExecutionState.CANCELLED
    assert len(statements) == 5, _shown(statements)


async def _state(world: World) -> tuple[object, ...]:
    return await live_executions(world.api.database), await all_letters(world.api.database)


def _shown(statements: list[str]) -> str:
    return "\n".join(" ".join(statement.split())[:160] for statement in statements)
