"""The operation that removes history past its retention; a dry run only counts."""

import asyncio
from collections.abc import Callable

from domain.execution.exports import file_key
from domain.execution.ports import ObjectStore
from domain.execution.report import report_key_of
from domain.execution.retention import store
from domain.execution.retention.rules import RETENTIONS, History, Retention
from domain.execution.retention.store import OldExecution
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
            elif retention.history in (History.EXPORTS, History.EXECUTIONS):
                await _remove_executions(run, step, retention.history, reports, batch)
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


async def _remove_executions(run: Run, step: Step, history: History, files: ObjectStore, batch: int) -> None:
    """Files first: were the rows gone, nobody would know of the files any more."""
    if history is History.EXPORTS:
        async with run.database.read() as connection:
            kept = await store.kept_exports(connection, _KEEPS)
        await _remove_files(kept, files, step, _exports_of)
    while True:
        async with run.begin() as connection:
            taken = await store.take_executions(connection, history, _KEEPS, batch)
            gone = await _remove_files(taken, files, step, lambda one: [*_exports_of(one), *_reports_of(one)])
            step.updated += await store.remove_executions(connection, gone)
        if len(gone) < batch:
            return


async def _remove_files(
    taken: list[OldExecution], files: ObjectStore, step: Step, keys: Callable[[OldExecution], list[str]]
) -> list[ExecutionId]:
    """Remove files of executions; the answer is the executions of which none of these is left."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def remove(one: OldExecution) -> ExecutionId | None:
        async with gate:
            try:
                for key in keys(one):
                    await files.delete(key)
            except OSError as error:
                step.reject(f"Execution {one.id} stays, its files cannot be removed: {error}")
                return None
        return one.id

    answers = await asyncio.gather(*(remove(one) for one in taken))
    return [execution_id for execution_id in answers if execution_id is not None]


def _reports_of(one: OldExecution) -> list[str]:
    return [report_key_of(one.id, fence) for fence in range(1, one.tries + 1)]


def _exports_of(one: OldExecution) -> list[str]:
    return [file_key(one.id, fence, one.ending) for fence in range(1, one.tries + 1)] if one.ending else []
