"""From a commit to the start of its execution; executions that do nothing against taskiq alone; the relay alone."""

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import ResponseError
from sqlalchemy import text

from bench.report import Figure
from domain.clock import utc_now
from domain.execution.lease import service as leases
from domain.execution.lease.store import Claim, Progress
from domain.execution.model import Command, Counts, ExecutionState, ExecutionTrigger, Operation, Target
from domain.execution.report import CONTENT_TYPE, report, report_key
from domain.execution.service import accept, accept_many
from domain.ids import MatchId
from integrations.object_store.folder import FolderStore
from runtime.database import PostgresDatabase
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.valkey import EmbeddedValkey
from runtime.migrate import upgrade
from tasks.broker import create_broker, send
from tasks.relay import relay_once
from tasks.sender import BrokerSender
from tests.support.executions import sending
from tests.support.football import make_tournament
from tests.support.palpite import environment
from tests.support.servers import temporary_data

WORKERS = 2
CONCURRENCY = 16
TIMES = 300
BATCH = 1_000
ROUNDS = 3
RELAYED = 20_000
STEPS = 200
QUEUE = "palpite:jobs"
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Servers:
    """PostgreSQL and Valkey as they are shipped: what is committed is on the disk."""

    database_url: str
    valkey_url: str
    data: Path


def measure() -> Sequence[Figure]:
    with _servers() as servers:
        bare = _with_workers(servers, _throughput_of_taskiq, "bare")
        ours, waits = _with_workers(servers, _throughput_and_waits, scheduler=True)
        relayed = asyncio.run(_relay(servers))
        steps = asyncio.run(_steps(servers))
    waits = sorted(waits)
    p99 = waits[math.ceil(0.99 * len(waits)) - 1]
    costs = ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in steps.items())
    return [
        Figure("commit to started, p50", median(waits) * 1000, 50, unit="ms", detail=f"{len(waits)} one by one"),
        Figure("commit to started, p99", p99 * 1000, 1000, unit="ms"),
        Figure(
            "executions against taskiq alone",
            ours / bare,
            0.5,
            at_least=True,
            detail=f"{ours:.0f} a second against {bare:.0f}, {WORKERS} workers; alone and one by one: {costs}",
        ),
        Figure("relay", relayed, 2000, unit="messages/s", at_least=True),
    ]


@contextmanager
def _servers() -> Iterator[Servers]:
    with temporary_data() as data:
        postgres, valkey = EmbeddedPostgres(data), EmbeddedValkey(data)
        try:
            url, valkey_url = postgres.start(), valkey.start()
            asyncio.run(upgrade(url))
            yield Servers(url, valkey_url, data)
        finally:
            valkey.stop()
            postgres.stop()


def _with_workers(
    servers: Servers, work: Callable[[Servers], Coroutine[Any, Any, Result]], *arguments: str, scheduler: bool = False
) -> Result:
    """What `work` measures while workers, and maybe a scheduler, run."""
    commands = [[sys.executable, "-m", "bench.idle_worker", *arguments]] * WORKERS
    if scheduler:
        commands.append([sys.executable, "-m", "runtime.cli", "scheduler"])
    settings = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.valkey_url,
        "PALPITE_DATA": str(servers.data / "files"),
        "PALPITE_WORKER_CONCURRENCY": str(CONCURRENCY),
        "PALPITE_LOG_LEVEL": "warning",
    }
    with ExitStack() as stack:
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, env=environment(settings)))
            stack.callback(process.terminate)
        return asyncio.run(work(servers))


async def _throughput_of_taskiq(servers: Servers) -> float:
    """Messages a second from the first one sent to the last one taken."""
    jobs = [{"jobId": str(uuid4()), "jobType": "NOTHING", "executionId": str(uuid4())} for _ in range(5 * BATCH)]
    found: list[float] = []
    async with Redis.from_url(servers.valkey_url) as client:
        broker = create_broker(servers.valkey_url)
        await _until(lambda: _has_workers(client))
        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            for first in range(0, len(jobs), 500):
                await send(broker, jobs[first : first + 500])
            await _until(lambda: _is_empty(client))
            found.append(len(jobs) / (time.perf_counter() - began))
        await broker.shutdown()
    return median(found[1:])


async def _throughput_and_waits(servers: Servers) -> tuple[float, list[float]]:
    """Executions a second, from acceptance to the last end; and the waits on an idle queue, in seconds."""
    database = PostgresDatabase.create(servers.database_url)
    try:
        made = await make_tournament(database, matches=BATCH)
        async with Redis.from_url(servers.valkey_url) as client:
            await _until(lambda: _has_workers(client))
        rates = [await _run_all(database, made.matches) for _ in range(ROUNDS + 1)]
        return median(rates[1:]), [await _wait(database) for _ in range(TIMES)]
    finally:
        await database.close()


async def _run_all(database: PostgresDatabase, matches: Sequence[MatchId]) -> float:
    commands = [Command(Operation.SETTLE_MATCH, Target(match_id=match), {}) for match in matches]
    began = time.perf_counter()
    async with database.begin() as connection:
        await accept_many(connection, commands, request_id="bench")
    await _until(lambda: _are_over(database))
    return len(matches) / (time.perf_counter() - began)


async def _wait(database: PostgresDatabase) -> float:
    async with database.begin() as connection:
        command = Command(Operation.SYNC_CURRENT_ROUND, Target(), {})
        accepted = await accept(connection, command, trigger=ExecutionTrigger.SYSTEM, request_id="bench")
    committed = time.time()  # the clock of the database too
    await _until(lambda: _are_over(database))
    statement = text("SELECT extract(epoch FROM started_at) FROM executions WHERE id = :id")
    async with database.read() as connection:
        started = float((await connection.execute(statement, {"id": accepted.execution.id})).scalar_one())
    return max(0.0, started - committed)


async def _relay(servers: Servers) -> float:
    """Messages a second that one relay sends."""
    database = PostgresDatabase.create(servers.database_url)
    message = (
        "INSERT INTO outbox (topic, message) SELECT 'JOB', jsonb_build_object('v', 1, 'jobId', gen_random_uuid(),"
        " 'executionId', gen_random_uuid(), 'requestId', 'bench', 'jobType', 'SETTLE_MATCH', 'entityId',"
        " gen_random_uuid(), 'attempt', 1, 'enqueuedAt', now()) FROM generate_series(1, :count)"
    )
    try:
        async with database.begin() as connection:
            await connection.execute(text(message), {"count": RELAYED})
        async with sending(servers.valkey_url) as sender:
            began = time.perf_counter()
            while await relay_once(database, sender):
                pass
            took = time.perf_counter() - began
        async with Redis.from_url(servers.valkey_url) as client:
            assert await client.xlen(QUEUE) == RELAYED
            await client.delete(QUEUE)
    finally:
        await database.close()
    return RELAYED / took


async def _steps(servers: Servers) -> dict[str, float]:
    """Seconds of each durable step of an execution, one by one with nothing beside it."""
    database = PostgresDatabase.create(servers.database_url)
    reports = FolderStore(servers.data / "reports")
    took: dict[str, list[float]] = {name: [] for name in ("accept", "relay", "claim", "report", "finish")}
    try:
        made = await make_tournament(database, matches=STEPS)
        async with sending(servers.valkey_url) as sender:
            for match in made.matches:
                for name, seconds in (await _one(database, sender, reports, match)).items():
                    took[name].append(seconds)
    finally:
        await database.close()
    return {name: median(seconds) for name, seconds in took.items()}


async def _one(
    database: PostgresDatabase, sender: BrokerSender, reports: FolderStore, match: MatchId
) -> dict[str, float]:
    marks = [time.perf_counter()]
    async with database.begin() as connection:
        command = Command(Operation.SETTLE_MATCH, Target(match_id=match), {})
        accepted = await accept(connection, command, trigger=ExecutionTrigger.SYSTEM, request_id="bench")
    marks.append(time.perf_counter())
    await relay_once(database, sender)
    marks.append(time.perf_counter())
    execution = await leases.claim(database, accepted.execution.id, owner="bench", lease_seconds=60)
    assert execution is not None
    marks.append(time.perf_counter())
    key = report_key(execution, execution.fence)
    content = report(execution, ExecutionState.COMPLETED, (), {}, None, at=utc_now())
    await reports.put(key, content, content_type=CONTENT_TYPE)
    marks.append(time.perf_counter())
    claim, nothing = Claim(execution.id, execution.fence), Progress(Counts(), ())
    await leases.finish(database, claim, ExecutionState.COMPLETED, nothing, failure=None, report_key=key)
    marks.append(time.perf_counter())
    names = ("accept", "relay", "claim", "report", "finish")
    return {name: after - before for name, before, after in zip(names, marks, marks[1:], strict=False)}


async def _until(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    async with asyncio.timeout(120):
        while not await condition():  # noqa: ASYNC110 what is waited for stands in a server
            await asyncio.sleep(0.005)


async def _has_workers(client: Redis) -> bool:
    try:
        return len(await client.xinfo_consumers(QUEUE, "workers")) == WORKERS
    except ResponseError:
        return False


async def _is_empty(client: Redis) -> bool:
    return bool(await client.xlen(QUEUE) == 0)


async def _are_over(database: PostgresDatabase) -> bool:
    live = text("SELECT EXISTS (SELECT FROM executions WHERE state IN ('QUEUED', 'IN_PROGRESS'))")
    async with database.read() as connection:
        return not (await connection.execute(live)).scalar_one()
