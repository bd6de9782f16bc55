"""Schedules over the API, with the contract's own documents: answers, refusals, pages, nodes, numbers of statements."""

import base64
from typing import Any

import pytest
from sqlalchemy import text

from domain.execution.model import Operation, Target
from tests.support.api import Api
from tests.support.api_world import World
from tests.support.commands import call, refusals
from tests.support.executions import queue
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.schedules import put_schedule
from tests.support.statements import recorded_statements

FAR = "2126-01-01T00:00:00Z"


async def test_a_schedule_from_its_making_to_its_end(root: GraphQLClient, world: World) -> None:
    wanted = {"settlePending": {"tournamentId": world.tournament_id}}
    made = await call(
        root, "createSchedule", name="Nightly", operation=wanted, cron="0 3 * * *", timeZone="Europe/Lisbon"
    )
    schedule = made["schedule"]

    assert made["errors"] == []
    assert (schedule["name"], schedule["operation"], schedule["cron"]) == ("Nightly", "SETTLE_PENDING", "0 3 * * *")
    assert (schedule["timeZone"], schedule["runAt"], schedule["status"]) == ("Europe/Lisbon", None, "ACTIVE")
    assert schedule["nextRunAt"] is not None
    assert schedule["tournament"] == {"id": world.tournament_id, "label": "Test League"}
    assert (schedule["round"], schedule["match"], schedule["lastRun"]) == (None, None, None)

    started = await call(root, "runScheduleNow", scheduleId=schedule["id"])
    again = await call(root, "runScheduleNow", scheduleId=schedule["id"])
    assert (started["alreadyLive"], again["alreadyLive"]) == (False, True)
    assert started["execution"]["trigger"] == "ADMIN"
    assert started["execution"]["schedule"] == {"id": schedule["id"], "name": "Nightly"}
    assert started["execution"]["actor"]["nickName"] == "Root"
    assert again["execution"]["id"] == started["execution"]["id"]

    paused = await call(root, "updateSchedule", scheduleId=schedule["id"], status="PAUSED", cron="0 4 * * *")
    assert (paused["schedule"]["status"], paused["schedule"]["cron"]) == ("PAUSED", "0 4 * * *")
    assert (paused["schedule"]["nextRunAt"], paused["schedule"]["timeZone"]) == (None, "Europe/Lisbon")
    assert (await root.operation("adminSchedule", id=schedule["id"])).data["node"] == {
        **paused["schedule"],
        "runs": {
            "edges": [],
            "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
        },
    }

    retired = await call(root, "updateSchedule", scheduleId=schedule["id"], status="RETIRED")
    assert retired["schedule"]["status"] == "RETIRED"
    for name, more in [("updateSchedule", {"status": "ACTIVE"}), ("runScheduleNow", {})]:
        assert refusals(await call(root, name, scheduleId=schedule["id"], **more)) == [("WRONG_STATE", None)]


async def test_a_one_time_schedule_about_a_match(root: GraphQLClient, world: World) -> None:
    match = id_of("Match", world.settled)
    made = await call(root, "createSchedule", name="Once", operation={"settleMatch": match}, runAt=FAR)
    schedule = made["schedule"]

    assert made["errors"] == []
    assert (schedule["runAt"], schedule["nextRunAt"], schedule["cron"], schedule["timeZone"]) == (FAR, FAR, None, "UTC")
    assert schedule["match"]["id"] == match
    assert schedule["tournament"]["id"] == world.tournament_id


async def test_all_faults_come_together_each_with_its_field(root: GraphQLClient) -> None:
    payload = await call(
        root,
        "createSchedule",
        name="x",
        operation={"settlePending": {}},
        cron="often",
        timeZone="Mars/Base",
        reason="-",
    )
    neither = await call(root, "createSchedule", name="Neither", operation={"settlePending": {}})

    assert payload["schedule"] is None
    assert refusals(payload) == [
        ("INVALID_INPUT", ["name"]),
        ("INVALID_INPUT", ["timeZone"]),
        ("INVALID_INPUT", ["cron"]),
        ("INVALID_INPUT", ["reason"]),
    ]
    assert refusals(neither) == [("INVALID_INPUT", ["cron"])]


async def test_unknown_targets_and_schedules_are_not_found(root: GraphQLClient, world: World) -> None:
    elsewhere = id_of("Tournament", world.ana)  # well formed, and of no tournament
    for wanted, field in [
        ({"settlePending": {"tournamentId": elsewhere}}, ["operation"]),
        ({"settlePending": {"tournamentId": "nonsense"}}, ["operation", "settlePending", "tournamentId"]),
    ]:
        payload = await call(root, "createSchedule", name="Lost", operation=wanted, cron="* * * * *")
        assert refusals(payload) == [("NOT_FOUND", field)]
    for unknown in [id_of("Schedule", world.ana), world.tournament_id, ""]:
        for name in ["updateSchedule", "runScheduleNow"]:
            assert refusals(await call(root, name, scheduleId=unknown)) == [("NOT_FOUND", ["scheduleId"])]


async def test_null_is_refused_where_there_must_be_a_value(root: GraphQLClient, api: Api) -> None:
    schedule = id_of("Schedule", await put_schedule(api.database))
    payload = await call(root, "updateSchedule", scheduleId=schedule, cron=None, timeZone=None, status=None, runAt=FAR)

    assert refusals(payload) == [
        ("INVALID_INPUT", ["cron"]),
        ("INVALID_INPUT", ["runAt"]),
        ("INVALID_INPUT", ["timeZone"]),
        ("INVALID_INPUT", ["status"]),
    ]
    assert (await call(root, "updateSchedule", scheduleId=schedule, runAt=None))["errors"] == []


async def test_schedules_are_paged_by_name(root: GraphQLClient, api: Api) -> None:
    for number in range(5):
        await put_schedule(api.database, f"schedule {number}")
    async with api.database.begin() as connection:
        await connection.execute(text("UPDATE schedules SET status = 'RETIRED' WHERE name = 'schedule 2'"))
    seen, after = [], None
    for _ in range(3):
        page = (await root.operation("adminSchedules", first=2, after=after)).data["admin"]["schedules"]
        seen += [edge["node"]["name"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    retired = (await root.operation("adminSchedules", statuses=["RETIRED"])).data["admin"]["schedules"]
    elsewhere = await root.operation("adminSchedules", statuses=["RETIRED"], after=after)
    too_many = await root.operation("adminSchedules", first=101)

    assert seen == ["schedule 0", "schedule 1", "schedule 3", "schedule 4"]
    assert [edge["node"]["name"] for edge in retired["edges"]] == ["schedule 2"]
    assert elsewhere.codes == too_many.codes == ["INVALID_INPUT"]


async def test_the_history_is_paged_and_each_run_is_a_node(root: GraphQLClient, api: Api) -> None:
    execution = (await queue(api.database, target=Target())).execution
    schedule = id_of("Schedule", await put_schedule(api.database, execution_id=execution.id))
    async with api.database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO schedule_runs (schedule_id, slot, outcome, missed_slots)"
                " SELECT schedule_id, slot + interval '1 day', 'SKIPPED_OVERLAP', 3 FROM schedule_runs"
            )
        )
    first = (await root.operation("adminSchedule", id=schedule, first=1)).data["node"]
    cursor = first["runs"]["pageInfo"]["endCursor"]
    second = (await root.operation("adminSchedule", id=schedule, first=1, after=cursor)).data["node"]
    (skipped,), (started,) = ([edge["node"] for edge in node["runs"]["edges"]] for node in (first, second))

    assert first["lastRun"] == skipped
    assert (skipped["slot"], skipped["outcome"], skipped["missedSlots"]) == (
        "2026-01-02T00:00:00Z",
        "SKIPPED_OVERLAP",
        3,
    )
    assert skipped["execution"] is None
    assert (started["slot"], started["outcome"], started["missedSlots"]) == ("2026-01-01T00:00:00Z", "STARTED", 0)
    assert started["execution"] == {"id": id_of("Execution", execution.id), "state": "QUEUED", "finishedAt": None}
    assert (first["runs"]["pageInfo"]["hasNextPage"], second["runs"]["pageInfo"]["hasNextPage"]) == (True, False)
    document = "query ($id: ID!) { node(id: $id) { id ... on ScheduleRun { slot } } }"
    found = (await root.run(document, {"id": started["id"]})).data["node"]
    assert found == {"id": started["id"], "slot": started["slot"]}
    put = (await root.operation("adminSchedules")).data["admin"]["schedules"]["edges"][0]["node"]
    assert {**put, "runs": first["runs"]} == first
    for slot in ["+1767225600000000", "01767225600000000", "1767225600000001", "x", str(10**30)]:
        parts = schedule_parts(schedule)
        assert (await root.run(document, {"id": id_of("ScheduleRun", parts, slot)})).data["node"] is None


def schedule_parts(schedule: str) -> str:
    """The UUID in a schedule's id."""
    return base64.urlsafe_b64decode(schedule + "=" * (-len(schedule) % 4)).decode().split(":")[1]


# ---------------------------------------------------------------- statements


@pytest.mark.parametrize("size", [2, 20])
async def test_lists_take_a_fixed_number_of_statements(size: int, api: Api, world: World, root: GraphQLClient) -> None:
    for number in range(size):
        match = world.tournament.matches[number % 6]
        execution = (
            await queue(api.database, operation=Operation.SETTLE_MATCH, target=Target(match_id=match))
        ).execution
        target = Target(world.tournament.id, world.tournament.rounds[number % 2], match)
        schedule = await put_schedule(api.database, f"schedule {number}", target=target, execution_id=execution.id)
        async with api.database.begin() as connection:
            await connection.execute(
                text(
                    "INSERT INTO schedule_runs (schedule_id, slot, outcome, execution_id)"
                    " SELECT schedule_id, slot + make_interval(days => n), outcome, execution_id"
                    " FROM schedule_runs, generate_series(1, :size) n WHERE schedule_id = :id"
                ),
                {"id": schedule, "size": size},
            )
    with recorded_statements(api.database) as listing:
        listed = (await root.operation("adminSchedules")).data["admin"]["schedules"]
    with recorded_statements(api.database) as one:
        alone = (await root.operation("adminSchedule", id=id_of("Schedule", schedule))).data["node"]

    assert len(listed["edges"]) == size
    assert len(alone["runs"]["edges"]) == size + 1
    # Session, schedules, their last runs, executions, tournaments, rounds, matches, teams.
    assert len(listing) == len(set(listing)) == 8, listing
    # The same, and its runs, whose executions are asked for at another moment.
    assert len(set(one)) == 9, one
    assert len(one) <= 10, one


async def test_commands_take_a_fixed_number_of_statements(api: Api, root: GraphQLClient) -> None:
    schedule = id_of("Schedule", await put_schedule(api.database))
    commands: list[tuple[str, dict[str, Any], int]] = [
        ("createSchedule", {"name": "Made", "operation": {"settlePending": {}}, "cron": "* * * * *"}, 6),
        ("updateSchedule", {"scheduleId": schedule, "status": "ACTIVE"}, 6),
        ("runScheduleNow", {"scheduleId": schedule}, 7),
    ]
    for name, values, expected in commands:
        with recorded_statements(api.database) as statements:
            payload = await call(root, name, **values)

        assert payload["errors"] == []
        assert len(statements) == expected, (name, statements)
