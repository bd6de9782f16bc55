"""The queue: a taskiq broker, chosen by its URL. It only delivers; what is done, lost or due the database knows.

What a broker must do is little, see docs/brokers.md: keep what is sent until a worker takes it, give it to one of them,
outlive lost connections, and say when what it held is gone. That it may deliver twice, late or not at all is provided
for: a claim in the database decides who works, and the sweeper sends again what nobody took up.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from taskiq import AsyncBroker
from taskiq.message import BrokerMessage, TaskiqMessage

from tasks.valkey_broker import StreamBroker

TASK = "run_execution"
"""The one task. Never rename it: messages under the old name would find no worker."""

VALKEY = ("redis", "rediss", "unix")
NATS = ("nats", "tls")


def create_broker(
    url: str,
    *,
    fetch: int = 10,
    on_new_queue: Callable[[], None] | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncBroker:
    """The broker of a URL. `fetch` is how many messages a worker takes at once.

    `on_new_queue` is called when the queue had to be made anew: what it held is gone. Once `stop` is set, no more
    messages are taken.

    Raises:
        ModuleNotFoundError: the libraries of this broker are not installed.
        ValueError: no broker has such a URL.
    """
    scheme = url.partition("://")[0]
    stop = stop or asyncio.Event()
    if scheme in VALKEY:
        return StreamBroker(url, fetch=fetch, on_new_queue=on_new_queue, stop=stop)
    if scheme in NATS:
        from tasks.nats_broker import NatsBroker  # noqa: PLC0415 -- its libraries are an extra

        return NatsBroker(url, fetch=fetch, on_new_queue=on_new_queue, stop=stop)
    raise ValueError(f"no broker has URLs that begin with {scheme}://")


async def send(broker: AsyncBroker, jobs: Sequence[dict[str, Any]]) -> None:
    """Put job messages into the queue, in few round trips where the broker can. Raises when one may not be there."""
    messages = [_to_broker_message(broker, job) for job in jobs]
    if isinstance(broker, StreamBroker):
        await broker.kick_many(messages)
    else:
        await asyncio.gather(*(broker.kick(message) for message in messages))


def _to_broker_message(broker: AsyncBroker, job: dict[str, Any]) -> BrokerMessage:
    message = TaskiqMessage(task_id=job["jobId"], task_name=TASK, labels={}, args=[job], kwargs={})
    return broker.formatter.dumps(message)
