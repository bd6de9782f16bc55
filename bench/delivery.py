"""From a commit to the start of its execution; executions that do nothing against taskiq alone; the relay alone."""

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from uuid import uuid4

import psutil
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


@dataclass(frozen=True, slots=True)
class Servers:
    """PostgreSQL and Valkey as they are shipped: what is committed is on the disk."""

    database_url: str
    valkey_url: str
    data: Path

    @property
    def second_valkey_url(self) -> str:
        """Another database of the same Valkey."""
        return self.valkey_url.replace("db=0", "db=1")


@dataclass(frozen=True, slots=True)
class Processes:
    """Two workers and a scheduler as they are shipped; and two workers with taskiq alone."""

    ours: Sequence[psutil.Process]
    bare: Sequence[psutil.Process]


@dataclass(frozen=True, slots=True)
class Round:
    """How many a second, and the computing of each in seconds, by process."""

    rate: float
    cpu: Sequence[float]


def measure() -> Sequence[Figure]:
    with _servers() as servers:
        with _processes(servers) as processes:
            rounds, waits = asyncio.run(_with_processes(servers, processes))
        relayed = asyncio.run(_relay(servers))
        steps = asyncio.run(_steps(servers))
    ours, bare = (median(one[part].rate for one in rounds) for part in (0, 1))
    p99 = sorted(waits)[math.ceil(0.99 * len(waits)) - 1]
    workers, scheduler, alone = (
        median(sum(one[part].cpu[chosen]) for one in rounds) * 1000
        for part, chosen in ((0, slice(WORKERS)), (0, slice(WORKERS, None)), (1, slice(None)))
    )
    costs = ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in steps.items())
    detail = (
        f"{ours:.0f} a second against {bare:.0f}, {WORKERS} workers each; computing for each {workers:.1f} ms in the "
        f"workers and {scheduler:.1f} in the scheduler against {alone:.1f}; one by one and alone: {costs}"
    )
    return [
        Figure("commit to started, p50", median(waits) * 1000, 50, unit="ms", detail=f"{len(waits)} one by one"),
        Figure("commit to started, p99", p99 * 1000, 1000, unit="ms"),
        Figure(
            "executions against taskiq alone",
            median(one[0].rate / one[1].rate for one in rounds),
            0.5,
            at_least=True,
            detail=detail,
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


@contextmanager
def _processes(servers: Servers) -> Iterator[Processes]:
    """Ours, and workers with taskiq alone on a database of Valkey's for themselves; all of them idle between rounds."""
    worker = [sys.executable, "-m", "bench.idle_worker"]
    scheduler = [sys.executable, "-m", "runtime.cli", "scheduler"]
    settings = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.valkey_url,
        "PALPITE_DATA": str(servers.data / "files"),
        "PALPITE_WORKER_CONCURRENCY": str(CONCURRENCY),
        "PALPITE_LOG_LEVEL": "error",
    }
    with ExitStack() as stack:

        def started(command: list[str], **more: str) -> psutil.Process:
            process = stack.enter_context(subprocess.Popen(command, env=environment({**settings, **more})))
            stack.callback(process.terminate)
            return psutil.Process(process.pid)

        bare = [started([*worker, "bare"], REDIS_URL=servers.second_valkey_url) for _ in range(WORKERS)]
        yield Processes([started(command) for command in (*[worker] * WORKERS, scheduler)], bare)


async def _with_processes(servers: Servers, processes: Processes) -> tuple[list[tuple[Round, Round]], list[float]]:
    """Rounds of ours and of taskiq alone in turn, without the first; and the waits on an idle queue, in seconds."""
    database = PostgresDatabase.create(servers.database_url)
    try:
        made = await make_tournament(database, matches=BATCH)
        for url in (servers.valkey_url, servers.second_valkey_url):
            async with Redis.from_url(url) as client:
                await _until(partial(_has_workers, client))
        rounds = []
        for _ in range(ROUNDS + 1):
            ours = await _timed(BATCH, processes.ours, partial(_execute, database, made.matches))
            bare = await _timed(5 * BATCH, processes.bare, partial(_send, servers.second_valkey_url, 5 * BATCH))
            rounds.append((ours, bare))
        return rounds[1:], [await _wait(database) for _ in range(TIMES)]
    finally:
        await database.close()


async def _timed(count: int, processes: Sequence[psutil.Process], work: Callable[[], Awaitable[None]]) -> Round:
    began, before = time.perf_counter(), _cpu(processes)
    await work()
    took = time.perf_counter() - began
    return Round(count / took, [(now - then) / count for now, then in zip(_cpu(processes), before, strict=True)])


def _cpu(processes: Sequence[psutil.Process]) -> list[float]:
    return [sum(process.cpu_times()[:2]) for process in processes]


async def _execute(database: PostgresDatabase, matches: Sequence[MatchId]) -> None:
    """From the acceptance of executions to the end of the last one."""
    commands = [Command(Operation.SETTLE_MATCH, Target(match_id=match), {}) for match in matches]
    async with database.begin() as connection:
        await accept_many(connection, commands, request_id="bench")
    await _until(partial(_are_over, database), every=0.05)


async def _send(url: str, count: int) -> None:
    """From the first message that is sent to the last one that is taken."""
    jobs = [{"jobId": str(uuid4()), "jobType": "NOTHING", "executionId": str(uuid4())} for _ in range(count)]
    broker = create_broker(url)
    for first in range(0, len(jobs), 500):
        await send(broker, jobs[first : first + 500])
    async with Redis.from_url(url) as client:
        await _until(partial(_is_empty, client), every=0.05)
    await broker.shutdown()


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


async def _until(condition: Callable[[], Awaitable[bool]], *, every: float = 0.005) -> None:
    async with asyncio.timeout(180):
        while not await condition():  # noqa: ASYNC110 what is waited for stands in a server
            await asyncio.sleep(every)


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
