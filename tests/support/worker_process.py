"""A worker process of its own, to be killed: `python -m tests.support.worker_process` with the usual environment.

Its handlers: SETTLE_PENDING writes one row in a transaction, waits for a gate row, and writes another;
REBUILD_PROJECTION ends its process at once while there is no gate row; everything else writes one row.
"""

import os
from typing import TYPE_CHECKING

from sqlalchemy import text

from domain.execution.model import Operation
from domain.execution.run import Run
from runtime.process import run_process
from runtime.settings import Settings
from runtime.worker import run as run_worker
from tasks.handlers import Ports
from tests.support.executions import until

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

TABLES = (
    "CREATE TABLE effects (name text NOT NULL, execution_id uuid NOT NULL, fence bigint NOT NULL, pid int NOT NULL)",
    "CREATE TABLE gate (opened boolean)",
)


async def write(connection: "AsyncConnection", run: Run, name: str) -> None:
    await connection.execute(
        text("INSERT INTO effects VALUES (:name, :id, :fence, :pid)"),
        {"name": name, "id": run.execution.id, "fence": run.execution.fence, "pid": os.getpid()},
    )


async def wait_at_the_gate(run: Run, _: Ports) -> None:
    async with run.step("first") as step, run.begin() as connection:
        await write(connection, run, "first")
        step.created += 1

    await until(lambda: is_open(run), within=600)
    async with run.step("second") as step, run.begin() as connection:
        await write(connection, run, "second")
        step.created += 1


async def is_open(run: Run) -> bool:
    async with run.database.read() as connection:
        return bool((await connection.execute(text("SELECT count(*) FROM gate"))).scalar_one())


async def kill_the_process(run: Run, ports: Ports) -> None:
    if not await is_open(run):
        os._exit(9)
    await write_once(run, ports)


async def write_once(run: Run, _: Ports) -> None:
    async with run.step("only") as step, run.begin() as connection:
        await write(connection, run, "only")
        step.created += 1


HANDLERS = {
    **dict.fromkeys(Operation, write_once),
    Operation.SETTLE_PENDING: wait_at_the_gate,
    Operation.REBUILD_PROJECTION: kill_the_process,
}


async def run(settings: Settings) -> None:
    await run_worker(settings, HANDLERS)


if __name__ == "__main__":
    run_process("worker", "tests.support.worker_process:run")
