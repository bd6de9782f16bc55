"""Workers killed and stopped while they settle, and jobs that come a hundred times: every point is paid, once.

F2, a connection cut at any byte of a settlement, is in test_servers.py; a crash before each statement in
tests/integration/test_settlement_crashes.py.
"""

import asyncio
import random
import signal
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.execution.model import ExecutionState, Operation
from domain.ids import ExecutionId, MatchId
from domain.match.model import Goals
from domain.settlement.service import settle
from tasks.broker import create_broker, send
from tasks.loops import background
from tests.support.campaign import seeded, times
from tests.support.executions import ended, moving, queue, until
from tests.support.football import make_members, make_tournament, pass_lock
from tests.support.forked import Child
from tests.support.oracles import assert_none_lost, assert_settled_once, game_rows, states
from tests.support.plant import Known, a_running_one, plant
from tests.support.settled import assert_settled, guess_everything
from tests.support.settlement import accept, database_now
from tests.support.workers import GATED, REAL, Workers, all_over, open_gate

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(3600)

COPIES = 100
MINUTE = timedelta(minutes=1)


def scores_of(rng: random.Random, matches: Iterable[MatchId]) -> dict[MatchId, Goals]:
    return {match_id: Goals(rng.randrange(4), rng.randrange(4)) for match_id in matches}


async def test_f1_workers_killed_while_they_settle_pay_every_point_once(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    rng, kills, batch = seeded("F1 settlement"), times(6, 100), times(4, 2)
    made = [await make_tournament(database, matches=kills * batch // 2) for _ in range(2)]
    members = await make_members(database, times(200, 2000), joins=made)
    for one in made:
        await guess_everything(database, one.id)
        await pass_lock(database, *one.matches)
    results = scores_of(rng, [match_id for one in made for match_id in one.matches])
    coming = sorted(results, key=lambda _: rng.random())
    known: Known = set()
    killed: dict[ExecutionId, datetime] = {}
    async with plant(crew, database, valkey_url, tmp_path, place=REAL):
        for turn in range(kills):
            for match_id in coming[turn * batch :][:batch]:
                await accept(database, match_id, *results[match_id])
            victim, worker = await _one_to_kill(database, crew, rng, known)
            await asyncio.sleep(rng.uniform(0, rng.choice([0.1, 2])))
            worker.send(signal.SIGKILL)
            if victim is not None:
                killed[victim] = await database_now(database)
        await all_over(database, within=600)
        # What three kills hit is given up, and left to the sweep.
        sweep = await queue(database, operation=Operation.SETTLE_PENDING)
        assert (await ended(database, sweep.execution.id)).state is ExecutionState.COMPLETED
        for one in made:
            own = {match_id: results[match_id] for match_id in one.matches}
            await assert_settled(database, valkey, one.id, own, members)

    await assert_settled_once(database, len(results))
    found = await states(database)
    assert set(found.values()) <= {"COMPLETED", "FAILED"}
    assert sum(state == "FAILED" for state in found.values()) <= max(2, kills // 5)
    late, hit = await _settled_late(database, killed), await _hit(database)
    sys.stderr.write(f"F1 settlement: {kills} kills, {hit} of them in a settlement\n")
    assert late == []
    assert hit > 0


async def _one_to_kill(
    database: "PostgresDatabase", crew: Workers, rng: random.Random, known: Known
) -> tuple[ExecutionId | None, Child]:
    """A worker with a settlement; any of them when all is settled already."""
    try:
        return await a_running_one(database, crew, rng, known, within=2)
    except TimeoutError:
        await until(partial(_somebody_runs, crew))
        return None, rng.choice(list(crew.running.values()))


async def _somebody_runs(crew: Workers) -> bool:
    return bool(crew.running)


async def _settled_late(database: "PostgresDatabase", killed: dict[ExecutionId, datetime]) -> list[ExecutionId]:
    """Those whose match was settled more than a minute after the kill."""
    statement = text(
        "SELECT e.id, s.applied_at FROM executions e JOIN settlements s ON s.match_id = e.match_id"
        " WHERE s.superseded_version IS NULL"
    )
    async with database.read() as connection:
        applied = {ExecutionId(row.id): row.applied_at for row in await connection.execute(statement)}
    return [execution_id for execution_id, at in killed.items() if applied[execution_id] > at + MINUTE]


async def _hit(database: "PostgresDatabase") -> int:
    async with database.read() as connection:
        lost: int = (await connection.execute(text("SELECT sum(losses) FROM executions"))).scalar_one()
        return lost


async def test_f1_a_stopped_worker_that_goes_on_settles_nothing_more(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    stops = times(2, 20)
    made = await make_tournament(database, matches=stops)
    members = await make_members(database, 20, joins=[made])
    await guess_everything(database, made.id)
    await pass_lock(database, *made.matches)
    results = scores_of(seeded("F1 settlement stopped"), made.matches)
    async with moving(database, valkey_url, tmp_path, resend_after=1):
        for turn, match_id in enumerate(made.matches):
            await accept(database, match_id, *results[match_id])
            sleeper = await crew.start(GATED)
            await until(lambda: _is_running(database), within=60)
            sleeper.send(signal.SIGSTOP)
            async with background(crew.keep(REAL)):
                await until(partial(_are_settled, database, turn + 1), within=60)
                await all_over(database)
            await until(partial(_all_is_told, database), within=60)
            before = await game_rows(database)
            await open_gate(database)
            sleeper.send(signal.SIGCONT)
            await until(partial(_said, crew, "lease_lost", turn + 1), within=30)
            sleeper.send(signal.SIGTERM)
            assert await sleeper.wait() == 0
            assert await game_rows(database) == before
            await _clear(database, crew)
        async with background(crew.keep(REAL)):
            await assert_settled(database, valkey, made.id, results, members)

    await assert_settled_once(database, stops)
    assert set((await states(database)).values()) == {"COMPLETED"}


async def test_f3_copies_and_revisions_in_any_order_pay_the_last_one_once(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    """Each job a hundred times, and fifty revisions of one match while its jobs are worked on, to four workers."""
    rng, count, revisions = seeded("F3 settlement"), times(4, 50), 50
    made = await make_tournament(database, matches=count)
    members = await make_members(database, times(50, 500), joins=[made])
    await guess_everything(database, made.id)
    await pass_lock(database, *made.matches)
    results = scores_of(rng, made.matches)
    for match_id, goals in results.items():
        await accept(database, match_id, *goals)
    for _ in range(4):
        await crew.start(REAL, PALPITE_LOG_LEVEL="debug")
    revised, accepted = made.matches[0], 1
    broker = create_broker(valkey_url)
    jobs = copies = await _jobs(database) * COPIES
    rng.shuffle(copies)
    while copies or accepted < revisions:
        await send(broker, copies)
        turns = rng.randrange(1, 10)
        for goals in scores_of(rng, [revised] * turns).values():
            results[revised] = goals
            accepted += await accept(database, revised, *goals) is not None
        copies = await _jobs(database) * COPIES
        rng.shuffle(copies)
        jobs = [*jobs, *copies]
    await broker.shutdown()
    # Of a worker that got no time for so long that its lease was over, somebody has to take the work.
    async with moving(database, valkey_url, tmp_path, sweep_every=5):
        await all_over(database, within=1800)
    await until(partial(_has_skipped, crew, len(jobs) - len(jobs) // COPIES), within=600)

    await assert_settled(database, valkey, made.id, results, members)
    await assert_none_lost(database, await states(database))
    assert set((await states(database)).values()) == {"COMPLETED"}
    results_settled, replays = await _keys(database)
    assert results_settled == count - 1 + accepted
    await asyncio.gather(*(_settle(database, revised, COPIES // 10) for _ in range(10)))
    assert await _keys(database) == (results_settled, replays + COPIES)
    await assert_settled(database, valkey, made.id, results, members)


async def _jobs(database: "PostgresDatabase") -> list[dict[str, object]]:
    """What a relay would send; it is taken out of the outbox."""
    async with database.begin() as connection:
        taken = await connection.execute(text("DELETE FROM outbox WHERE topic = 'JOB' RETURNING message"))
        return list(taken.scalars())


async def _settle(database: "PostgresDatabase", match_id: MatchId, count: int) -> None:
    """Find nothing new to settle, so often."""
    for _ in range(count):
        async with database.begin() as connection:
            assert (await settle(connection, match_id, None)).settlement is None


async def _keys(database: "PostgresDatabase") -> tuple[int, int]:
    """How many results were settled or overtaken, and how often one was asked for once more."""
    statement = text(
        "SELECT count(*), coalesce(sum(replays) FILTER (WHERE status = 'APPLIED'), 0) FROM idempotency_keys"
    )
    async with database.read() as connection:
        row = (await connection.execute(statement)).one()
    return int(row[0]), int(row[1])


async def _is_running(database: "PostgresDatabase") -> bool:
    return "IN_PROGRESS" in (await states(database)).values()


async def _are_settled(database: "PostgresDatabase", count: int) -> bool:
    async with database.read() as connection:
        return bool((await connection.execute(text("SELECT count(*) FROM settlements"))).scalar_one() == count)


async def _said(crew: Workers, event: str, count: int) -> bool:
    return len(crew.lines(event)) == count


async def _has_skipped(crew: Workers, count: int) -> bool:
    return crew.log.read_text().count('"job_skipped"') >= count


async def _all_is_told(database: "PostgresDatabase") -> bool:
    """Whether ticks have left the outbox too."""
    async with database.read() as connection:
        return bool((await connection.execute(text("SELECT count(*) FROM outbox"))).scalar_one() == 0)


async def _clear(database: "PostgresDatabase", crew: Workers) -> None:
    """For the next turn: the gate is closed, and nobody is left."""
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM gate"))
    for worker in list(crew.running.values()):
        worker.send(signal.SIGKILL)
        await worker.wait()
