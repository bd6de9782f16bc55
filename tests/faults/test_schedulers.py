"""F9: schedulers that are killed while a slot is due each second, and a time without any. Each slot counts once."""

import asyncio
import signal
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from domain.execution.model import Command, Operation, Target
from domain.ids import MatchId, ScheduleId, new_id
from domain.schedule import store
from domain.schedule.model import Schedule, ScheduleStatus
from tests.support.campaign import seeded, times
from tests.support.executions import until
from tests.support.football import make_tournament
from tests.support.forked import Child
from tests.support.oracles import assert_effects_once
from tests.support.workers import OBEDIENT, Workers, all_over

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(3600)

SCHEDULER = "runtime.scheduler:run"
SCHEDULERS = 3
KILLS = times(2, 10)
BETWEEN_KILLS = times(4, 60)
"""Seconds at most; ten minutes in full."""
ALONE = times(3, 300)
"""Seconds without any scheduler."""
AT_ONCE = 2
"""One-time schedules that are due each second. Cron has no seconds, so they are what makes a slot a second."""
RECURRING = 10
BACKLOG = timedelta(minutes=90)
TAKEOVER = timedelta(seconds=15)
CAUGHT_UP = timedelta(seconds=60 + ALONE)
"""How long what was missed may take, and what is due behind it: not much longer than it took to be missed."""
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Absence:
    """When no scheduler was at work."""

    since: datetime
    until: datetime

    def waited(self, slot: datetime, ran_at: datetime) -> timedelta:
        """How long a slot waited while schedulers were at work."""
        alone = min(ran_at, self.until) - max(slot, self.since)
        return ran_at - slot - max(alone, timedelta(0))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is due while schedulers die, and since when the recurring ones were not run."""

    once: Sequence[Schedule]
    recurring: Sequence[Schedule]
    backlog_since: datetime

    @property
    def over(self) -> datetime:
        return max(one.next_slot for one in self.once if one.next_slot is not None)


async def test_f9_each_slot_runs_once_whatever_happens_to_schedulers(
    database: "PostgresDatabase", crew: Workers
) -> None:
    random = seeded("f9")
    await crew.start(OBEDIENT, PALPITE_WORKER_CONCURRENCY="8")
    alive = [await crew.start(SCHEDULER) for _ in range(SCHEDULERS)]
    await until(lambda: _are_ready(crew, SCHEDULERS), within=120)
    plan = await make_plan(database)
    takeovers = []
    for _ in range(KILLS):
        await asyncio.sleep(random.uniform(0.5, BETWEEN_KILLS))
        victim = random.choice(alive)
        alive.remove(victim)
        takeovers.append(await takeover(database, victim))
        alive.append(await crew.start(SCHEDULER))
    absence = await leave_alone(crew, alive)
    await until(lambda: _all_retired(database), within=120 + (plan.over - absence.until).total_seconds())
    await all_over(database, within=120)

    runs = await read_runs(database)
    assert_once(plan, runs)
    assert_nothing_missed(plan, runs)
    await assert_no_execution_without_a_slot(database, runs)
    await assert_effects_once(database, 1)
    slots = [run for one in plan.once for run in runs[one.id]]
    before = max(absence.waited(run.slot, run.at) for run in slots if run.slot <= absence.since)
    after = max(absence.waited(run.slot, run.at) for run in slots if run.slot > absence.since)
    words = f"{len(slots)} slots, {KILLS} kills, takeover {max(takeovers)}, latest {before}, after the absence {after}"
    sys.stderr.write(f"f9: {words}\n")
    assert all(run.at >= run.slot for run in slots)
    assert max(*takeovers, before) <= TAKEOVER
    assert after <= CAUGHT_UP


async def takeover(database: "PostgresDatabase", scheduler: Child) -> timedelta:
    """Kill a scheduler as the kernel would; how long no slot was run."""
    scheduler.send(signal.SIGKILL)
    await scheduler.wait()
    killed = datetime.now(UTC)
    await until(lambda: _ran_since(database, killed), within=120)
    return datetime.now(UTC) - killed


async def leave_alone(crew: Workers, alive: Sequence[Child]) -> "Absence":
    """Kill all schedulers, and start as many after a while."""
    for scheduler in alive:
        scheduler.send(signal.SIGKILL)
        await scheduler.wait()
    since = datetime.now(UTC)
    before = len(crew.lines("scheduler_ready"))
    await asyncio.sleep(ALONE)
    for _ in alive:
        await crew.start(SCHEDULER)
    await until(lambda: _are_ready(crew, before + 1), within=120)
    return Absence(since, datetime.now(UTC))


async def make_plan(database: "PostgresDatabase") -> Plan:
    """One-time schedules from some seconds on, as many as the test has seconds, and recurring ones long overdue."""
    seconds = KILLS * (BETWEEN_KILLS + 1) + ALONE + 5
    made = await make_tournament(database, matches=AT_ONCE * seconds + RECURRING)
    async with database.begin() as connection:
        now = await store.now(connection)
        first = now.replace(microsecond=0) + timedelta(seconds=3 + seconds // 100)  # it takes a while to put them in
        since = now.replace(second=0, microsecond=0) - BACKLOG
        moments = [first + timedelta(seconds=number // AT_ONCE) for number in range(AT_ONCE * seconds)]
        once = [_schedule(made.matches[number], moment, cron=None) for number, moment in enumerate(moments)]
        recurring = [_schedule(match, since, cron="* * * * *") for match in made.matches[len(once) :]]
        await store.insert_missing(connection, [*once, *recurring])
    return Plan(once, recurring, since)


def _schedule(match: MatchId, slot: datetime, *, cron: str | None) -> Schedule:
    return Schedule(
        id=ScheduleId(new_id()),
        name=f"f9 {match}",
        command=Command(Operation.SETTLE_MATCH, Target(match_id=match), {}),
        cron=cron,
        run_at=slot if cron is None else None,
        time_zone="UTC",
        status=ScheduleStatus.ACTIVE,
        next_slot=slot,
    )


async def read_runs(database: "PostgresDatabase") -> dict[ScheduleId, list[Any]]:
    """What became of all slots, by schedule, in order."""
    runs = defaultdict(list)
    async with database.read() as connection:
        for row in await connection.execute(text("SELECT * FROM schedule_runs ORDER BY schedule_id, slot")):
            runs[ScheduleId(row.schedule_id)].append(row)
    return runs


def assert_once(plan: Plan, runs: dict[ScheduleId, list[Any]]) -> None:
    """Each one-time schedule ran at its slot, and only then."""
    assert {one.id: [(run.slot, run.outcome) for run in runs[one.id]] for one in plan.once} == {
        one.id: [(one.run_at, "STARTED")] for one in plan.once
    }


def assert_nothing_missed(plan: Plan, runs: dict[ScheduleId, list[Any]]) -> None:
    """Each minute of a recurring schedule was run or counted: slots and missed ones follow each other without a gap."""
    for one in plan.recurring:
        expected = plan.backlog_since
        for run in runs[one.id]:
            assert run.slot - run.missed_slots * MINUTE == expected
            expected = run.slot + MINUTE
        assert expected > plan.backlog_since + BACKLOG


async def assert_no_execution_without_a_slot(database: "PostgresDatabase", runs: dict[ScheduleId, list[Any]]) -> None:
    """One execution for each slot that started one, and no other."""
    started = [run.execution_id for ones in runs.values() for run in ones if run.outcome == "STARTED"]
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT id FROM executions WHERE trigger = 'SCHEDULE'"))
        found = [row.id for row in rows]
    assert len(started) == len(set(started))
    assert sorted(started) == sorted(found)


async def _are_ready(crew: Workers, schedulers: int) -> bool:
    return len(crew.lines("scheduler_ready")) >= schedulers


async def _ran_since(database: "PostgresDatabase", moment: datetime) -> bool:
    statement = text("SELECT EXISTS (SELECT FROM schedule_runs WHERE at > :moment)")
    async with database.read() as connection:
        return bool((await connection.execute(statement, {"moment": moment})).scalar_one())


async def _all_retired(database: "PostgresDatabase") -> bool:
    statement = text("SELECT count(*) FROM schedules WHERE cron IS NULL AND status = 'ACTIVE'")
    async with database.read() as connection:
        return bool((await connection.execute(statement)).scalar_one() == 0)
