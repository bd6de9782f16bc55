"""Owns which windows of one kind are watched, and notices which of them moved.

Ticks say where to look, some of them also which version is there; else the database says what moved. It is asked every
few seconds without a tick too, because a published tick may be lost.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any, Generic
from uuid import UUID

from live.feeds import D, Feed, K, N, S
from live.mailboxes import Mailbox
from live.topics import Pace, Topic

Tick = tuple[str, UUID, int | None]
"""What moved, perhaps to a version; see `domain.outbox.model.TickKind`."""

_log = logging.getLogger(__name__)
_AT_ONCE = 200
"""So many windows are compared by one statement: some milliseconds."""
_TURN = 25
"""So many begin to be read in one turn of the event loop."""


class Watch(Generic[K, S, N, D]):
    """The watched windows of one kind."""

    def __init__(self, feed: Feed[K, S, N, D], pace: Pace, limit: asyncio.Semaphore) -> None:
        self.topics: dict[K, Topic[K, S, N, D]] = {}
        self.heard_at = monotonic()
        self.closed = False
        self._feed = feed
        self._pace = pace
        self._limit = limit
        self._ticks: set[Tick] = set()
        self._ticked = asyncio.Event()
        self._away = False
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, key: K, mailbox: Mailbox[D]) -> Topic[K, S, N, D]:
        """Let a stream hear of a window from now on; the first one has it read."""
        topic = self.topics.get(key)
        if topic is None or topic.error is not None:
            if not self.topics:
                self.heard_at = monotonic()
            topic = self.topics[key] = Topic(key, self._feed, self._pace, self._limit, self._spawn)
        topic.mailboxes.add(mailbox)
        if topic.sent is None:
            topic.refresh()
        return topic

    def leave(self, topic: Topic[K, S, N, D], mailbox: Mailbox[D]) -> None:
        """The last stream takes the window with it."""
        topic.mailboxes.discard(mailbox)
        if not topic.mailboxes and self.topics.get(topic.key) is topic:
            del self.topics[topic.key]

    @property
    def is_reading(self) -> bool:
        """Whether something is being read for streams."""
        return bool(self._tasks)

    def tick(self, kind: str, entity_id: UUID, version: int | None = None) -> None:
        """Have the windows looked at that this may have moved, perhaps to a version."""
        if self.topics:
            self._ticks.add((kind, entity_id, version))
            self._ticked.set()

    def restore(self) -> None:
        """The source was away and is back."""
        self._spawn(self._restore(list(self.topics.values())))

    async def run(self) -> None:
        """Compare versions until cancelled."""
        poll_at = monotonic() + self._pace.poll
        while True:
            if await self._tick_before(poll_at):
                await self._compare(await self._take_ticks())
            if monotonic() >= poll_at:
                await self._compare(list(self.topics))
                await self._compare_epoch()
                poll_at = monotonic() + self._pace.poll

    async def stop(self) -> None:
        """End every stream in good order, and what is being read for them."""
        self.closed = True
        for topic in self.topics.values():
            for mailbox in topic.mailboxes:
                mailbox.end(None)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _restore(self, topics: Sequence[Topic[K, S, N, D]]) -> None:
        for number, topic in enumerate(topics, 1):
            topic.restore()
            if number % _TURN == 0:
                await asyncio.sleep(0)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tick_before(self, poll_at: float) -> bool:
        try:
            async with asyncio.timeout(max(poll_at - monotonic(), 0)):
                await self._ticked.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(self._pace.coalesce)
        return True

    async def _take_ticks(self) -> list[K]:
        """Refresh what is known to have moved; the answer is what only the database can tell about."""
        ticks, self._ticks = self._ticks, set()
        self._ticked.clear()
        unknown = []
        for number, topic in enumerate(list(self.topics.values()), 1):
            told = self._told(topic, ticks)
            if told is None:
                unknown.append(topic.key)
            elif topic.latest is not None and told > topic.latest.version:
                topic.refresh(told, is_told=True)
            if number % _TURN == 0:
                await asyncio.sleep(0)
        return unknown

    def _told(self, topic: Topic[K, S, N, D], ticks: set[Tick]) -> int | None:
        """The least version that a window has by what was told, 0 when that is nothing; None: the database is asked."""
        newest = 0
        for kind, entity_id, version in ticks:
            if self._feed.concerns(topic.key, kind, entity_id):
                if topic.latest is None or version is None:
                    return None
                told = self._feed.told(topic.latest, entity_id, version)
                if told is None:
                    return None
                newest = max(newest, told)
        return newest

    async def _compare(self, keys: list[K]) -> None:
        for begin in range(0, len(keys), _AT_ONCE):
            if not await self._compare_some(keys[begin : begin + _AT_ONCE]):
                return

    async def _compare_some(self, keys: list[K]) -> bool:
        """Whether the database has answered."""
        try:
            async with asyncio.timeout(self._pace.patience):
                versions = await self._feed.versions(keys)
        except Exception as error:  # noqa: BLE001 an edge: the database may be away, the streams stay
            _log.warning("live_comparison_failed", extra={"error": repr(error)})
            self._away = True
            return False
        self.heard_at = monotonic()
        if self._away:
            self._away = False
            self.restore()
        for number, key in enumerate(keys, 1):
            self._refresh_moved(key, versions.get(key))
            if number % _TURN == 0:
                await asyncio.sleep(0)
        return True

    async def _compare_epoch(self) -> None:
        """Have all read again whose versions are another installation's: they may be equal by chance."""
        if not self.topics or self._away:
            return
        try:
            async with asyncio.timeout(self._pace.patience):
                epoch = await self._feed.epoch()
        except Exception as error:  # noqa: BLE001 an edge, as above
            _log.warning("live_comparison_failed", extra={"error": repr(error)})
            return
        for topic in list(self.topics.values()):
            if topic.latest is not None and topic.latest.epoch != epoch:
                topic.refresh()

    def _refresh_moved(self, key: K, version: int | None) -> None:
        topic = self.topics.get(key)
        if topic is None:
            return
        known = topic.latest.version if topic.latest is not None else None
        if version is None or (known is not None and version < known):
            topic.refresh()  # gone, or restored from a backup: only a reading can tell
        elif version != known:
            topic.refresh(version)
