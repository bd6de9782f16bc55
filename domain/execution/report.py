"""The report of a try: what was done, step by step, with every rejected item. Kept as JSON outside the database."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from domain.execution.model import Counts, Execution, ExecutionState, ExecutionStep, Failure
from domain.execution.rules import sum_of
from domain.ids import ExecutionId

CONTENT_TYPE = "application/json"


def report_key(execution: Execution, fence: int) -> str:
    """Where a report is kept: each try has a key of its own, which is written once."""
    return report_key_of(execution.id, fence)


def report_key_of(execution_id: ExecutionId, fence: int) -> str:
    """The same, of an execution whose id is known."""
    return f"reports/{execution_id}/{fence}.json"


def report(
    execution: Execution,
    state: ExecutionState,
    steps: Sequence[ExecutionStep],
    rejected: Mapping[int, Sequence[str]],
    failure: Failure | None,
    *,
    at: datetime,
    details: Mapping[str, Any] | None = None,
) -> bytes:
    """The report of a try that ends in `state` at `at`; `rejected` holds lines by position of the step.

    `details` are JSON values that only this operation has to tell, by name.
    """
    target = execution.target
    content = {
        "v": 1,
        "executionId": str(execution.id),
        "operation": execution.operation,
        "target": {name: str(value) for name, value in asdict(target).items() if value is not None},
        "params": execution.params,
        "trigger": execution.trigger,
        "requestId": execution.request_id,
        "attempt": execution.attempt,
        "state": state,
        "error": None if failure is None else {"code": failure.code, "message": failure.message},
        "queuedAt": execution.queued_at.isoformat(),
        "startedAt": _text(execution.started_at),
        "finishedAt": at.isoformat(),
        "counts": asdict(sum_of(list(steps))),
        "steps": [_step(step, rejected.get(step.position, ())) for step in steps],
        **(details or {}),
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def missing_report(position: int, error: Exception, *, at: datetime) -> ExecutionStep:
    """The step by which people see that a report could not be kept; the error itself is for the log."""
    is_late = isinstance(error, TimeoutError)
    why = "The store did not answer in time." if is_late else "The store did not take it; the log says why."
    return ExecutionStep(position, "Report", ExecutionState.FAILED, Counts(), why, at, at)


def _step(step: ExecutionStep, rejected: Sequence[str]) -> dict[str, Any]:
    return {
        "position": step.position,
        "name": step.name,
        "state": step.state,
        "counts": asdict(step.counts),
        "note": step.note,
        "startedAt": _text(step.started_at),
        "finishedAt": _text(step.finished_at),
        "rejected": list(rejected),
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
