"""A store of reports that is full, away, slow, or refuses: what executions do ends as it would have, and it shows."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.clock import utc_now
from domain.execution import commands
from domain.execution.lease import service as leases
from domain.execution.model import Counts, ExecutionErrorCode, ExecutionState, ExecutionStep, Operation
from domain.execution.ports import ObjectStore
from domain.execution.run import Run
from domain.execution.service import read_steps
from domain.ids import ExecutionId
from integrations.object_store.folder import FolderStore
from integrations.object_store.s3 import Bucket, open_s3
from runtime.ports import free_port
from tests.support import worker_process
from tests.support.executions import ended, executor_of, job_of, moving, queue, read_one, until
from tests.support.palpite import environment
from tests.support.s3 import ENVIRONMENT, make_bucket, running_nanio

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

LATE = "The store did not answer in time."
REFUSED = "The store did not take it; the log says why."
QUICK = Operation.SYNC_CURRENT_ROUND


async def one_step(run: Run) -> None:
    async with run.step("one") as step:
        step.created += 1


async def one_step_and_an_error(run: Run) -> None:
    await one_step(run)
    raise ValueError("no")


async def shown(
    database: "PostgresDatabase", execution_id: ExecutionId
) -> list[tuple[str, ExecutionState, str | None]]:
    """The steps as people see them."""
    steps: list[ExecutionStep] = (await read_steps(database, [execution_id]))[execution_id]
    assert [step.position for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.finished_at is not None for step in steps)
    return [(step.name, step.state, step.note) for step in steps]


# ---------------------------------------------------------------- stores


@asynccontextmanager
async def blocked(folder: Path) -> AsyncIterator[ObjectStore]:
    """A folder that cannot be written to."""
    (folder / "reports").write_text("a file where a folder should be")
    yield FolderStore(folder)


@asynccontextmanager
async def away(_: Path) -> AsyncIterator[ObjectStore]:
    """S3 where nobody listens."""
    async with open_s3(Bucket("palpite", "", f"http://127.0.0.1:{free_port('127.0.0.1')}")) as store:
        yield store


@asynccontextmanager
async def forbidding(_: Path) -> AsyncIterator[ObjectStore]:
    """S3 that knows us by another secret."""
    with running_nanio() as endpoint:
        await make_bucket(endpoint, "palpite")
        os.environ["AWS_SECRET_ACCESS_KEY"] = "another"
        async with open_s3(Bucket("palpite", "", endpoint)) as store:
            yield store


@asynccontextmanager
async def silent(_: Path) -> AsyncIterator[ObjectStore]:
    """S3 that takes connections and says nothing."""
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with open_s3(Bucket("palpite", "", f"http://127.0.0.1:{port}")) as store:
        yield store
    for writer in connections:
        writer.close()
    server.close()


Open = Callable[[Path], "asynccontextmanager[ObjectStore]"]
stores = pytest.mark.parametrize("open_store", [blocked, away, forbidding])


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


# ---------------------------------------------------------------- outcomes


@stores
async def test_an_execution_ends_as_it_would_have_without_a_report(
    database: "PostgresDatabase", tmp_path: Path, open_store: Open
) -> None:
    done = await queue(database, operation=QUICK)
    failed = await queue(database, operation=Operation.SETTLE_PENDING)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE executions SET max_attempts = 1"))
    async with open_store(tmp_path) as store:
        await executor_of(database, one_step, store).deliver(job_of(done.execution))
        await executor_of(database, one_step_and_an_error, store).deliver(job_of(failed.execution))
    completed, broken = [await read_one(database, one.execution.id) for one in (done, failed)]

    assert (completed.state, completed.attempt, completed.report_key) == (ExecutionState.COMPLETED, 1, None)
    assert (completed.error_code, completed.counts) == (None, Counts(created=1))
    assert (broken.state, broken.error_code) == (ExecutionState.FAILED, ExecutionErrorCode.INTERNAL)
    for execution in (completed, broken):
        assert await shown(database, execution.id) == [
            ("one", ExecutionState.COMPLETED, None),
            ("Report", ExecutionState.FAILED, REFUSED),
        ]


async def test_a_cancelled_execution_is_cancelled_without_a_report(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    async def work(run: Run) -> None:
        await commands.cancel(database, run.execution.id, actor_id=None, reason="a test", request_id="r")

        async def is_cancelled() -> bool:
            return run.is_to_be_cancelled

        await until(is_cancelled)
        await one_step(run)

    accepted = await queue(database)
    async with blocked(tmp_path) as store:
        await executor_of(database, work, store).deliver(job_of(accepted.execution))
    execution = await read_one(database, accepted.execution.id)

    assert (execution.state, execution.report_key) == (ExecutionState.CANCELLED, None)
    assert await shown(database, execution.id) == [("Report", ExecutionState.FAILED, REFUSED)]


async def test_a_slow_store_does_not_cost_the_lease(database: "PostgresDatabase", tmp_path: Path) -> None:
    """It takes several leases to give up, while sweepers look for executions to take away."""
    accepted = await queue(database, operation=QUICK)
    taken = []

    async def sweep(store: ObjectStore) -> None:
        while True:
            taken.extend(await leases.take_from_lost_workers(database, store, utc_now))
            await asyncio.sleep(0.1)

    async with silent(tmp_path) as store:
        sweeper = asyncio.create_task(sweep(store))
        await executor_of(database, one_step, store, lease=2, heartbeat=0.2).deliver(job_of(accepted.execution))
        sweeper.cancel()
    execution = await read_one(database, accepted.execution.id)

    assert taken == []
    assert (execution.state, execution.attempt, execution.fence) == (ExecutionState.COMPLETED, 1, 1)
    assert await shown(database, execution.id) == [
        ("one", ExecutionState.COMPLETED, None),
        ("Report", ExecutionState.FAILED, LATE),
    ]


async def test_many_lost_executions_wait_for_a_silent_store_once(database: "PostgresDatabase", tmp_path: Path) -> None:
    operations = (QUICK, Operation.SETTLE_PENDING, Operation.REBUILD_PROJECTION)
    ids = [(await queue(database, operation=operation)).execution.id for operation in operations]
    for one in ids:
        assert await leases.claim(database, one, owner="lost", lease_seconds=60) is not None
    async with database.begin() as connection:
        await connection.execute(text("UPDATE executions SET max_attempts = 1, lease_until = now() - interval '1 s'"))
    started = asyncio.get_running_loop().time()
    async with silent(tmp_path) as store:
        taken = await leases.take_from_lost_workers(database, store, utc_now)
    took = asyncio.get_running_loop().time() - started

    assert {execution.id for execution in taken} == set(ids)
    assert {(one.state, one.error_code, one.report_key) for one in taken} == {
        (ExecutionState.FAILED, ExecutionErrorCode.WORKER_LOST, None)
    }
    for one in ids:
        assert await shown(database, one) == [("Report", ExecutionState.FAILED, LATE)]
    assert took < 3 * 5  # what one after another would take at least


async def test_a_full_disk_costs_the_report_only(
    database: "PostgresDatabase", database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    """A real worker that may not write files of more than 100 bytes."""
    async with database.begin() as connection:
        for table in worker_process.TABLES:
            await connection.execute(text(table))
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "PALPITE_DATA": str(tmp_path / "data"),
        "PALPITE_LOG_FORMAT": "json",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-B",
        "-m",
        "tests.support.worker_process",
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    try:
        async with moving(database, valkey_url, tmp_path):
            accepted = await queue(database, operation=QUICK)
            execution = await ended(database, accepted.execution.id, within=60)
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = await process.communicate()
    (line,) = [one for one in map(json.loads, output.splitlines()) if one["message"] == "report_not_kept"]

    assert (execution.state, execution.attempt, execution.report_key) == (ExecutionState.COMPLETED, 1, None)
    assert await shown(database, execution.id) == [
        ("only", ExecutionState.COMPLETED, None),
        ("Report", ExecutionState.FAILED, REFUSED),
    ]
    assert line["executionId"] == str(execution.id)
    assert "File too large" in line["error"]
