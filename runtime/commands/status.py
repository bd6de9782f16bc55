"""`palpite status`."""

from collections.abc import Iterator
from typing import Any

from domain.execution.status.model import OperationsStatus, QueueStatus
from domain.execution.status.service import read_status
from domain.ingestion.breaker.model import BreakerState
from runtime.operator import ago, duration, say, show_one, show_rows, with_database

_COLUMNS = {
    "operation": "OPERATION",
    "queued": "QUEUED",
    "oldest": "OLDEST",
    "waiting": "RETRYING",
    "inProgress": "RUNNING",
    "deadLetters": "DEAD LETTERS",
}
_SILENT = 60
"""Seconds after which a scheduler counts as gone."""
_LATE = 60
"""Seconds that a job may be due before it needs attention."""
_UNSETTLED = 300
"""Seconds within which a match that has ended is settled."""


def status(*, json: bool = False) -> int:
    """Show queues, failures and live processes; exit code 1 when something needs attention.

    Each thing that needs attention is a line that begins with `!` and says what to do.

    Example: `palpite status --json`

    Parameters
    ----------
    json
        Print JSON for scripts.
    """
    found = with_database(read_status)
    problems = list(_problems(found))
    if json:
        show_one(_details(found, problems), as_json=True)
        return 1 if problems else 0
    rows = [_row(queue) for queue in found.queues if _has_news(queue)]
    show_rows(rows, _COLUMNS, as_json=False, nothing="No execution is queued, running or failed.")
    say(f"Workers: {found.workers}. Scheduler: {ago(found.scheduler_seen_at) or 'never seen'}.")
    say(f"Messages to send: {found.outbox_backlog}. Oldest unsettled match: {_lag(found)}.")
    for problem in problems:
        say(f"! {problem}")
    return 1 if problems else 0


def missing_processes(found: OperationsStatus) -> Iterator[str]:
    """Which processes should run and do not, with what to do."""
    if not found.workers:
        yield "No worker was seen in the last minute: start `palpite worker`."
    seen = found.scheduler_seen_at
    if seen is None or (found.at - seen).total_seconds() > _SILENT:
        yield "No scheduler is running: start `palpite scheduler` (docs/runbooks/scheduler-down.md)."


def _problems(found: OperationsStatus) -> Iterator[str]:
    """What needs attention, with what to do."""
    yield from missing_processes(found)
    for queue in found.queues:
        if queue.dead_letters:
            yield f"{queue.operation}: {queue.dead_letters} open dead letters (docs/runbooks/dead-letters.md)."
        if (queue.oldest_seconds or 0) > _LATE:
            waits = duration(queue.oldest_seconds)
            yield f"{queue.operation}: the oldest job has waited for {waits} (docs/runbooks/stuck-execution.md)."
    for provider in found.providers:
        if provider.breaker is not BreakerState.CLOSED:
            again = f"at {provider.retry_at:%H:%M:%S}Z" if provider.retry_at else "with the next job"
            yield f"{provider.provider} is not called for now: {provider.reason}; tried again {again}."
    if (found.settlement_lag_seconds or 0) > _UNSETTLED:
        yield f"A match has waited for its settlement for {duration(found.settlement_lag_seconds)}."


def _has_news(queue: QueueStatus) -> bool:
    return any((queue.queued, queue.waiting, queue.in_progress, queue.dead_letters))


def _lag(found: OperationsStatus) -> str:
    return "none" if found.settlement_lag_seconds is None else duration(found.settlement_lag_seconds)


def _row(queue: QueueStatus) -> dict[str, Any]:
    return {
        "operation": queue.operation,
        "queued": queue.queued,
        "waiting": queue.waiting,
        "inProgress": queue.in_progress,
        "oldestSeconds": queue.oldest_seconds,
        "oldest": duration(queue.oldest_seconds),
        "deadLetters": queue.dead_letters,
    }


def _details(found: OperationsStatus, problems: list[str]) -> dict[str, Any]:
    """In the words of the API."""
    return {
        "at": found.at,
        "queues": [_row(queue) for queue in found.queues],
        "providers": found.providers,
        "outboxBacklog": found.outbox_backlog,
        "schedulerSeenAt": found.scheduler_seen_at,
        "workers": found.workers,
        "settlementLagSeconds": found.settlement_lag_seconds,
        "problems": problems,
    }
