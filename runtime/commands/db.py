"""`palpite db upgrade`, `status` and `new-epoch`."""

import asyncio

from rich.console import Console

from domain.audit.rules import checked_reason
from domain.installation.service import begin_epoch
from runtime.database import PostgresDatabase
from runtime.embedded.servers import servers_for_command
from runtime.operator import request_id, say, with_database
from runtime.preflight import patiently, require_postgres
from runtime.revision import current_revision, head_revision
from runtime.settings import load_settings


def upgrade() -> None:
    """Bring the database to the newest revision.

    Several at once wait for each other; where nothing is to do, nothing is done.

    Example: `palpite db upgrade`
    """
    with servers_for_command(load_settings(), with_valkey=False, creates=True) as settings:
        asyncio.run(_upgrade(settings.required_database_url(), settings.start_wait_seconds))


def status() -> int:
    """Show the revision of the database; exit code 1 when it is behind.

    Example: `palpite db status || palpite db upgrade`
    """
    with servers_for_command(load_settings(), with_valkey=False) as settings:
        current = asyncio.run(_current(settings.required_database_url()))
    head = head_revision()
    Console().print(f"database {current or 'empty'}, newest {head or 'none'}")
    return 0 if current == head else 1


def new_epoch(*, reason: str) -> None:
    """Rewrite all boards and restart all streams, as after a restore.

    A restore is usually detected without it. Every client begins again with a snapshot.

    Example: `palpite db new-epoch --reason "restored last night's backup"`

    Parameters
    ----------
    reason
        Why, for the audit log; 3 to 500 characters.
    """
    with_database(lambda database: begin_epoch(database, reason=checked_reason(reason), request_id=request_id()))
    say("A new epoch has begun.")


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
