"""Workers that are killed, stopped, continued and told to go: nothing is lost, nothing is done twice."""

import asyncio
import signal
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.execution.model import Operation
from domain.execution.rules import POLICIES
from domain.ids import ExecutionId
from tasks.loops import background
from tests.support.campaign import seeded, times
from tests.support.executions import moving, until
from tests.support.football import make_tournament
from tests.support.oracles import assert_effects_once, assert_none_lost, states
from tests.support.plant import CREW, Known, a_running_one, plant
from tests.support.workers import Workers, all_over, open_gate, queue_acts

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(1800)

SLOW = ["slow", "slow", "slow", "slow", "write"]
"""About a second of work, half of it in open transactions."""


async def test_f1_killed_workers_lose_nothing_and_do_nothing_twice(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    rng, kills, batch = seeded("F1"), times(8, 100), 4
    made = await make_tournament(database, matches=kills * batch)
    killed: dict[ExecutionId, float] = {}
    known: Known = set()
    sent: list[ExecutionId] = []
    async with plant(crew, database, valkey_url, tmp_path):
        for turn in range(kills):
            sent += await queue_acts(database, made.matches[turn * batch :][:batch], SLOW)
            victim, worker = await a_running_one(database, crew, rng, known)
            await asyncio.sleep(rng.uniform(0, 2))
            worker.send(signal.SIGKILL)
            killed[victim] = monotonic()
        await all_over(database, within=120)
        took = monotonic() - min(list(killed.values())[-CREW:])

    await assert_none_lost(database, sent)
    await assert_effects_once(database, len(SLOW))
    assert took < 60
    limit = POLICIES[Operation.SETTLE_MATCH].losses
    async with database.read() as connection:
        ends = (
            await connection.execute(text("SELECT state, losses >= :limit FROM executions"), {"limit": limit})
        ).all()
    # What stood beside the chosen ones each time is taken for what killed them, and nothing else is given up.
    assert {tuple(end) for end in ends} <= {("COMPLETED", False), ("FAILED", True)}
    assert sum(state == "FAILED" for state, _ in ends) <= len(sent) // 20


async def test_f1_what_a_stopped_worker_still_wants_to_write_is_refused(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    rng, stops = seeded("F1 stopped"), times(3, 20)
    made = await make_tournament(database, matches=stops)
    known: Known = set()
    sent: list[ExecutionId] = []
    async with moving(database, valkey_url, tmp_path, resend_after=1):
        for turn in range(stops):
            sent += await queue_acts(database, [made.matches[turn]], ["write", "wait", "write"])
            sleeper = await crew.start()
            taken, worker = await a_running_one(database, crew, rng, known)
            assert worker.pid == sleeper.pid
            await until(partial(_has_written, database, taken, 1))
            sleeper.send(signal.SIGSTOP)
            async with background(crew.keep()):
                await until(partial(_has_written, database, taken, 2), within=60)
                await open_gate(database)
                await all_over(database)
                sleeper.send(signal.SIGCONT)
                await until(partial(_said, crew, "lease_lost", turn + 1), within=30)
                sleeper.send(signal.SIGTERM)
                assert await sleeper.wait() == 0
            await _close_gate(database, crew)

    await assert_none_lost(database, sent)
    await assert_effects_once(database, 1)
    assert set((await states(database)).values()) == {"COMPLETED"}


async def test_f14_told_to_go_a_worker_leaves_within_ten_seconds_and_others_go_on(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    jobs = 20
    made = await make_tournament(database, matches=jobs)
    sent = await queue_acts(database, made.matches, ["write", "wait", "write"], tries=5)
    async with moving(database, valkey_url, tmp_path, sweep_every=3600):  # nobody takes anything away from anybody
        worker = await crew.start(PALPITE_WORKER_CONCURRENCY=str(jobs), PALPITE_STOP_SECONDS="4")
        await until(lambda: _have_written(database, jobs), within=60)
        began = monotonic()
        worker.send(signal.SIGTERM)
        assert await worker.wait() == 0
        took = monotonic() - began
        assert set((await states(database)).values()) == {"QUEUED"}
        await open_gate(database)
        await crew.start(PALPITE_WORKER_CONCURRENCY=str(jobs))
        await all_over(database)

    await assert_none_lost(database, sent)
    assert took < 10
    async with database.read() as connection:
        ends = (await connection.execute(text("SELECT DISTINCT state, attempt FROM executions"))).all()
    assert [tuple(end) for end in ends] == [("COMPLETED", 1)]  # the first try did not count


async def _has_written(database: "PostgresDatabase", execution_id: "ExecutionId", fences: int) -> bool:
    statement = text("SELECT count(DISTINCT fence) FROM effects WHERE execution_id = :id")
    async with database.read() as connection:
        return bool((await connection.execute(statement, {"id": execution_id})).scalar_one() == fences)


async def _have_written(database: "PostgresDatabase", count: int) -> bool:
    async with database.read() as connection:
        return bool((await connection.execute(text("SELECT count(*) FROM effects"))).scalar_one() == count)


async def _said(crew: Workers, event: str, count: int) -> bool:
    return len(crew.lines(event)) == count


async def _close_gate(database: "PostgresDatabase", crew: Workers) -> None:
    """For the next turn; what was kept alive has to go first."""
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM gate"))
    for worker in list(crew.running.values()):
        worker.send(signal.SIGKILL)
        await worker.wait()
