"""`palpite check`."""

import asyncio

from rich.console import Console

from runtime.embedded.servers import servers_of_running_palpite
from runtime.preflight import require_servers
from runtime.settings import load_settings


def check() -> None:
    """Check that PostgreSQL and Valkey answer and are new enough.

    They are those of DATABASE_URL and REDIS_URL, or of the Palpite that runs on the data folder. Exit code 2: not so;
    the line says why.

    Example: `palpite check`
    """
    settings = servers_of_running_palpite(load_settings())
    asyncio.run(require_servers(settings))
    Console().print("PostgreSQL and Valkey can be used.", highlight=False)
