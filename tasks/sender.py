"""Where the relay sends to: jobs to the queue, ticks to whoever publishes them."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from taskiq import AsyncBroker

from domain.outbox.model import Tick
from tasks.broker import send


@dataclass(frozen=True, slots=True)
class BrokerSender:
    """Implements `tasks.relay.Sender`."""

    broker: AsyncBroker
    publish: Callable[[Collection[Tick]], Awaitable[None]]

    async def jobs(self, jobs: Sequence[dict[str, Any]]) -> None:
        await send(self.broker, jobs)

    async def ticks(self, ticks: Collection[Tick]) -> None:
        await self.publish(ticks)
