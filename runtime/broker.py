"""Owns which queue a process uses."""

import asyncio
from collections.abc import Callable

from taskiq import AsyncBroker

from runtime.extras import extra
from runtime.settings import Settings
from tasks.broker import create_broker


def open_broker(
    settings: Settings,
    *,
    fetch: int = 10,
    on_new_queue: Callable[[], None] | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncBroker:
    """The broker of the settings; see `tasks.broker.create_broker`.

    Raises:
        SetupError: its libraries are not installed.
    """
    with extra("nats", asked_by="PALPITE_BROKER_URL"):
        return create_broker(settings.required_broker_url(), fetch=fetch, on_new_queue=on_new_queue, stop=stop)
