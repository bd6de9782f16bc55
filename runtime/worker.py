"""Composition of the worker process: it runs executions, and keeps the projection of boards."""

import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import structlog

from domain.clock import utc_now
from domain.execution.lease import service as leases
from domain.execution.model import Operation
from domain.execution.ports import ObjectStore
from domain.execution.run import Run
from domain.execution.status.model import Process, ProcessKind
from domain.leaderboard.projector import run_projector
from domain.tournament.model import Provider
from integrations.openfootball.provider import OpenFootballProvider
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from integrations.valkey.ticks import ProjectorTicks
from runtime.broker import open_broker
from runtime.database import PostgresDatabase
from runtime.object_store import open_store
from runtime.outage import is_outage
from runtime.process import process_name
from runtime.settings import Settings
from runtime.signals import at_the_end, stop_on_signals
from runtime.watchdog import watched
from tasks.beat import Beat
from tasks.consumer import consume
from tasks.executor import Executor, Pace
from tasks.handlers import DOMAINS, HANDLERS, Handler, Ports
from tasks.loops import Wake, background, keep_running, repeat

if TYPE_CHECKING:
    from redis.asyncio import Redis

_log = structlog.get_logger(__name__)

# Of the time between SIGTERM and SIGKILL, what running executions may take; the rest is for giving them back.
_PATIENCE = 0.5


async def run(settings: Settings, handlers: Mapping[Operation, Handler] = HANDLERS) -> None:
    """Work until a signal says stop; then finish or give back what runs, within `stop_seconds`."""
    stop = stop_on_signals()
    queue_lost = Wake()
    broker = open_broker(settings, fetch=settings.worker_concurrency, on_new_queue=queue_lost, stop=stop)
    name = process_name()
    async with AsyncExitStack() as stack:
        database = _database(settings)
        at_the_end(stack, "connections to PostgreSQL", database.close)
        valkey = connect(settings.required_redis_url())
        at_the_end(stack, "connections to Valkey", valkey.aclose)
        await stack.enter_async_context(watched(settings.stuck_seconds))
        beat = Beat(database, Process(name, ProcessKind.WORKER), every=settings.beat_seconds)
        at_the_end(stack, "its sign of life", beat.leave)
        await stack.enter_async_context(background(*_loops(settings, database, valkey, queue_lost, beat)))
        reports = await stack.enter_async_context(open_store(settings))
        executor = _executor(settings, database, valkey, reports, handlers, name)
        at_the_end(stack, "running executions", executor.stop)
        _log.info("worker_ready", concurrency=settings.worker_concurrency)
        await consume(
            broker,
            executor.deliver,
            stop,
            concurrency=settings.worker_concurrency,
            patience=settings.stop_seconds * _PATIENCE,
        )
    _log.info("worker_stopped")


def _database(settings: Settings) -> PostgresDatabase:
    """A pool in which each execution finds two connections: for its transaction, and for its lease."""
    return PostgresDatabase.create(
        settings.required_database_url(),
        pool_size=max(settings.pool_size, 2 * settings.worker_concurrency + 2),
        application_name="palpite-worker",
        statement_timeout=settings.statement_timeout_seconds,
    )


def _executor(
    settings: Settings,
    database: PostgresDatabase,
    valkey: "Redis",
    reports: ObjectStore,
    handlers: Mapping[Operation, Handler],
    owner: str,
) -> Executor:
    openfootball = OpenFootballProvider(settings.openfootball_dir, replays_folder=settings.data / "replays")
    ports = Ports({Provider.OPENFOOTBALL: openfootball}, ValkeyProjection(valkey), utc_now, reports)
    return Executor(
        database,
        reports,
        {operation: _bound(handler, ports) for operation, handler in handlers.items()},
        DOMAINS,
        owner=owner,
        pace=Pace(lease=settings.lease_seconds, heartbeat=settings.heartbeat_seconds),
        clock=utc_now,
        jitter=random.random,
    )


def _bound(handler: Handler, ports: Ports) -> Callable[[Run], Awaitable[None]]:
    async def work(run: Run) -> None:
        await handler(run, ports)

    return work


def _loops(
    settings: Settings, database: PostgresDatabase, valkey: "Redis", queue_lost: Wake, beat: Beat
) -> list[Awaitable[None]]:
    ticks = ProjectorTicks(valkey)
    projector = partial(
        run_projector, database, ValkeyProjection(valkey), ticks, is_outage, poll_seconds=settings.hub_poll_seconds
    )
    return [
        keep_running("ticks", ticks.run),
        keep_running("projector", projector),
        keep_running("refill", partial(_refill, database, queue_lost)),
        repeat("beat", beat.once, every=settings.beat_seconds),
    ]


async def _refill(database: PostgresDatabase, queue_lost: Wake) -> None:
    """Send what waits again whenever the queue was lost; the sweeper would, some seconds later."""
    while True:
        await queue_lost.wait(None)
        _log.info("queue_refilled", count=await leases.send_all_waiting(database))
