"""Composition of the scheduler process: the relay, the sweeper, and what is due. Any number of them is harmless."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial

import structlog

from domain.clock import utc_now
from domain.execution.ports import ObjectStore
from domain.execution.status.model import Process, ProcessKind
from domain.schedule import service as schedules
from integrations.valkey import ticks
from integrations.valkey.client import connect
from runtime.broker import open_broker
from runtime.database import PostgresDatabase
from runtime.object_store import open_store
from runtime.preflight import patiently
from runtime.process import answered, process_name
from runtime.settings import Settings
from runtime.signals import let_go, stop_on_signals
from tasks import due, relay, sweeper
from tasks.beat import Beat
from tasks.loops import Wake, background, keep_running, repeat
from tasks.sender import BrokerSender

_log = structlog.get_logger(__name__)

# Seconds in which what many workers tell comes together for one pass.
_RELAY_REST = 0.005


async def run(settings: Settings) -> None:
    """Relay, sweep and run what is due until a signal says stop."""
    stop = stop_on_signals()
    async with _database(settings) as database, _sender(settings) as sender, open_store(settings) as reports:
        await patiently(lambda: answered(partial(schedules.install_defaults, database)), settings.start_wait_seconds)
        async with background(*_loops(settings, database, sender, reports)):
            _log.info("scheduler_ready")
            await stop.wait()
    _log.info("scheduler_stopped")


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase.create(
        settings.required_database_url(),
        pool_size=6,  # one a loop
        application_name="palpite-scheduler",
        statement_timeout=settings.statement_timeout_seconds,
    )
    try:
        yield database
    finally:
        await let_go("connections to PostgreSQL", database.close)


@asynccontextmanager
async def _sender(settings: Settings) -> AsyncIterator[BrokerSender]:
    broker = open_broker(settings)
    async with connect(settings.required_redis_url()) as valkey:
        await broker.startup()
        try:
            yield BrokerSender(broker, partial(ticks.publish, valkey))
        finally:
            await let_go("the queue", broker.shutdown)


def _loops(
    settings: Settings, database: PostgresDatabase, sender: BrokerSender, reports: ObjectStore
) -> list[Awaitable[None]]:
    wake = Wake()
    sweep = partial(sweeper.sweep_once, database, reports, utc_now, resend_after=2 * settings.sweep_seconds)
    poll, pause = settings.relay_poll_seconds, settings.schedule_poll_seconds
    # It does not leave when it ends: since when nobody looks for due slots is what one wants to know then.
    beat = Beat(database, Process(process_name(), ProcessKind.SCHEDULER), every=settings.beat_seconds)
    return [
        keep_running("listen", partial(relay.listen, database.dedicated, wake)),
        repeat("relay", partial(relay.relay_once, database, sender), every=poll, wake=wake, rest=_RELAY_REST),
        repeat("members", partial(relay.raise_boards_once, database), every=poll),
        repeat("sweeper", sweep, every=settings.sweep_seconds),
        repeat("schedules", beat.after(partial(due.run_due_once, database)), every=pause),
        repeat("locks", partial(due.announce_locks_once, database), every=pause),
    ]
