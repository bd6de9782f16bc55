"""Every mutation of platform admins leaves one line in the audit log: who, why, by which request, to what.

A new mutation or resolver of theirs without a row here fails.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLField, get_named_type
from sqlalchemy import RowMapping, select

import resolvers
from domain.audit.tables import audit_log
from domain.execution.model import Operation
from resolvers.permissions import platform_admin
from schema.build import build_schema
from tests.support.api import Api
from tests.support.api_world import World, make_world
from tests.support.dead_letters import fail
from tests.support.executions import queue
from tests.support.football import set_match
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.schedules import put_schedule

REASON = "  The walk over all of them  "
# Resolvers of admins that change nothing.
READS = {
    "audit.read",
    "dead_letter.read",
    "execution.admin",
    "execution.read",
    "execution.watch",
    "health.read_problem",
    "operations.watch",
    "member.read_managed",
    "schedule.read",
    "schedule.read_run",
}


@dataclass(frozen=True, slots=True)
class Walked:
    """A mutation: the resolver behind it, its input but for the reason, and what it is done to."""

    resolver: str
    input: Callable[[dict[str, str]], dict[str, Any]]
    subject: str


WALK = {
    "runOperation": Walked("execution.run", lambda _: {"operation": {"settlePending": {}}}, "EXECUTION"),
    "cancelExecution": Walked("execution.cancel", lambda ids: {"executionId": ids["queued"]}, "EXECUTION"),
    "retryExecution": Walked("execution.retry", lambda ids: {"executionId": ids["failed"]}, "EXECUTION"),
    "replayDeadLetter": Walked("dead_letter.replay", lambda ids: {"deadLetterId": ids["letter"]}, "DEAD_LETTER"),
    "discardDeadLetter": Walked("dead_letter.discard", lambda ids: {"deadLetterId": ids["letter"]}, "DEAD_LETTER"),
    "createSchedule": Walked(
        "schedule.create",
        lambda _: {"name": "Mine", "operation": {"settlePending": {}}, "cron": "0 4 * * *"},
        "SCHEDULE",
    ),
    "updateSchedule": Walked(
        "schedule.update", lambda ids: {"scheduleId": ids["schedule"], "cron": "0 5 * * *"}, "SCHEDULE"
    ),
    "runScheduleNow": Walked("schedule.run_now", lambda ids: {"scheduleId": ids["schedule"]}, "SCHEDULE"),
    "correctResult": Walked(
        "correction.correct_result", lambda ids: {"matchId": ids["settled"], "kind": "VOID"}, "EXECUTION"
    ),
    "createRuleset": Walked(
        "ruleset.create",
        lambda _: {"code": "mine", "label": "Mine", "weights": [{"fact": "EXACT", "points": 3}]},
        "RULESET",
    ),
    "replaySettlement": Walked(
        "correction.replay_settlement", lambda ids: {"tournamentId": ids["tournament"]}, "EXECUTION"
    ),
    "dismissHealthProblem": Walked("health.dismiss", lambda ids: {"problemId": ids["problem"]}, "MATCH"),
    "changePlatformRole": Walked(
        "member.change_platform_role", lambda ids: {"memberId": ids["member"], "role": "ADMIN"}, "MEMBER"
    ),
    "updateTournament": Walked(
        "tournament.update", lambda ids: {"tournamentId": ids["tournament"], "label": "Another"}, "TOURNAMENT"
    ),
}


def _mutations() -> dict[str, GraphQLField]:
    root = build_schema().mutation_type
    assert root
    return dict(root.fields)


def test_every_resolver_of_admins_has_a_row() -> None:
    modules = {
        found.name: importlib.import_module(f"resolvers.{found.name}")
        for found in pkgutil.iter_modules(resolvers.__path__)
    }
    guarded = {
        f"{name}.{attribute}"
        for name, module in modules.items()
        for attribute, value in vars(module).items()
        if getattr(value, "rule", None) is platform_admin and value.__module__ == module.__name__
    }

    assert guarded - READS == {walked.resolver for walked in WALK.values()}
    assert guarded >= READS


def test_every_mutation_of_admins_has_a_row() -> None:
    of_admins = {name for name, field in _mutations().items() if (field.description or "").endswith("Platform admins.")}

    assert of_admins == set(WALK)


@pytest.mark.parametrize("name", WALK)
async def test_it_leaves_exactly_one_line(name: str, api: Api) -> None:
    walked = WALK[name]
    world = await make_world(api)
    wanted = walked.input(await _ids(world))
    client = await world.client(world.root)
    before = await _log(api)

    answer = await _run(client, name, {**wanted, "reason": REASON})

    (line,) = (await _log(api))[len(before) :]
    assert (line["action"], line["actor_id"], line["actor_kind"]) == (name, world.root, "MEMBER")
    assert (line["reason"], line["request_id"]) == (REASON.strip(), answer["requestId"])
    assert line["subject_kind"] == walked.subject
    shown = await client.operation("adminAuditLog", first=1)
    (edge,) = shown.data["admin"]["auditLog"]["edges"]
    kind = "".join(word.title() for word in walked.subject.split("_"))
    assert edge["node"]["subject"] == {"__typename": kind, "id": id_of(kind, line["subject_id"])}


async def test_what_is_refused_leaves_no_line(api: Api) -> None:
    world = await make_world(api)
    ids = await _ids(world)
    root, ana, nobody = [await world.client(each) for each in (world.root, world.ana, None)]
    before = await _log(api)

    for name, walked in WALK.items():
        wanted = walked.input(ids)
        for reason in ("no", "x" * 501):
            refused = await _run(root, name, {**wanted, "reason": reason}, "INVALID_INPUT")
            assert refused["errors"][0]["field"] == ["reason"]
        await _run(ana, name, {**wanted, "reason": REASON}, "FORBIDDEN")
        await _run(nobody, name, {**wanted, "reason": REASON}, "UNAUTHENTICATED")
        assert await _log(api) == before, name


async def _run(client: GraphQLClient, name: str, wanted: dict[str, Any], code: str | None = None) -> dict[str, Any]:
    """The payload's errors, which must be none or begin with `code`, and the request id."""
    kind = get_named_type(_mutations()[name].args["input"].type).name
    document = f"mutation($input: {kind}!) {{ {name}(input: $input) {{ errors {{ code field message }} }} }}"
    answer = await client.run(document, {"input": wanted})
    errors = answer.data[name]["errors"]
    assert [error["code"] for error in errors[:1]] == ([code] if code else []), errors
    return {"errors": errors, "requestId": answer.extensions["requestId"]}


async def _log(api: Api) -> list[RowMapping]:
    async with api.database.read() as connection:
        return list((await connection.execute(select(audit_log).order_by(audit_log.c.id))).mappings())


async def _ids(world: World) -> dict[str, str]:
    database = world.api.database
    letter = await fail(database, operation=Operation.SYNC_CURRENT_ROUND)
    queued = (await queue(database, operation=Operation.REBUILD_PROJECTION)).execution
    await set_match(database, world.open, hold_reason="The result has just come in.")
    root = await world.client(world.root)
    (tournament,) = (await root.operation("adminTournaments")).data["tournaments"]["edges"]
    return {
        "queued": id_of("Execution", queued.id),
        "failed": id_of("Execution", letter.execution_id),
        "letter": id_of("DeadLetter", letter.id),
        "schedule": id_of("Schedule", await put_schedule(database)),
        "settled": id_of("Match", world.settled),
        "tournament": world.tournament_id,
        "member": id_of("Member", world.ana),
        "problem": tournament["node"]["adminHealth"]["problems"][0]["id"],
    }
