"""Worker processes of a test: started, killed, stopped, watched; those that are left end with the block."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text, update

from domain.execution.model import Command, Operation, Target
from domain.execution.service import accept_many, live_executions
from domain.execution.tables import executions
from domain.ids import ExecutionId, MatchId
from tests.support import fault_worker
from tests.support.executions import until
from tests.support.forked import Child, Nursery, nursery

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

OBEDIENT = "tests.support.fault_worker:run_obedient"
OLD = "tests.support.fault_worker:run_old"
REAL = "tests.support.fault_worker:run_real"
GATED = "tests.support.fault_worker:run_gated"


@dataclass
class Workers:
    """Starts workers from a nursery."""

    nursery: Nursery
    settings: dict[str, str]
    log: Path
    running: dict[int, Child] = field(default_factory=dict)

    async def start(self, place: str = OBEDIENT, **settings: str) -> Child:
        """A worker of its own, or another process by its command; settings are environment variables."""
        with self.log.open("ab") as log:
            worker = await self.nursery.fork(place, settings={**self.settings, **settings}, output=log)
        self.running[worker.pid] = worker
        worker.ended.add_done_callback(lambda _: self.running.pop(worker.pid))
        return worker

    async def keep(self, place: str = OBEDIENT, **settings: str) -> None:
        """A worker that is started again whenever it ends, for ever."""
        while True:
            await (await self.start(place, **settings)).wait(within=3600)

    def lines(self, event: str | None = None) -> list[dict[str, object]]:
        """What all workers logged, or logged under this name."""
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if event in {None, line.get("message")}]


@asynccontextmanager
async def workers(
    database: "PostgresDatabase", database_url: str, valkey_url: str, data: Path, *, born_in: Nursery | None = None
) -> AsyncIterator[Workers]:
    """Workers with short leases on these servers, and the tables in which they leave their marks."""
    async with database.begin() as connection:
        for table in fault_worker.TABLES:
            await connection.execute(text(table))
    log = data / "workers.log"
    log.touch()
    chosen = {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "PALPITE_DATA": str(data / "data"),
        "PALPITE_LEASE_SECONDS": "2",
        "PALPITE_HEARTBEAT_SECONDS": "0.4",
        "PALPITE_START_WAIT_SECONDS": "30",
        "PALPITE_LOG_FORMAT": "json",
    }
    found = Workers(born_in or nursery(), chosen, log)
    try:
        yield found
    finally:
        left = list(found.running.values())
        for worker in left:
            worker.send(signal.SIGKILL)
        await asyncio.gather(*(worker.wait() for worker in left))
        sys.stderr.write(log.read_text()[-20_000:])  # shown when the test fails


async def open_gate(database: "PostgresDatabase") -> None:
    """Let go on what waits at the gate."""
    async with database.begin() as connection:
        await connection.execute(text("INSERT INTO gate VALUES (true)"))


async def queue_acts(
    database: "PostgresDatabase", matches: Sequence[MatchId], acts: Sequence[str], *, tries: int = 1000
) -> list[ExecutionId]:
    """An execution for each match that does these acts; with so many tries that kills alone never end it."""
    commands = [Command(Operation.SETTLE_MATCH, Target(match_id=match), {"acts": list(acts)}) for match in matches]
    async with database.begin() as connection:
        ids = [one.execution.id for one in await accept_many(connection, commands, request_id="fault")]
        chosen = update(executions).where(executions.c.id.in_(ids))
        await connection.execute(chosen.values(max_attempts=tries))
    return ids


async def all_over(database: "PostgresDatabase", *, within: float = 60) -> None:
    """Wait until nothing is queued or running, and every job has been sent."""

    async def is_quiet() -> bool:
        if await live_executions(database, 1):
            return False
        async with database.read() as connection:
            unsent = text("SELECT count(*) FROM outbox WHERE topic = 'JOB'")
            return bool((await connection.execute(unsent)).scalar_one() == 0)

    await until(is_quiet, within=within)
