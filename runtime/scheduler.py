"""Composition of the scheduler process: it relays the outbox, starts what is due, and brings lost work back."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import structlog

from domain.clock import utc_now
from domain.schedule.service import install_defaults
from integrations.object_store.folder import FolderStore
from integrations.valkey.client import connect
from integrations.valkey.ticks import publish
from runtime.database import PostgresDatabase
from runtime.settings import Settings
from runtime.signals import stop_on_signals
from tasks.broker import create_broker
from tasks.due import announce_locks_once, run_due_once
from tasks.loops import Wake, keep_running, repeat
from tasks.relay import listen, raise_boards_once, relay_once
from tasks.sender import BrokerSender
from tasks.sweeper import sweep_once

_log = structlog.get_logger(__name__)
_POOL_SIZE = 5
_LOCKS_SECONDS = 1.0
# An execution that is due and that no worker took up for this long is sent again.
_RESEND_SECONDS = 5.0


async def run(settings: Settings) -> None:
    """Run the loops until a signal says stop. Any number of schedulers does no harm."""
    database = PostgresDatabase.create(
        settings.required_database_url(),
        pool_size=_POOL_SIZE,
        application_name="palpite-scheduler",
        statement_timeout=settings.statement_timeout_seconds,
    )
    valkey = connect(settings.required_redis_url())
    broker = create_broker(settings.required_redis_url())
    await broker.startup()
    await install_defaults(database)
    stop = stop_on_signals()
    sender = BrokerSender(broker, partial(publish, valkey))
    loops = [asyncio.create_task(loop) for loop in _loops(settings, database, sender)]
    _log.info("scheduler_ready")
    try:
        await stop.wait()
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await broker.shutdown()
        await valkey.aclose()
        await database.close()
        _log.info("scheduler_stopped")


def _loops(settings: Settings, database: PostgresDatabase, sender: BrokerSender) -> list[Coroutine[Any, Any, None]]:
    wake = Wake()
    reports = FolderStore(settings.data / "files")
    sweep = partial(sweep_once, database, reports, utc_now, resend_after=_RESEND_SECONDS)
    poll = settings.relay_poll_seconds
    return [
        keep_running("listen", partial(listen, database.dedicated, wake)),
        repeat("relay", partial(relay_once, database, sender), every=poll, wake=wake),
        repeat("members", partial(raise_boards_once, database), every=poll),
        repeat("sweep", sweep, every=settings.sweep_seconds),
        repeat("schedules", partial(run_due_once, database), every=settings.schedule_poll_seconds),
        repeat("locks", partial(announce_locks_once, database), every=_LOCKS_SECONDS),
    ]
