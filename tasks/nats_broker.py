"""The queue on a JetStream of NATS: a work queue on disk, which any number of workers pull from.

What taskiq's own broker lacks is here: it starts while the server is away, makes the stream anew when it has vanished,
and on shutdown gives back what it had fetched.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig
from nats.js.errors import NoStreamResponseError, NotFoundError
from taskiq import AckableMessage, AsyncBroker
from taskiq.message import BrokerMessage
from taskiq_nats import PullBasedJetStreamBroker

_STREAM = "palpite"
_SUBJECT = "palpite.jobs"
_WORKERS = "workers"
# Far more than ever waits; what is pushed out is sent again by the sweeper.
_LONGEST_QUEUE = 200_000
# What a killed worker had fetched is delivered once more after this time (the sweeper may be quicker).
_ACK_SECONDS = 30.0
_FETCH_SECONDS = 2.0
_ANSWER_SECONDS = 3.0
_RETRY_SECONDS = 0.5
_PROBLEMS = (NatsError, OSError, TimeoutError)

_log = structlog.get_logger(__name__)


class NatsBroker(PullBasedJetStreamBroker):
    """See the module. Several servers of one cluster are given with commas between their addresses."""

    def __init__(self, url: str, *, fetch: int, on_new_queue: Callable[[], None] | None, stop: asyncio.Event) -> None:
        super().__init__(
            url.split(","),
            subject=_SUBJECT,
            stream_name=_STREAM,
            durable=_WORKERS,
            stream_config=StreamConfig(
                retention=RetentionPolicy.WORK_QUEUE, max_msgs=_LONGEST_QUEUE, discard=DiscardPolicy.OLD
            ),
            consumer_config=ConsumerConfig(
                durable_name=_WORKERS, ack_policy=AckPolicy.EXPLICIT, ack_wait=_ACK_SECONDS, filter_subject=_SUBJECT
            ),
            pull_consume_batch=fetch,
            pull_consume_timeout=_FETCH_SECONDS,
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RETRY_SECONDS,
            ping_interval=15,
            error_cb=_note,
        )
        self._on_new_queue = on_new_queue
        self._stop = stop
        self._connecting = asyncio.Lock()
        self._was_used = False
        self._is_joined = False
        self._is_sure = False
        self._held: dict[str, Msg] = {}

    async def startup(self) -> None:
        """Connecting is left to the first use, which can wait for a server that is away."""
        await AsyncBroker.startup(self)

    async def shutdown(self) -> None:
        try:
            async with asyncio.timeout(2):
                await self._hand_back()
        except _PROBLEMS as error:
            _log.info("jobs_not_handed_back", error=repr(error))
        if self._was_used:  # the client refuses to be closed before
            await self.client.close()
        await AsyncBroker.shutdown(self)

    async def kick(self, message: BrokerMessage) -> None:
        await self._connect()
        try:
            await self._publish(message)
        except NoStreamResponseError:
            await self._make_stream()
            await self._publish(message)

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Messages until told to stop; while the server is away it waits, and makes a queue that has vanished anew."""
        while not self._stop.is_set():
            found = await self._fetch()
            self._held |= {message.reply: message for message in found}
            for message in found:
                yield AckableMessage(data=message.data, ack=self._ack_of(message))

    async def _fetch(self) -> list[Msg]:
        try:
            await self._connect()
            if not self._is_sure:
                await self._join()
            found = await self._taken()
        except _PROBLEMS as error:
            self._is_sure = False
            await _note(error)
            await asyncio.sleep(_RETRY_SECONDS)
            return []
        self._is_sure = bool(found)  # nothing came: is there still something to come from?
        return found

    async def _taken(self) -> list[Msg]:
        try:
            return await self.consumer.fetch(self.pull_consume_batch, self.pull_consume_timeout)
        except NatsTimeoutError:
            return []

    async def _connect(self) -> None:
        """Once it is connected, the client connects again by itself; only a server that refuses us ends that."""
        async with self._connecting:
            if not self.client.is_connected and not self.client.is_reconnecting:
                self._was_used = True
                await self.client.connect(self.servers, **self.connection_kwargs)
                self.js = self.client.jetstream(timeout=_ANSWER_SECONDS)
                self._is_joined = self._is_sure = False

    async def _join(self) -> None:
        """Make stream and consumer where they are missing. What a queue held that has vanished must be sent again."""
        try:
            await self.js.consumer_info(_STREAM, _WORKERS)
        except NotFoundError:
            is_lost = self._is_joined or await self._has_no_stream()
            await self._make_stream()
            await self.js.add_consumer(_STREAM, self.consumer_config)
            if is_lost and self._on_new_queue is not None:
                self._on_new_queue()
        if not self._is_joined:
            self.consumer = await self.js.pull_subscribe_bind(_WORKERS, _STREAM)
            self._is_joined = True

    async def _has_no_stream(self) -> bool:
        try:
            await self.js.stream_info(_STREAM)
        except NotFoundError:
            return True
        return False

    async def _make_stream(self) -> None:
        self.stream_config.name, self.stream_config.subjects = _STREAM, [_SUBJECT]
        await self._add_or_reuse_stream()

    async def _publish(self, message: BrokerMessage) -> None:
        await self.js.publish(self.subject, payload=message.message, timeout=_ANSWER_SECONDS)

    def _ack_of(self, message: Msg) -> Callable[[], Awaitable[None]]:
        async def ack() -> None:
            self._held.pop(message.reply, None)
            try:
                await message.ack()
            except _PROBLEMS as error:  # the worst that follows is a second delivery, which finds nothing to claim
                _log.warning("job_not_acknowledged", error=repr(error))

        return ack

    async def _hand_back(self) -> None:
        """What was fetched and not begun goes to another worker at once."""
        if self.client.is_connected:
            for message in self._held.values():
                await message.nak()
            await self.client.flush()


async def _note(error: Exception) -> None:
    _log.warning("queue_unreachable", error=repr(error))
