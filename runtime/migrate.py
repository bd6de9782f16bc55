"""Owns running the migrations: one at a time over all processes, by an advisory lock."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from runtime.database_url import parse_database_url
from runtime.revision import migrations_folder

_LOCK_KEY = 0x70616C70  # "palp"
# A migration may wait this long for a table that others use, then fails instead of blocking them all.
_TABLE_LOCK_TIMEOUT = "10s"


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring a database up to a revision; a second process waits and then finds nothing to do."""
    await _run(url, lambda config: command.upgrade(config, revision))


async def downgrade(url: str, revision: str) -> None:
    """Take a database back to a revision; `base` empties it."""
    await _run(url, lambda config: command.downgrade(config, revision))


def alembic_config() -> Config:
    """Alembic's settings without an ini file."""
    config = Config()
    # Alembic interpolates its options, and "%" may be in a path.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


async def _run(url: str, action: Callable[[Config], None]) -> None:
    address = parse_database_url(url)
    settings = {"application_name": "palpite-migrate", "timezone": "UTC", "lock_timeout": _TABLE_LOCK_TIMEOUT}
    engine = create_async_engine(
        address.url, poolclass=NullPool, connect_args={**address.connect_args, "server_settings": settings}
    )
    try:
        async with _alone(engine), engine.connect() as connection:
            await connection.run_sync(_with_connection, action)
            await connection.commit()
    finally:
        await engine.dispose()


def _with_connection(connection: Connection, action: Callable[[Config], Any]) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    action(config)


@asynccontextmanager
async def _alone(engine: AsyncEngine) -> AsyncIterator[None]:
    """Hold the lock on a connection of its own, so that migrations stay free to commit."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("SET lock_timeout = 0"))
        await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
        yield
