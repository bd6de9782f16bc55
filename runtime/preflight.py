"""Owns the question whether the servers of a process answer and are new enough, in words for a person."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from integrations.valkey.client import AWAY, connect
from runtime.database_url import parse_database_url
from runtime.errors import SetupError
from runtime.settings import Settings

_OLDEST_POSTGRES = 15
_OLDEST_REDIS = 7  # Valkey says 7.2 here, whatever its own version is


async def require_servers(settings: Settings, *, timeout: float = 5.0) -> None:
    """Connect once to both servers; `timeout` in seconds for each.

    Raises:
        SetupError: one does not answer, refuses us, or is too old.
    """
    await require_postgres(settings.required_database_url(), timeout=timeout)
    await require_valkey(settings.required_redis_url(), timeout=timeout)


async def patiently(requirement: Callable[[], Awaitable[None]], seconds: float, *, pause: float = 0.05) -> None:
    """Ask again for so long while a requirement is not met; 0 asks once.

    Raises:
        SetupError: what was missing at the last time.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while True:
        try:
            return await requirement()
        except SetupError:
            if clock() >= deadline:
                raise
        await asyncio.sleep(pause)


async def require_postgres(url: str, *, timeout: float = 5.0) -> None:
    """Connect once to PostgreSQL."""
    address = parse_database_url(url)
    try:
        connection = await asyncpg.connect(**{"timeout": timeout, **address.raw_arguments()})
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
        shown = address.url.set(drivername="postgresql").render_as_string(hide_password=True)
        raise SetupError(
            f"PostgreSQL at {shown} cannot be used ({_reason(problem)}): start it, or correct DATABASE_URL."
        ) from problem
    found = connection.get_server_version().major
    connection.terminate()
    if found < _OLDEST_POSTGRES:
        raise SetupError(f"PostgreSQL {found} is too old: Palpite needs {_OLDEST_POSTGRES} or newer.")


async def require_valkey(url: str, *, timeout: float = 5.0) -> None:
    """Connect once to Valkey or Redis."""
    try:
        client = connect(url, timeout=timeout)
    except (ValueError, TypeError) as problem:
        raise SetupError("REDIS_URL cannot be read; write it as redis://user:password@host:6379/0.") from problem
    try:
        found: dict[str, Any] = await client.info("server")
    except AWAY as problem:
        raise SetupError(
            f"Valkey (REDIS_URL) cannot be used ({_reason(problem)}): start it, or correct REDIS_URL."
        ) from problem
    finally:
        await client.aclose()
    version = str(found.get("redis_version", "0"))
    if int(version.split(".", 1)[0]) < _OLDEST_REDIS:
        raise SetupError(f"Redis {version} is too old: Palpite needs Redis {_OLDEST_REDIS} or Valkey 8.")


def _reason(problem: Exception) -> str:
    """The first line; the address that a library puts into it holds no password."""
    return (str(problem) or type(problem).__name__).splitlines()[0]
