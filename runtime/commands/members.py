"""`palpite members promote`."""

import asyncio

from rich.console import Console

from domain.member.service import promote as make_admin
from runtime.database import PostgresDatabase
from runtime.embedded.servers import servers_for_command
from runtime.errors import SetupError
from runtime.preflight import require_postgres
from runtime.process import require_migrations
from runtime.settings import load_settings


def promote(email: str, /) -> None:
    """Make the member with this e-mail address a platform admin.

    Example: `palpite members promote ana@example.org`

    Parameters
    ----------
    email
        The address that the member signed up with.
    """
    with servers_for_command(load_settings(), with_valkey=False) as settings:
        asyncio.run(_promote(settings.required_database_url(), email))
    Console().print(f"{email} is an administrator now.", highlight=False)


async def _promote(url: str, email: str) -> None:
    await require_postgres(url)
    await require_migrations(url)
    database = PostgresDatabase.create(url, pool_size=2, application_name="palpite-members")
    try:
        if await make_admin(database, email) is None:
            raise SetupError(f"No member has the address {email}: it is the one that was given at sign-up.")
    finally:
        await database.close()
