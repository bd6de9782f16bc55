"""`palpite db upgrade` and `palpite db status`."""

import asyncio

from rich.console import Console

from runtime.database import PostgresDatabase
from runtime.embedded.servers import servers_for_command
from runtime.preflight import patiently, require_postgres
from runtime.revision import current_revision, head_revision
from runtime.settings import load_settings


def upgrade() -> None:
    """Bring the database to the newest revision; several at once wait for each other."""
    with servers_for_command(load_settings(), with_valkey=False) as settings:
        asyncio.run(_upgrade(settings.required_database_url(), settings.start_wait_seconds))


def status() -> int:
    """Say at which revision the database is; exit code 1 when it is not the newest."""
    with servers_for_command(load_settings(), with_valkey=False) as settings:
        current = asyncio.run(_current(settings.required_database_url()))
    head = head_revision()
    Console().print(f"database {current or 'empty'}, newest {head or 'none'}")
    return 0 if current == head else 1


async def _upgrade(url: str, wait: float) -> None:
    await patiently(lambda: require_postgres(url), wait)
    if await _current(url) == head_revision():  # saves loading alembic at every start
        return
    from runtime.migrate import upgrade as migrate

    await migrate(url)


async def _current(url: str) -> str | None:
    await require_postgres(url)
    database = PostgresDatabase.create(url, pool_size=2, application_name="palpite-db")
    try:
        return await current_revision(database)
    finally:
        await database.close()
