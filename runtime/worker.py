"""Composition of the worker process: it runs executions, and keeps the projection of boards."""

import asyncio
import os
import random
import socket
from functools import partial

import structlog

from domain.clock import utc_now
from domain.execution.lease import service as leases
from domain.execution.run import Run
from domain.ingestion import ports as ingestion
from domain.leaderboard.projector import run_projector
from domain.tournament.model import Provider
from integrations.object_store.folder import FolderStore
from integrations.openfootball.provider import OpenFootballProvider
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from integrations.valkey.ticks import ProjectorTicks
from runtime.database import PostgresDatabase
from runtime.settings import Settings
from runtime.signals import stop_on_signals
from tasks.broker import create_broker
from tasks.consumer import consume
from tasks.executor import Executor, Pace
from tasks.handlers import DOMAINS, HANDLERS, Handler, Ports
from tasks.loops import Wake, keep_running, repeat

_log = structlog.get_logger(__name__)
_IDLE_SECONDS = 3600.0


async def run(settings: Settings) -> None:
    """Work until a signal says stop; then finish or give back what runs, within `stop_seconds`."""
    # An execution uses two connections at times: for its transaction, and for its lease.
    pool_size = max(settings.pool_size, 2 * settings.worker_concurrency + 2)
    database = PostgresDatabase.create(
        settings.required_database_url(),
        pool_size=pool_size,
        application_name="palpite-worker",
        statement_timeout=settings.statement_timeout_seconds,
    )
    valkey = connect(settings.required_redis_url())
    projection = ValkeyProjection(valkey)
    ticks = ProjectorTicks(connect(settings.required_redis_url()))
    ports = Ports(_providers(settings), projection, utc_now)
    executor = _executor(settings, database, ports)
    lost_queue = Wake()
    broker = create_broker(
        settings.required_redis_url(), fetch=settings.worker_concurrency, on_new_queue=lost_queue
    )
    stop = stop_on_signals()
    loops = [
        asyncio.create_task(keep_running("ticks", ticks.run)),
        asyncio.create_task(
            keep_running(
                "projector",
                partial(run_projector, database, projection, ticks, poll_seconds=settings.hub_poll_seconds),
            )
        ),
        asyncio.create_task(_refill(database, lost_queue)),
    ]
    _log.info("worker_ready", concurrency=settings.worker_concurrency)
    try:
        await consume(
            broker,
            executor.deliver,
            stop,
            concurrency=settings.worker_concurrency,
            patience=settings.stop_seconds,
        )
    finally:
        await executor.stop()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await valkey.aclose()
        await database.close()
        _log.info("worker_stopped")


async def _refill(database: PostgresDatabase, lost_queue: Wake) -> None:
    """Send again at once what waits, whenever the queue was lost; the sweeper would do it a little later."""

    async def once() -> bool:
        await leases.send_forgotten(database, after_seconds=0)
        return False

    await lost_queue.wait(_IDLE_SECONDS)
    await repeat("refill", once, every=_IDLE_SECONDS, wake=lost_queue)


def _providers(settings: Settings) -> dict[Provider, ingestion.Provider]:
    files = OpenFootballProvider(settings.openfootball_dir, replays_folder=settings.data / "replays")
    return {Provider.OPENFOOTBALL: files}


def _executor(settings: Settings, database: PostgresDatabase, ports: Ports) -> Executor:
    return Executor(
        database,
        FolderStore(settings.data / "files"),
        {operation: partial(_handle, handler, ports) for operation, handler in HANDLERS.items()},
        DOMAINS,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        pace=Pace(lease=settings.lease_seconds, heartbeat=settings.heartbeat_seconds),
        clock=utc_now,
        jitter=random.random,
    )


async def _handle(handler: Handler, ports: Ports, run: Run) -> None:
    await handler(run, ports)
