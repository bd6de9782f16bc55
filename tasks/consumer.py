"""Takes jobs from the queue, so many at once, until told to stop; taskiq's receiver inside our own event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from taskiq import AsyncBroker
from taskiq.acks import AcknowledgeType
from taskiq.receiver import Receiver

from tasks.broker import TASK

_log = structlog.get_logger(__name__)
_AGAIN_SECONDS = 0.5

Deliver = Callable[[Mapping[str, Any]], Awaitable[None]]


async def consume(
    broker: AsyncBroker, deliver: Deliver, stop: asyncio.Event, *, concurrency: int, patience: float
) -> None:
    """Deliver jobs until `stop` is set, then wait up to `patience` seconds for those that run.

    Jobs are acknowledged when they arrive: what is lost with a worker is found by the sweeper, in the database.
    """
    broker.is_worker_process = True

    async def run_execution(job: dict[str, Any]) -> None:
        try:
            await deliver(job)
        except Exception:  # noqa: BLE001 an edge: what went wrong stands in the log, and the sweeper finds the rest
            _log.exception("job_failed", jobId=job.get("jobId"), executionId=job.get("executionId"))

    broker.register_task(run_execution, task_name=TASK)
    await broker.startup()
    try:
        while not stop.is_set():
            receiver = Receiver(
                broker,
                max_async_tasks=concurrency,
                run_startup=False,
                ack_type=AcknowledgeType.WHEN_RECEIVED,
                wait_tasks_timeout=patience,
            )
            try:
                await receiver.listen(stop)
            except Exception:  # noqa: BLE001 an edge: the receiver must never be the end of the worker
                _log.exception("receiver_failed")
                await asyncio.sleep(_AGAIN_SECONDS)
    finally:
        await broker.shutdown()
