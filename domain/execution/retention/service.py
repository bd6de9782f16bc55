"""The operation that removes history past its retention; a dry run only counts."""

import asyncio

from domain.execution.ports import ObjectStore
from domain.execution.report import report_key_of
from domain.execution.retention import store
from domain.execution.retention.rules import RETENTIONS, History, Retention
from domain.execution.run import Run, Step
from domain.ids import ExecutionId

BATCH = 200
# Files removed at once.
_AT_ONCE = 10


async def prune_history(run: Run, reports: ObjectStore, *, batch: int = BATCH) -> None:
    """Remove what is past its retention, kind by kind, in transactions of up to `batch` rows each."""
    for retention in RETENTIONS:
        async with run.step(retention.label) as step:
            async with run.database.read() as connection:
                step.total = await store.count(connection, retention, _KEEPS)
            if run.execution.dry_run:
                step.unchanged = step.total
                step.note = f"Would be removed: {step.total}."
            elif retention.history is History.EXECUTIONS:
                await _remove_executions(run, step, reports, batch)
            else:
                await _remove(run, step, retention, batch)


_KEEPS = {retention.history: retention.keep for retention in RETENTIONS}


async def _remove(run: Run, step: Step, retention: Retention, batch: int) -> None:
    while True:
        async with run.begin() as connection:
            removed = await store.remove(connection, retention, _KEEPS, batch)
        step.updated += removed
        if removed < batch:
            return


async def _remove_executions(run: Run, step: Step, reports: ObjectStore, batch: int) -> None:
    """Reports first: were the rows gone, nobody would know of the files any more."""
    while True:
        async with run.begin() as connection:
            taken = await store.take_executions(connection, _KEEPS, batch)
            gone = await _remove_reports(taken, reports, step)
            step.updated += await store.remove_executions(connection, gone)
        if len(gone) < batch:
            return


async def _remove_reports(taken: list[tuple[ExecutionId, int]], reports: ObjectStore, step: Step) -> list[ExecutionId]:
    """Remove the reports of executions; the answer is those of which none is left."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def remove(execution_id: ExecutionId, tries: int) -> ExecutionId | None:
        async with gate:
            try:
                for fence in range(1, tries + 1):
                    await reports.delete(report_key_of(execution_id, fence))
            except OSError as error:
                step.reject(f"Execution {execution_id} stays, its report cannot be removed: {error}")
                return None
        return execution_id

    answers = await asyncio.gather(*(remove(*one) for one in taken))
    return [execution_id for execution_id in answers if execution_id is not None]
