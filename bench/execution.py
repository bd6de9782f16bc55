"""Fixed cost of an execution: from acceptance to end, through outbox, relay, queue and worker, doing nothing."""

import asyncio
import time
from collections.abc import Sequence
from statistics import median

from bench.report import Figure, spread
from domain.execution import service
from domain.execution.model import LIVE, Command, ExecutionTrigger, Operation, Target
from domain.ids import ExecutionId
from runtime.database import PostgresDatabase
from runtime.embedded.postgres import EmbeddedPostgres
from tests.support.palpite import started_palpite
from tests.support.servers import temporary_data

TIMES = 30
BOUND_MS = 100.0


def measure() -> Sequence[Figure]:
    with temporary_data() as data, started_palpite("up", "--port", "0", "--data", str(data)) as palpite:
        palpite.wait_until_ready()
        ends, trips = asyncio.run(_measure(EmbeddedPostgres(data).url))
    detail = f"{spread(ends)}; of which a bare transaction on the same database {spread(trips)}"
    return [Figure("accepted to completed", median(ends) * 1000, BOUND_MS, unit="ms", detail=detail)]


async def _measure(url: str) -> tuple[list[float], list[float]]:
    database = PostgresDatabase.create(url)
    ends: list[float] = []
    trips: list[float] = []
    try:
        for _ in range(TIMES):
            began = time.perf_counter()
            await _wait(database, await _accept(database))
            ends.append(time.perf_counter() - began)
            began = time.perf_counter()
            async with database.begin() as connection:
                await connection.exec_driver_sql("SELECT 1")
            trips.append(time.perf_counter() - began)
    finally:
        await database.close()
    return ends, trips


async def _accept(database: PostgresDatabase) -> ExecutionId:
    """An operation that finds nothing to do: no tournament is there."""
    async with database.begin() as connection:
        command = Command(Operation.SYNC_CURRENT_ROUND, Target(), {})
        accepted = await service.accept(connection, command, trigger=ExecutionTrigger.SYSTEM, request_id="bench")
    return accepted.execution.id


async def _wait(database: PostgresDatabase, execution_id: ExecutionId) -> None:
    while (await service.read_executions(database, [execution_id]))[execution_id].state in LIVE:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
