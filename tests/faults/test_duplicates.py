"""One job delivered a hundred times, out of order, to four workers at once: one effect, and the others find nothing."""

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.execution.service import live_executions
from tasks.broker import create_broker, send
from tests.support.campaign import seeded, times
from tests.support.executions import read_one, until
from tests.support.football import make_tournament
from tests.support.oracles import assert_effects_once, assert_none_lost, states
from tests.support.workers import Workers, queue_acts

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(1800)

COPIES = 100
QUEUE = "palpite:jobs"


async def test_f3_each_job_has_one_effect_however_often_it_comes(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, crew: Workers
) -> None:
    rng, count = seeded("F3"), times(5, 50)
    made = await make_tournament(database, matches=count)
    sent = await queue_acts(database, made.matches, ["write", "slow", "write"], tries=2)
    for _ in range(4):
        await crew.start(PALPITE_LOG_LEVEL="debug")
    copies = await _jobs(database) * COPIES
    rng.shuffle(copies)
    broker = create_broker(valkey_url)
    await send(broker, copies)
    await until(lambda: _are_over(database), within=120)
    again = await _jobs(database)  # told once more by workers that found no queue yet
    await send(broker, again)
    await broker.shutdown()
    await until(lambda: _is_empty(valkey), within=120)  # a job is acknowledged before it is done
    await until(lambda: _has_skipped(crew, len(copies) + len(again) - count), within=60)

    await assert_none_lost(database, sent)
    await assert_effects_once(database, 3)
    assert set((await states(database)).values()) == {"COMPLETED"}
    assert {(execution.attempt, execution.fence) for execution in [await read_one(database, one) for one in sent]} == {
        (1, 1)
    }


async def _jobs(database: "PostgresDatabase") -> list[dict[str, object]]:
    """What a relay would send; it is taken out of the outbox."""
    async with database.begin() as connection:
        taken = await connection.execute(text("DELETE FROM outbox WHERE topic = 'JOB' RETURNING message"))
        return list(taken.scalars())


async def _are_over(database: "PostgresDatabase") -> bool:
    return not await live_executions(database, 1)


async def _is_empty(valkey: "Redis") -> bool:
    return await valkey.xlen(QUEUE) == 0


async def _has_skipped(crew: Workers, count: int) -> bool:
    return crew.log.read_text().count('"job_skipped"') == count
