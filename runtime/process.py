"""Owns what API, worker and scheduler processes have in common before their own work starts."""

import asyncio
import gc
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from importlib import import_module

from runtime.database import PostgresDatabase
from runtime.descriptors import allow_as_many_as_may_be
from runtime.embedded.servers import servers_of_running_palpite
from runtime.errors import SetupError
from runtime.logging import configure_logging
from runtime.outage import is_outage
from runtime.preflight import patiently, require_servers
from runtime.revision import require_head
from runtime.sentry import reporting
from runtime.settings import Settings, load_settings
from runtime.signals import let_go

_ANSWER_SECONDS = 10.0


def run_process(component: str, place: str, settings: Settings | None = None) -> None:
    """Load `module:function`, wait for servers and migrations, and run it with the settings until it ends."""
    found = servers_of_running_palpite(settings or load_settings())
    configure_logging(found, component)
    allow_as_many_as_may_be()
    module, _, name = place.partition(":")
    # Loaded before the database is asked: with `palpite up` the migrations run meanwhile.
    gc.disable()  # what is loaded stays: to look through it while it grows takes a tenth of a start
    work: Callable[[Settings], Awaitable[None]] = getattr(import_module(module), name)
    gc.freeze()
    gc.enable()
    with reporting(found, component):
        _runner()(_prepared(found, work))


def process_name() -> str:
    """A name that no other process has or will have, for leases and signs of life."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


async def _prepared(settings: Settings, work: Callable[[Settings], Awaitable[None]]) -> None:
    await patiently(lambda: require_servers(settings), settings.start_wait_seconds)
    await require_migrations(settings.required_database_url(), settings.start_wait_seconds)
    await work(settings)


async def require_migrations(url: str, wait: float = 0) -> None:
    """Give the migrations that somebody else runs this many seconds, and a database that goes away as many.

    Raises:
        SetupError: the database is still at another revision, or away.
    """
    database = PostgresDatabase.create(url, pool_size=2, application_name="palpite-start")
    try:
        await patiently(lambda: answered(lambda: require_head(database)), wait)
    finally:
        await let_go("connections to PostgreSQL", database.close)


async def answered(ask: Callable[[], Awaitable[None]]) -> None:
    """Have PostgreSQL answer what a process asks before it begins.

    Raises:
        SetupError: it goes away meanwhile, or is silent.
    """
    asking = asyncio.ensure_future(ask())
    await asyncio.wait([asking], timeout=_ANSWER_SECONDS)
    if not asking.done():
        asking.cancel()  # and not waited for: the driver would wait for the server
        raise SetupError("PostgreSQL does not answer: see whether it runs, and try again.")
    problem = asking.exception()
    if problem is not None and is_outage(problem):
        raise SetupError(
            f"PostgreSQL went away ({type(problem).__name__}): see whether it runs, and try again."
        ) from problem
    asking.result()


def _runner() -> Callable[[Awaitable[None]], None]:
    try:
        import uvloop  # noqa: PLC0415 -- not on every system
    except ImportError:  # Windows
        return asyncio.run  # type: ignore[return-value]
    return uvloop.run  # type: ignore[return-value]
