"""What admins do with schedules, down to the rows: make, change, pause, resume, retire, run now; and its audit."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from domain.audit.tables import audit_log
from domain.errors import NotFound, Refused, WrongState
from domain.execution.model import Command, ExecutionTrigger, Operation, Target
from domain.execution.service import live_executions
from domain.ids import MatchId, MemberId, ScheduleId, TournamentId
from domain.schedule import commands
from domain.schedule import service as schedules
from domain.schedule.model import NewSchedule, Schedule, ScheduleChange, ScheduleStatus
from domain.tournament.model import TournamentStatus
from tasks.due import run_due_once
from tests.support.executions import queue
from tests.support.football import make_member, make_tournament

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

SETTLE = Command(Operation.SETTLE_PENDING, Target(), {})
FAR = datetime(2126, 1, 1, tzinfo=UTC)
PAST = datetime(2026, 1, 1, tzinfo=UTC)


def recurring(name: str = "nightly", **other: Any) -> NewSchedule:
    return NewSchedule(**{"name": name, "command": SETTLE, "cron": "0 3 * * *", "time_zone": "Europe/Lisbon", **other})


def once(name: str = "once", **other: Any) -> NewSchedule:
    return NewSchedule(**{"name": name, "command": SETTLE, "run_at": FAR, **other})


async def create(database: "PostgresDatabase", new: NewSchedule, *, reason: str = "tested") -> Schedule:
    return await commands.create(database, new, actor_id=None, reason=reason, request_id="request-1")


async def update(
    database: "PostgresDatabase", schedule: Schedule, *, reason: str = "tested", **change: Any
) -> Schedule:
    return await commands.update(
        database, schedule.id, ScheduleChange(**change), actor_id=None, reason=reason, request_id="request-2"
    )


async def run_now(database: "PostgresDatabase", schedule_id: ScheduleId, actor_id: MemberId | None = None) -> Any:
    return await commands.run_now(
        database, schedule_id, actor_id=actor_id, reason="  cannot wait  ", request_id="request-3"
    )


async def acts(database: "PostgresDatabase") -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(select(audit_log).order_by(audit_log.c.id))).all())


async def one(database: "PostgresDatabase", schedule: Schedule) -> Schedule:
    return (await schedules.read_schedules(database, [schedule.id]))[schedule.id]


def faults(refusal: Refused) -> list[tuple[str, tuple[str, ...] | None]]:
    return [(fault.code, fault.field) for fault in refusal.faults]


# ---------------------------------------------------------------- create


async def test_a_recurring_schedule_waits_for_its_next_slot_in_its_zone(database: "PostgresDatabase") -> None:
    made = await create(database, recurring("  nightly  "))

    assert made == await one(database, made)
    assert (made.name, made.status, made.cron, made.run_at) == ("nightly", ScheduleStatus.ACTIVE, "0 3 * * *", None)
    assert made.next_slot is not None
    assert timedelta(0) < made.next_slot - datetime.now(UTC) <= timedelta(hours=25)
    assert made.next_slot.hour in {2, 3}  # 03:00 in Lisbon
    assert made == await schedules.by_name(database, "nightly")


async def test_a_one_time_schedule_keeps_its_moment_and_its_target_is_completed(database: "PostgresDatabase") -> None:
    football = await make_tournament(database)
    match = Command(Operation.SETTLE_MATCH, Target(match_id=football.matches[0]), {})
    made = await create(database, once(command=match))

    assert (made.run_at, made.next_slot) == (FAR, FAR)
    assert made.command.target == Target(football.id, None, football.matches[0])
    assert made == await one(database, made)


async def test_what_was_made_is_audited(database: "PostgresDatabase") -> None:
    made = await create(database, recurring(), reason="  as agreed  ")
    (act,) = await acts(database)

    assert (act.action, act.actor_kind, act.subject_kind, act.subject_id) == (
        "createSchedule",
        "OPERATOR",
        "SCHEDULE",
        made.id,
    )
    assert (act.reason, act.request_id, act.before) == ("as agreed", "request-1", None)
    assert act.after["cron"] == "0 3 * * *"
    assert act.after["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("new", "fields"),
    [
        (recurring("ab"), ["name"]),
        (recurring("x" * 81), ["name"]),
        (recurring("two\nlines"), ["name"]),
        (recurring(cron=None), ["cron"]),
        (recurring(run_at=FAR), ["cron"]),
        (recurring(cron="* * * *"), ["cron"]),
        (recurring(cron="* * * * * *"), ["cron"]),
        (recurring(time_zone="Europe/Atlantis"), ["timeZone"]),
        (recurring(cron="61 * * * *", time_zone="../secret"), ["timeZone", "cron"]),
        (once(run_at=PAST), ["runAt"]),
        (once("", run_at=PAST, time_zone=""), ["name", "runAt", "timeZone"]),
    ],
)
async def test_all_faults_of_a_new_schedule_are_told_at_once(
    new: NewSchedule, fields: list[str], database: "PostgresDatabase"
) -> None:
    with pytest.raises(Refused) as refusal:
        await create(database, new, reason="no")

    assert faults(refusal.value) == [("INVALID_INPUT", (field,)) for field in [*fields, "reason"]]
    assert await schedules.page(database, first=10) == []
    assert await acts(database) == []


async def test_a_target_must_exist_and_not_be_cancelled(database: "PostgresDatabase") -> None:
    cancelled = await make_tournament(database, status=TournamentStatus.CANCELLED)
    for target, code in [
        (Target(TournamentId(uuid4())), "NOT_FOUND"),
        (Target(match_id=MatchId(uuid4())), "NOT_FOUND"),
        (Target(cancelled.id), "INVALID_INPUT"),
    ]:
        with pytest.raises(Refused) as refusal:
            await create(database, recurring(command=Command(Operation.INGEST_ROUNDS, target, {})))

        assert faults(refusal.value) == [(code, ("operation",))]


async def test_a_name_is_given_once_however_many_want_it(database: "PostgresDatabase") -> None:
    made = await asyncio.gather(*(create(database, recurring()) for _ in range(8)), return_exceptions=True)
    refused = [answer for answer in made if isinstance(answer, Refused)]

    assert len(refused) == 7
    assert {tuple(faults(refusal)) for refusal in refused} == {(("INVALID_INPUT", ("name",)),)}
    assert len(await acts(database)) == 1


# ---------------------------------------------------------------- change


async def test_a_new_expression_counts_from_now_on(database: "PostgresDatabase") -> None:
    made = await create(database, recurring())
    after = await update(database, made, cron="0 0 1 1 *", time_zone="UTC")

    assert after == await one(database, made)
    assert (after.cron, after.time_zone, after.status) == ("0 0 1 1 *", "UTC", ScheduleStatus.ACTIVE)
    assert after.next_slot is not None
    assert (after.next_slot.month, after.next_slot.day, after.next_slot.hour) == (1, 1, 0)
    act = (await acts(database))[1]
    assert (act.action, act.before["cron"], act.after["cron"]) == ("updateSchedule", "0 3 * * *", "0 0 1 1 *")


async def test_what_is_left_out_stays_and_so_does_what_is_due(database: "PostgresDatabase") -> None:
    made = await create(database, recurring(cron="* * * * *"))
    async with database.begin() as connection:
        await connection.execute(text("UPDATE schedules SET next_slot = '2026-01-01T00:00Z'"))
    after = await update(database, made, cron="* * * * *", status=ScheduleStatus.ACTIVE)

    assert after.next_slot == PAST
    assert (after.cron, after.time_zone, after.name) == (made.cron, made.time_zone, made.name)


async def test_a_paused_schedule_has_no_slots_and_resumes_from_now_on(database: "PostgresDatabase") -> None:
    made = await create(database, recurring(cron="* * * * *"))
    async with database.begin() as connection:
        await connection.execute(text("UPDATE schedules SET next_slot = '2026-01-01T00:00Z'"))
    paused = await update(database, made, status=ScheduleStatus.PAUSED)
    await run_due_once(database)

    assert (paused.status, paused.next_slot) == (ScheduleStatus.PAUSED, None)
    assert await live_executions(database) == []

    resumed = await update(database, made, status=ScheduleStatus.ACTIVE)
    assert resumed.status is ScheduleStatus.ACTIVE
    assert resumed.next_slot is not None
    assert timedelta(seconds=-5) < resumed.next_slot - datetime.now(UTC) <= timedelta(minutes=1)
    assert await schedules.runs_page(database, made.id, first=10) == []


async def test_a_one_time_schedule_gets_another_moment(database: "PostgresDatabase") -> None:
    made = await create(database, once())
    later = FAR + timedelta(days=1)

    assert (await update(database, made, run_at=later)).next_slot == later
    assert (await update(database, made, status=ScheduleStatus.PAUSED)).next_slot is None
    assert (await update(database, made, status=ScheduleStatus.ACTIVE)).next_slot == later


async def test_a_one_time_schedule_whose_moment_passed_while_paused_needs_a_new_one(
    database: "PostgresDatabase",
) -> None:
    made = await create(database, once())
    await update(database, made, status=ScheduleStatus.PAUSED)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE schedules SET run_at = '2026-01-01T00:00Z'"))
    with pytest.raises(Refused) as refusal:
        await update(database, made, status=ScheduleStatus.ACTIVE)

    assert faults(refusal.value) == [("INVALID_INPUT", ("runAt",))]
    assert (await update(database, made, status=ScheduleStatus.ACTIVE, run_at=FAR)).next_slot == FAR


@pytest.mark.parametrize(
    ("new", "change", "field"),
    [
        (recurring(), {"cron": None}, "cron"),
        (recurring(), {"cron": "nonsense"}, "cron"),
        (recurring(), {"run_at": FAR}, "runAt"),
        (recurring(), {"time_zone": None}, "timeZone"),
        (recurring(), {"time_zone": "Nowhere"}, "timeZone"),
        (recurring(), {"status": None}, "status"),
        (recurring(), {"reason": "no"}, "reason"),
        (once(), {"cron": "* * * * *"}, "cron"),
        (once(), {"run_at": None}, "runAt"),
        (once(), {"run_at": PAST}, "runAt"),
    ],
)
async def test_a_change_that_makes_no_sense_changes_nothing(
    new: NewSchedule, change: dict[str, Any], field: str, database: "PostgresDatabase"
) -> None:
    made = await create(database, new)
    with pytest.raises(Refused) as refusal:
        await update(database, made, **change)

    assert faults(refusal.value) == [("INVALID_INPUT", (field,))]
    assert await one(database, made) == made
    assert len(await acts(database)) == 1


async def test_null_is_no_fault_where_there_was_nothing(database: "PostgresDatabase") -> None:
    assert (await update(database, await create(database, recurring()), run_at=None)).run_at is None
    assert (await update(database, await create(database, once()), cron=None)).cron is None


async def test_what_is_retired_stays_so(database: "PostgresDatabase") -> None:
    made = await create(database, recurring())
    retired = await update(database, made, status=ScheduleStatus.RETIRED)

    assert (retired.status, retired.next_slot) == (ScheduleStatus.RETIRED, None)
    for status in ScheduleStatus:
        with pytest.raises(WrongState):
            await update(database, made, status=status)
    with pytest.raises(WrongState):
        await run_now(database, made.id)
    assert len(await acts(database)) == 2


async def test_an_unknown_schedule_is_not_found(database: "PostgresDatabase") -> None:
    with pytest.raises(NotFound):
        await commands.update(
            database, ScheduleId(uuid4()), ScheduleChange(), actor_id=None, reason="tested", request_id="r"
        )
    with pytest.raises(NotFound):
        await run_now(database, ScheduleId(uuid4()))


# ---------------------------------------------------------------- run now


async def test_run_now_is_an_execution_outside_any_slot(database: "PostgresDatabase") -> None:
    root = await make_member(database, "Root")
    made = await create(database, recurring())
    first = await run_now(database, made.id, root)
    second = await run_now(database, made.id, root)
    (execution,) = await live_executions(database)

    assert (first.already_live, second.already_live) == (False, True)
    assert first.execution.id == second.execution.id == execution.id
    assert (execution.trigger, execution.schedule_id) == (ExecutionTrigger.ADMIN, made.id)
    assert (execution.actor_id, execution.reason) == (root, "cannot wait")
    assert await schedules.runs_page(database, made.id, first=10) == []
    assert await one(database, made) == made
    ours = [act for act in await acts(database) if act.action == "runScheduleNow"]
    assert [(act.actor_id, act.execution_id, act.after["alreadyLive"]) for act in ours] == [
        (root, execution.id, False),
        (root, execution.id, True),
    ]
    assert len(await acts(database)) == 3


async def test_a_paused_schedule_can_be_run_by_hand(database: "PostgresDatabase") -> None:
    made = await create(database, recurring())
    await update(database, made, status=ScheduleStatus.PAUSED)

    assert not (await run_now(database, made.id)).already_live


async def test_run_now_is_refused_while_the_operation_lives_with_other_parameters(
    database: "PostgresDatabase",
) -> None:
    made = await create(database, recurring())
    await queue(database, params={"other": "parameters"})
    with pytest.raises(WrongState):
        await run_now(database, made.id)
    with pytest.raises(Refused):
        await commands.run_now(database, made.id, actor_id=None, reason=" x ", request_id="r")

    assert len(await acts(database)) == 1


# ---------------------------------------------------------------- lists


async def test_lists_are_paged_and_hide_what_is_retired(database: "PostgresDatabase") -> None:
    made = [await create(database, recurring(f"schedule {number}")) for number in range(5)]
    await update(database, made[1], status=ScheduleStatus.RETIRED)
    await update(database, made[3], status=ScheduleStatus.PAUSED)
    first = await schedules.page(database, first=2)
    rest = await schedules.page(database, first=10, after=(first[1].name, first[1].id))
    retired = await schedules.page(database, statuses=[ScheduleStatus.RETIRED], first=10)

    assert [one.name for one in first] == ["schedule 0", "schedule 2", "schedule 3"]
    assert [one.name for one in rest] == ["schedule 3", "schedule 4"]
    assert [one.name for one in retired] == ["schedule 1"]


async def test_the_history_of_a_schedule_is_paged_latest_first(database: "PostgresDatabase") -> None:
    made, other = await create(database, recurring()), await create(database, recurring("other"))
    async with database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO schedule_runs (schedule_id, slot, outcome) SELECT :id, timestamptz '2026-01-01T00:00Z' + "
                "make_interval(mins => n), 'SKIPPED_OVERLAP' FROM generate_series(0, 4) n"
            ),
            {"id": made.id},
        )
    first = await schedules.runs_page(database, made.id, first=2)
    rest = await schedules.runs_page(database, made.id, first=10, after=first[1].slot)

    assert [run.slot.minute for run in first] == [4, 3, 2]
    assert [run.slot.minute for run in rest] == [2, 1, 0]
    assert await schedules.last_runs(database, [made.id, other.id]) == {made.id: first[0]}
    assert await schedules.read_run(database, made.id, first[0].slot) == first[0]
    assert await schedules.read_run(database, other.id, first[0].slot) is None
