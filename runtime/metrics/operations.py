"""Gauges of queues, processes and providers. They are read from the database when somebody asks, at most once a second.

Every API process shows the same ones: in a sum over processes take the largest, not the sum.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from domain.execution.model import LIVE, ExecutionState, Operation
from domain.execution.status.model import OperationsStatus, RecentlyEnded
from domain.execution.status.service import read_status, recently_ended
from domain.ingestion.breaker.model import BreakerState
from domain.leaderboard.audit.service import count_breaches

if TYPE_CHECKING:
    from domain.database import Database

_FRESH_SECONDS = 1.0
_ENDS = [state for state in ExecutionState if state not in LIVE]


class OperationsMeters:
    """What `OperationsStatus` tells, as gauges, and what ended within the last hour."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._fresh_until = -math.inf
        self._reading = asyncio.Lock()
        of_operation = ["operation"]

        def gauge(name: str, words: str, labels: Iterable[str] = ()) -> Gauge:
            return Gauge(f"palpite_{name}", words, list(labels), registry=registry)

        self._queued = gauge("queue_due", "Executions queued and due", of_operation)
        self._waiting = gauge("queue_waiting", "Executions waiting for a retry", of_operation)
        self._in_progress = gauge("queue_in_progress", "Executions in progress", of_operation)
        self._oldest = gauge("queue_oldest_seconds", "Age of the oldest due execution, 0 without one", of_operation)
        self._dead_letters = gauge("dead_letters_open", "Open dead letters", of_operation)
        self._ended = gauge(
            "executions_ended_last_hour", "Executions that ended within the last hour", ["operation", "state"]
        )
        self._retries = gauge(
            "retries_last_hour", "Attempts beyond the first of executions that ended within the last hour", of_operation
        )
        self._backlog = gauge("outbox_backlog", "Messages that are due and not sent")
        self._workers = gauge("workers", "Workers seen in the last minute")
        self._scheduler_age = gauge(
            "scheduler_age_seconds", "Time since a scheduler last looked for due slots, +Inf when none ever did"
        )
        self._lag = gauge(
            "settlement_lag_seconds", "Age of the oldest match that ended and is not settled, 0 without one"
        )
        self._breakers = gauge("provider_refused", "1 while a provider is not asked, else 0", ["provider"])
        self._breaches = gauge(
            "invariant_breaches",
            "What must always hold and does not: of the ledger in the latest audits, of delays now",
            ["invariant"],
        )
        self._failures = Counter(
            "palpite_scrape_failures", "Scrapes that could not read the database", registry=registry
        )

    async def read(self, database: "Database") -> None:
        """Bring the gauges up to date, unless they are fresh; scrapes at the same time share one reading."""
        async with self._reading:
            if self._clock() < self._fresh_until:
                return
            try:
                status, ended = await read_status(database), await recently_ended(database)
                breaches = await count_breaches(database)
            except (SQLAlchemyError, OSError):
                self._failures.inc()
                return
            self._show(status)
            self._show_ended(ended)
            for invariant, number in breaches.items():
                self._breaches.labels(invariant.lower()).set(number)
            self._fresh_until = self._clock() + _FRESH_SECONDS

    def _show(self, status: OperationsStatus) -> None:
        for queue in status.queues:
            self._queued.labels(queue.operation).set(queue.queued)
            self._waiting.labels(queue.operation).set(queue.waiting)
            self._in_progress.labels(queue.operation).set(queue.in_progress)
            self._oldest.labels(queue.operation).set(queue.oldest_seconds or 0)
            self._dead_letters.labels(queue.operation).set(queue.dead_letters)
        for provider in status.providers:
            self._breakers.labels(provider.provider).set(provider.breaker is not BreakerState.CLOSED)
        seen = status.scheduler_seen_at
        self._scheduler_age.set(math.inf if seen is None else (status.at - seen).total_seconds())
        self._backlog.set(status.outbox_backlog)
        self._workers.set(status.workers)
        self._lag.set(status.settlement_lag_seconds or 0)

    def _show_ended(self, ended: Iterable[RecentlyEnded]) -> None:
        found = {(one.operation, one.state): one for one in ended}
        for operation in Operation:
            retries = 0
            for state in _ENDS:
                one = found.get((operation, state))
                self._ended.labels(operation, state.lower()).set(one.executions if one else 0)
                retries += one.retries if one else 0
            self._retries.labels(operation).set(retries)
