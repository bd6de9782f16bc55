"""Worker processes to be killed, stopped and cut off. What an execution does is told by its params: `{"acts": [...]}`.

`tests.support.workers` starts them.
"""

import asyncio
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from domain.execution.model import Operation
from domain.execution.run import Run
from runtime.settings import Settings
from runtime.worker import run as run_worker
from tasks.handlers import HANDLERS, Handler, Ports
from tests.support.executions import until

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

TABLES = (
    "CREATE TABLE effects (execution_id uuid NOT NULL, fence bigint NOT NULL, step int NOT NULL, pid int NOT NULL)",
    "ALTER TABLE effects ADD at timestamptz NOT NULL DEFAULT clock_timestamp()",
    "CREATE TABLE gate (opened boolean)",
)
_MIB = 2**20


async def obey(run: Run, _: Ports) -> None:
    """Do the acts of the execution, each in a step of its own."""
    for number, act in enumerate(run.execution.params.get("acts", ["write"]), start=1):
        async with run.step(act) as step:
            await _act(run, number, act)
            step.created += 1


async def _act(run: Run, number: int, act: str) -> None:
    match act:
        case "write":
            async with run.begin() as connection:
                await _write(connection, run, number)
        case "slow":  # a transaction that is open for a while, to be hit
            async with run.begin() as connection:
                await _write(connection, run, number)
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.1)
        case "wait":
            await until(lambda: _gate_is_open(run), within=600)
        case "exit":
            os._exit(9)
        case "spin":
            while True:
                pass
        case "hog":
            _take_all_memory()
        case _:
            raise ValueError(act)


def _take_all_memory() -> None:
    """A quarter of a gibibyte is all that there is."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 256 * _MIB, resource.RLIM_INFINITY))
    hoard = []
    try:
        while True:
            hoard.append(bytearray(16 * _MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


async def _write(connection: "AsyncConnection", run: Run, number: int) -> None:
    await connection.execute(
        text("INSERT INTO effects (execution_id, fence, step, pid) VALUES (:id, :fence, :step, :pid)"),
        {"id": run.execution.id, "fence": run.execution.fence, "step": number, "pid": os.getpid()},
    )


async def _gate_is_open(run: Run) -> bool:
    async with run.database.read() as connection:
        return bool((await connection.execute(text("SELECT count(*) FROM gate"))).scalar_one())


async def run_obedient(settings: Settings) -> None:
    """A worker whose executions do as they are told."""
    await run_worker(settings, dict.fromkeys(Operation, obey))


async def run_old(settings: Settings) -> None:
    """A worker of a time when matches were not settled."""
    known: dict[Operation, Handler] = {
        operation: obey for operation in Operation if operation is not Operation.SETTLE_MATCH
    }
    await run_worker(settings, known)


async def run_real(settings: Settings) -> None:
    """A worker as it is shipped."""
    await run_worker(settings, HANDLERS)


async def run_gated(settings: Settings) -> None:
    """A worker that waits at the gate with what it has claimed, unless another worker was lost with it before."""
    await run_worker(settings, {**HANDLERS, Operation.SETTLE_MATCH: _settle_behind_the_gate})


async def _settle_behind_the_gate(run: Run, ports: Ports) -> None:
    if run.execution.attempt == 1:
        await until(lambda: _gate_is_open(run), within=600)
    await HANDLERS[run.execution.operation](run, ports)
