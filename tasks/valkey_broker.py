"""The queue on a stream of Valkey.

What taskiq's own stream broker lacks is here: a group that begins with the oldest message, a listener that outlives
lost connections and a flushed server, a stream that holds only what waits, and nothing left behind on shutdown.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError, ResponseError
from taskiq import AckableMessage
from taskiq.message import BrokerMessage
from taskiq_redis import RedisStreamBroker

_QUEUE = "palpite:jobs"
_GROUP = "workers"
# Far more than ever waits; what is trimmed away is sent again by the sweeper.
_LONGEST_QUEUE = 200_000
_BLOCK_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_DEAD_CONSUMER_SECONDS = 300.0
_RETRIES = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), 3)

_log = structlog.get_logger(__name__)


class StreamBroker(RedisStreamBroker):
    """See the module. Messages are acknowledged by removing them, so the stream's length is the queue's."""

    def __init__(self, url: str, *, fetch: int, on_new_queue: Callable[[], None] | None, stop: asyncio.Event) -> None:
        super().__init__(
            url,
            queue_name=_QUEUE,
            consumer_group_name=_GROUP,
            consumer_id="0",
            maxlen=_LONGEST_QUEUE,
            xread_block=round(_BLOCK_SECONDS * 1000),
            xread_count=fetch,
            retry=_RETRIES,
            socket_timeout=_BLOCK_SECONDS + 3,
            socket_connect_timeout=3,
            health_check_interval=15,
        )
        self._on_new_queue = on_new_queue
        self._stop = stop

    async def startup(self) -> None:
        await super(RedisStreamBroker, self).startup()
        if self.is_worker_process:
            await self._make_group()

    async def shutdown(self) -> None:
        if self.is_worker_process:
            try:
                async with asyncio.timeout(2):
                    await self._hand_back()
            except (RedisError, TimeoutError) as error:
                _log.info("jobs_not_handed_back", error=repr(error))
        await super().shutdown()

    async def kick_many(self, messages: Sequence[BrokerMessage]) -> None:
        async with Redis(connection_pool=self.connection_pool) as client:
            pipeline = client.pipeline(transaction=False)
            for message in messages:
                pipeline.xadd(self.queue_name, {b"data": message.message}, maxlen=self.maxlen, approximate=True)
            await pipeline.execute()

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Messages until told to stop; while the server is away it waits, and a queue that has vanished is made anew.

        The receiver cancels it only once, and Python 3.11 may swallow that: hence the look at the event.
        """
        while not self._stop.is_set():
            for message_id, fields in await self._fetch():
                if b"data" not in fields:
                    _log.warning("job_without_data", entry=message_id.decode())
                    await self._remove(message_id)
                    continue
                yield AckableMessage(data=fields[b"data"], ack=self._ack_of(message_id))

    async def _fetch(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        try:
            async with Redis(connection_pool=self.connection_pool) as client:
                found: Any = await client.xreadgroup(
                    _GROUP, self.consumer_name, {self.queue_name: ">"}, count=self.count, block=self.block
                )
            return _entries(found)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            _log.warning("queue_vanished")
            await self._make_group()
            self._tell_that_it_is_new()
        except RedisError as error:
            _log.warning("queue_unreachable", error=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)
        return []

    async def _make_group(self) -> None:
        """Begin with the oldest message. On a server that has just come up empty, what waits must be sent again."""
        try:
            if await self._create_group():
                self._tell_that_it_is_new()
        except RedisError as error:
            _log.warning("queue_unreachable", error=repr(error))

    async def _create_group(self) -> bool:
        """Whether the queue is new with it."""
        async with Redis(connection_pool=self.connection_pool) as client:
            is_new = not await client.exists(self.queue_name)
            try:
                await client.xgroup_create(self.queue_name, _GROUP, id="0", mkstream=True)
            except ResponseError:  # BUSYGROUP: it is there
                await self._forget_dead_consumers()
                return False
        return is_new

    def _tell_that_it_is_new(self) -> None:
        if self._on_new_queue is not None:
            self._on_new_queue()

    def _ack_of(self, message_id: bytes) -> Callable[[], Awaitable[None]]:
        async def ack() -> None:
            await self._remove(message_id)

        return ack

    async def _remove(self, message_id: bytes) -> None:
        try:
            async with Redis(connection_pool=self.connection_pool) as client:
                pipeline = client.pipeline(transaction=False)
                pipeline.xack(self.queue_name, _GROUP, message_id)
                pipeline.xdel(self.queue_name, message_id)
                await pipeline.execute()
        except RedisError as error:  # the worst that follows is a second delivery, which finds nothing to claim
            _log.warning("job_not_acknowledged", error=repr(error))

    async def _hand_back(self) -> None:
        """Queue what was fetched and not begun once more, and leave the group."""
        async with Redis(connection_pool=self.connection_pool) as client:
            found: Any = await client.xreadgroup(_GROUP, self.consumer_name, {self.queue_name: "0"})
            await self._queue_again(client, _entries(found))
            await client.xgroup_delconsumer(self.queue_name, _GROUP, self.consumer_name)

    async def _forget_dead_consumers(self) -> None:
        """Workers that were killed: queue what they had fetched once more (the sweeper may have been quicker)."""
        idle = round(_DEAD_CONSUMER_SECONDS * 1000)
        async with Redis(connection_pool=self.connection_pool) as client:
            claimed = await client.xautoclaim(self.queue_name, _GROUP, self.consumer_name, idle, count=1000)
            await self._queue_again(client, [entry for entry in claimed[1] if entry[1]])
            for consumer in await client.xinfo_consumers(self.queue_name, _GROUP):
                if consumer["idle"] > idle and not consumer["pending"]:
                    await client.xgroup_delconsumer(self.queue_name, _GROUP, consumer["name"])

    async def _queue_again(self, client: "Redis", entries: Sequence[tuple[bytes, Any]]) -> None:
        for message_id, fields in entries:
            await client.xadd(self.queue_name, fields)
            await self._remove(message_id)


def _entries(found: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of our one stream, in the answer's forms of both protocol versions."""
    if not found:
        return []
    streams = found.values() if isinstance(found, dict) else [entries for _, entries in found]
    flat = [entry for entries in streams for entry in entries]
    return [entry for entries in flat for entry in (entries if isinstance(entries, list) else [entries])]
