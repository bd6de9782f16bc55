"""Owns the life of one stream: what it begins with, what it sends next, and whether its client may still see it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from time import monotonic
from typing import Generic

from domain.errors import DomainError, Forbidden, NotFound, Unauthenticated
from live.events import Heartbeat, Resync, ResyncReason, StreamPosition
from live.feeds import D, K, N, S
from live.ports import Allowed
from live.topics import Mailbox, Pace, Topic
from live.watch import Watch

_log = logging.getLogger(__name__)


class Right:
    """The right of one client to one stream, asked again and again."""

    def __init__(self, allowed: Allowed, recheck_seconds: float) -> None:
        self._allowed = allowed
        self._recheck = recheck_seconds
        self.due_at = 0.0

    async def require(self) -> None:
        """Ask; a refusal is raised as the domain's error, and so is a failure to answer."""
        code = await self._allowed()
        self.due_at = monotonic() + self._recheck
        if code is not None:
            raise _refusal(code)

    async def confirm(self) -> bool:
        """Ask; a refusal is raised, False means that nobody can tell at the moment."""
        try:
            await self.require()
        except DomainError:
            raise
        except Exception as error:  # noqa: BLE001 an edge: the database may be away, which ends no stream
            _log.warning("live_right_unknown", extra={"error": repr(error)})
            self.due_at = monotonic() + 1.0
            return False
        return True


class Stream(Generic[K, S, N, D]):
    """One subscription to one window."""

    def __init__(
        self,
        watch: Watch[K, S, N, D],
        key: K,
        right: Right,
        pace: Pace,
        heartbeat: Callable[[str, int], Heartbeat],
    ) -> None:
        self._watch = watch
        self._key = key
        self._right = right
        self._pace = pace
        self._heartbeat = heartbeat
        self._mailbox: Mailbox[D] = Mailbox()
        self._epoch = ""
        self._version = 0

    async def events(self, after: StreamPosition | None) -> AsyncGenerator[N | D | Resync | Heartbeat, None]:
        """The events, until the hub stops, the right is lost, or the window is gone."""
        await self._right.require()
        if self._watch.closed:
            return
        topic = self._watch.join(self._key, self._mailbox)
        try:
            first = await self._first(topic, after)
            if topic.feed.is_private(topic.key):
                await self._right.require()  # the state was read after the first answer
            for event in first:
                yield event
            while events := await self._next(topic):
                for event in events:
                    yield event
        finally:
            self._watch.leave(topic, self._mailbox)

    async def _first(self, topic: Topic[K, S, N, D], after: StreamPosition | None) -> list[N | D | Resync | Heartbeat]:
        sent, latest = await topic.known(after.epoch if after else None, after.version if after else 0)
        self._mailbox.clear()
        if after is None:
            return [self._show(topic, sent)]
        if after.epoch != sent.epoch:
            return self._anew(topic, sent, ResyncReason.UNKNOWN_EPOCH)
        if after.version in (sent.version, latest.version):
            self._epoch, self._version = after.epoch, after.version
            return [self._heartbeat(after.epoch, after.version)]
        self._version = after.version
        return self._anew(topic, self._not_older(sent, latest), ResyncReason.TOO_OLD)

    def _not_older(self, sent: S, latest: S) -> S:
        """A client never goes back: one that is ahead of what was sent gets the newest reading, equal in content."""
        return sent if sent.version >= self._version else latest

    def _show(self, topic: Topic[K, S, N, D], state: S) -> N:
        self._epoch, self._version = state.epoch, state.version
        return topic.snapshot_of(state)

    def _anew(self, topic: Topic[K, S, N, D], state: S, reason: ResyncReason) -> list[N | D | Resync | Heartbeat]:
        return [Resync(state.epoch, state.version, reason), self._show(topic, state)]

    async def _next(self, topic: Topic[K, S, N, D]) -> list[N | D | Resync | Heartbeat]:
        """The next events; none when the stream is over."""
        heartbeat_at = monotonic() + self._pace.heartbeat
        while not self._mailbox.closed:
            await self._wait(min(heartbeat_at, self._right.due_at))
            if self._mailbox.wake.is_set() and not self._mailbox.closed:
                if events := await self._frame(topic):
                    return events
            elif monotonic() >= self._right.due_at:
                await self._right.confirm()
            if monotonic() >= heartbeat_at:
                return [self._heartbeat(self._epoch, self._version)]
        if self._mailbox.error is not None:
            raise self._mailbox.error
        return []

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(until - monotonic(), 0)):
                await self._mailbox.wake.wait()
        except TimeoutError:
            return

    async def _frame(self, topic: Topic[K, S, N, D]) -> list[N | D | Resync | Heartbeat]:
        """What the mailbox holds, if the client may see it. No frame is newer than its check."""
        events = self._take(topic)
        if not events:
            return []
        must_ask = topic.feed.is_private(topic.key) or monotonic() >= self._right.due_at
        if must_ask and not await self._right.confirm() and topic.feed.is_private(topic.key):
            # Nobody can tell whether it may be seen: it is left out and made good later.
            self._mailbox.owe(ResyncReason.SOURCE_RESTORED)
            await asyncio.sleep(min(1.0, self._pace.recheck))
            return []
        return events

    def _take(self, topic: Topic[K, S, N, D]) -> list[N | D | Resync | Heartbeat]:
        mailbox = self._mailbox
        delta, owed = mailbox.delta, mailbox.owed
        mailbox.clear()
        if owed is not None and topic.sent is not None and topic.latest is not None:
            return self._anew(topic, self._not_older(topic.sent, topic.latest), owed)
        if delta is None:
            return []
        if delta.from_version != self._version:
            delta = topic.feed.rebased(delta, self._version)
        self._version = delta.version
        return [delta]


def _refusal(code: str) -> DomainError:
    if code == Unauthenticated.code:
        return Unauthenticated("Sign in again.")
    if code == NotFound.code:
        return NotFound("It does not exist, or you may not see it.")
    return Forbidden("You may no longer see this.")
