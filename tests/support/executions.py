"""A worker, a relay and a sweeper inside the test, with handlers of the test."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from domain.clock import utc_now
from domain.execution.jobs import job_message
from domain.execution.lease import service as leases
from domain.execution.model import Command, Execution, ExecutionState, ExecutionTrigger, Operation, Target
from domain.execution.run import Run
from domain.execution.service import Accepted, accept, read_executions
from domain.ids import ExecutionId, new_id
from integrations.object_store.folder import FolderStore
from integrations.valkey import ticks
from integrations.valkey.client import connect
from tasks import relay, sweeper
from tasks.broker import create_broker
from tasks.consumer import consume
from tasks.executor import Executor, Pace
from tasks.handlers import DOMAINS
from tasks.loops import Wake, background, keep_running, repeat
from tasks.sender import BrokerSender

if TYPE_CHECKING:
    from domain.execution.ports import ObjectStore
    from runtime.database import PostgresDatabase

OPERATION = Operation.SETTLE_PENDING
"""What tests run when it does not matter; it needs no target."""

Work = Callable[[Run], Awaitable[None]]


async def queue(
    database: "PostgresDatabase",
    *,
    operation: Operation = OPERATION,
    target: Target | None = None,
    params: dict[str, Any] | None = None,
    trigger: ExecutionTrigger = ExecutionTrigger.SYSTEM,
    request_id: str = "request-1",
) -> Accepted:
    """Accept a command in a transaction of its own."""
    async with database.begin() as connection:
        return await accept(
            connection,
            Command(operation, target or Target(), params or {}),
            trigger=trigger,
            request_id=request_id,
        )


def job_of(execution: Execution) -> dict[str, Any]:
    """What the queue brings of an execution that waits for its first try."""
    return job_message(execution, job_id=new_id(), enqueued_at=execution.queued_at)


def executor_of(
    database: "PostgresDatabase",
    work: Mapping[Operation, Work] | Work,
    reports: "ObjectStore",
    *,
    owner: str = "test",
    lease: float = 5,
    heartbeat: float = 0.2,
) -> Executor:
    """An executor; a single handler does every operation."""
    handlers = work if isinstance(work, Mapping) else dict.fromkeys(Operation, work)
    pace = Pace(lease=lease, heartbeat=heartbeat, progress=0.05)
    return Executor(
        database, reports, handlers, DOMAINS, owner=owner, pace=pace, clock=utc_now, jitter=random.Random(1).random
    )


@dataclass
class Plant:
    """Everything that moves executions, in this process."""

    database: "PostgresDatabase"
    valkey_url: str
    reports: FolderStore
    stop: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def running(
    database: "PostgresDatabase",
    valkey_url: str,
    folder: Path,
    work: Mapping[Operation, Work] | Work,
    *,
    lease: float = 5,
    sweep_every: float = 0.1,
    resend_after: float = 60,
    concurrency: int = 10,
    broker_url: str | None = None,
) -> AsyncIterator[Plant]:
    """A relay, a sweeper and a worker until the end of the block; the queue is Valkey's when no other is given."""
    plant = Plant(database, valkey_url, FolderStore(folder))
    executor = executor_of(database, work, plant.reports, lease=lease)
    queue_lost = Wake()
    async with (
        moving(
            database,
            valkey_url,
            folder,
            sweep_every=sweep_every,
            resend_after=resend_after,
            broker_url=broker_url,
        ),
        background(_refill(database, queue_lost)),
    ):
        broker = create_broker(broker_url or valkey_url, on_new_queue=queue_lost, stop=plant.stop)
        worker = asyncio.create_task(consume(broker, executor.deliver, plant.stop, concurrency=concurrency, patience=1))
        try:
            yield plant
        finally:
            plant.stop.set()
            await worker
            await executor.stop()


@asynccontextmanager
async def sending(valkey_url: str, broker_url: str | None = None) -> AsyncIterator[BrokerSender]:
    """What a relay sends with."""
    broker = create_broker(broker_url or valkey_url)
    async with connect(valkey_url) as client:
        try:
            yield BrokerSender(broker, partial(ticks.publish, client))
        finally:
            await broker.shutdown()


@asynccontextmanager
async def moving(
    database: "PostgresDatabase",
    valkey_url: str,
    folder: Path,
    *,
    sweep_every: float = 0.1,
    resend_after: float = 60,
    broker_url: str | None = None,
) -> AsyncIterator[None]:
    """A scheduler without schedules until the end of the block."""
    wake = Wake()
    sweep = partial(sweeper.sweep_once, database, FolderStore(folder), utc_now, resend_after=resend_after)
    async with (
        sending(valkey_url, broker_url) as sender,
        background(
            keep_running("listen", partial(relay.listen, database.dedicated, wake), pause=0.05),
            repeat("relay", partial(relay.relay_once, database, sender), every=0.1, wake=wake),
            repeat("sweeper", sweep, every=sweep_every),
        ),
    ):
        yield


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 20, patience: float = 0.02) -> None:
    """Wait until a condition holds; `patience` looks ever less often, by this share of what was waited already.

    Who looks fifty times a second takes time from whom he waits for. What comes and goes needs such a look, though.
    """
    began = monotonic()
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110 what is waited for stands in the database
            await asyncio.sleep(0.02 + patience * (monotonic() - began))


async def read_one(database: "PostgresDatabase", execution_id: ExecutionId) -> Execution:
    return (await read_executions(database, [execution_id]))[execution_id]


async def ended(database: "PostgresDatabase", execution_id: ExecutionId, *, within: float = 20) -> Execution:
    """The execution once it is over."""

    async def is_over() -> bool:
        state = (await read_one(database, execution_id)).state
        return state not in {ExecutionState.QUEUED, ExecutionState.IN_PROGRESS}

    await until(is_over, within=within, patience=0.1)
    return await read_one(database, execution_id)


async def _refill(database: "PostgresDatabase", queue_lost: Wake) -> None:
    while True:
        await queue_lost.wait(None)
        await leases.send_all_waiting(database)
