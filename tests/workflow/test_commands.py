"""Cancel, retry and replay through relay, queue and worker: what a handler does of it, and what it leaves."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from domain.execution import commands
from domain.execution.dead_letter import service as dead_letters
from domain.execution.model import Counts, Execution, ExecutionState, Operation
from domain.execution.run import Run
from domain.execution.service import read_steps
from domain.ids import ExecutionId
from domain.ingestion.errors import ProviderNotFound
from integrations.object_store.folder import FolderStore
from tests.support.dead_letters import all_letters, letter_of
from tests.support.executions import ended, executor_of, queue, read_one, running, until

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


async def cancel(database: "PostgresDatabase", execution_id: ExecutionId) -> Execution:
    return await commands.cancel(database, execution_id, actor_id=None, reason="wrong season", request_id="r-cancel")


async def report_of(folder: Path, execution: Execution) -> dict[str, object]:
    assert execution.report_key is not None
    found: dict[str, object] = json.loads(await FolderStore(folder).get(execution.report_key) or b"")
    return found


async def test_a_running_execution_stops_after_its_step(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    runs: list[Run] = []

    async def has_heard() -> bool:
        return runs[0].is_to_be_cancelled

    async def work(run: Run) -> None:
        runs.append(run)
        async with run.step("Round 1", total=2) as step:
            step.created += 1
            began.set()
            await go_on.wait()
            step.created += 1  # the step that runs is done whole
        async with run.step("Round 2") as step:
            step.created += 100

    accepted = await queue(database)
    async with running(database, valkey_url, tmp_path, work):
        await began.wait()
        asked = await cancel(database, accepted.execution.id)
        again = await cancel(database, accepted.execution.id)
        await until(has_heard)
        go_on.set()
        execution = await ended(database, accepted.execution.id)

    assert (asked.state, again.cancel_requested_at) == (ExecutionState.IN_PROGRESS, asked.cancel_requested_at)
    assert (execution.state, execution.error_code) == (ExecutionState.CANCELLED, None)
    assert execution.cancel_requested_at == asked.cancel_requested_at
    assert execution.counts == Counts(total=2, created=2)
    assert [step.name for step in (await read_steps(database, [execution.id]))[execution.id]] == ["Round 1"]
    report = await report_of(tmp_path, execution)
    assert (report["state"], report["counts"]) == (
        "CANCELLED",
        {"total": 2, "created": 2, "updated": 0, "unchanged": 0, "failed": 0},
    )
    assert await all_letters(database) == []


async def test_a_transaction_after_the_cancel_is_the_last(database: "PostgresDatabase", tmp_path: Path) -> None:
    """No heartbeat comes in between: the transaction itself finds out."""

    async def work(run: Run) -> None:
        async with run.step("one") as step:
            await cancel(database, run.execution.id)
            async with run.begin():
                step.created += 1
        async with run.step("two") as step:
            step.created += 100

    execution = await _deliver(database, tmp_path, work)

    assert (execution.state, execution.counts.created) == (ExecutionState.CANCELLED, 1)


async def test_a_step_that_fails_after_the_cancel_is_not_tried_again(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    async def work(run: Run) -> None:
        async with run.step("one"):
            await cancel(database, run.execution.id)
            async with run.begin():
                raise RuntimeError("broken")

    execution = await _deliver(database, tmp_path, work)

    assert (execution.state, execution.attempt) == (ExecutionState.CANCELLED, 1)
    assert (await report_of(tmp_path, execution))["state"] == "CANCELLED"
    assert await all_letters(database) == []


async def test_what_was_done_when_the_cancel_came_is_completed(database: "PostgresDatabase", tmp_path: Path) -> None:
    async def work(run: Run) -> None:
        async with run.step("the only one") as step, run.begin():
            step.created += 1
        await cancel(database, run.execution.id)

    execution = await _deliver(database, tmp_path, work)

    assert (execution.state, execution.counts.created) == (ExecutionState.COMPLETED, 1)


async def test_what_was_cancelled_while_queued_is_never_run_and_its_retry_is(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path
) -> None:
    done: list[ExecutionId] = []

    async def work(run: Run) -> None:
        async with run.step("one"):
            done.append(run.execution.id)

    accepted = await queue(database)
    cancelled = await cancel(database, accepted.execution.id)
    async with running(database, valkey_url, tmp_path, work):  # its job is delivered, and finds nothing
        retried = await commands.retry(database, cancelled.id, actor_id=None, reason="after all", request_id="r")
        execution = await ended(database, retried.execution.id)

    assert done == [execution.id]
    assert (execution.state, execution.retry_of) == (ExecutionState.COMPLETED, cancelled.id)
    assert await read_one(database, cancelled.id) == cancelled


async def test_a_replay_that_fails_again_leaves_a_letter_of_its_own(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path
) -> None:
    cured = False

    async def work(run: Run) -> None:
        async with run.step("one") as step:
            if not cured:
                raise ProviderNotFound("no such season")
            step.created += 1

    accepted = await queue(database, operation=Operation.INGEST_TEAMS, params={"a": 1})
    async with running(database, valkey_url, tmp_path, work):
        first = await ended(database, accepted.execution.id)
        second = await ended(database, await _replay(database, first.id))
        cured = True
        third = await ended(database, await _replay(database, second.id))

    assert [one.state for one in (first, second, third)] == [
        ExecutionState.FAILED,
        ExecutionState.FAILED,
        ExecutionState.COMPLETED,
    ]
    assert (second.retry_of, third.retry_of) == (first.id, second.id)
    assert [one.params for one in (first, second, third)] == [{"a": 1}] * 3
    assert {letter.execution_id for letter in await all_letters(database)} == {first.id, second.id}
    assert {letter.resolution for letter in await all_letters(database)} == {"REPLAYED"}
    assert [(await report_of(tmp_path, one))["state"] for one in (first, second, third)] == [
        "FAILED",
        "FAILED",
        "COMPLETED",
    ]


async def _replay(database: "PostgresDatabase", execution_id: ExecutionId) -> ExecutionId:
    letter = await letter_of(database, execution_id)
    _, execution = await dead_letters.replay(
        database, letter.id, actor_id=None, reason="once more", request_id="r-replay"
    )
    return execution.id


async def _deliver(database: "PostgresDatabase", folder: Path, work: Callable[[Run], Awaitable[None]]) -> Execution:
    """Run one execution whose heartbeats are far apart."""
    accepted = await queue(database)
    executor = executor_of(database, work, FolderStore(folder), lease=600, heartbeat=300)
    await executor.deliver(
        {
            "jobId": "01990000-0000-7000-8000-000000000000",
            "executionId": str(accepted.execution.id),
            "requestId": "r",
            "jobType": accepted.execution.operation.value,
            "attempt": 1,
        }
    )
    return await read_one(database, accepted.execution.id)
