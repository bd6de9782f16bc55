"""`palpite check`."""

import asyncio

from rich.console import Console

from runtime.embedded.servers import servers_of_running_palpite
from runtime.preflight import require_servers
from runtime.settings import load_settings


def check() -> None:
    """Connect once to PostgreSQL and Valkey and compare their versions with what Palpite needs."""
    settings = servers_of_running_palpite(load_settings())
    asyncio.run(require_servers(settings))
    Console().print("PostgreSQL and Valkey can be used.", highlight=False)
