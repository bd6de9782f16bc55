"""Owns what the streams of one window share: its state, one reading at a time, and the slot of each stream."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic

from domain.errors import DomainError, NotFound, Unavailable
from live.events import ResyncReason
from live.feeds import D, Feed, K, N, S

Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a task that its owner ends."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the hub works; all in seconds but `loads`."""

    poll: float = 2.0
    """Between two comparisons with the database."""
    coalesce: float = 0.1
    """How long ticks are gathered before they are looked at."""
    heartbeat: float = 15.0
    recheck: float = 5.0
    """At most so long a stream goes on without asking whether its client may still see it."""
    start: float = 5.0
    """How long a new stream waits for its first state before it is refused."""
    patience: float = 10.0
    """How long one reading of the database may take."""
    retry: float = 2.0
    """Longest pause before a failed reading is tried again."""
    loads: int = 4
    """Readings at the same time, so that streams leave connections to requests."""


class Mailbox(Generic[D]):
    """One slot of one stream: the next delta, or why a snapshot is owed instead. It never grows."""

    def __init__(self) -> None:
        self.delta: D | None = None
        self.owed: ResyncReason | None = None
        self.error: DomainError | None = None
        self.closed = False
        self.wake = asyncio.Event()

    def put(self, delta: D) -> None:
        """Offer a delta; a stream that has not taken the one before gets a snapshot in place of both."""
        if self.delta is not None:
            self.owe(ResyncReason.SLOW_CLIENT)
        elif self.owed is None:
            self.delta = delta
            self.wake.set()

    def owe(self, reason: ResyncReason) -> None:
        """Have the stream begin anew."""
        self.delta = None
        self.owed = reason
        self.wake.set()

    def clear(self) -> None:
        """Forget what the stream has been given by other means."""
        self.delta = None
        self.owed = None
        self.wake.clear()

    def end(self, error: DomainError | None) -> None:
        """End the stream, with an error or in good order."""
        self.error = error
        self.closed = True
        self.wake.set()


class Topic(Generic[K, S, N, D]):
    """A watched window. `sent` is what its streams were told, `latest` is the newest reading, equal to it."""

    def __init__(self, key: K, feed: Feed[K, S, N, D], pace: Pace, limit: asyncio.Semaphore, spawn: Spawn) -> None:
        self.key = key
        self.feed = feed
        self.sent: S | None = None
        self.latest: S | None = None
        self.mailboxes: set[Mailbox[D]] = set()
        self.error: DomainError | None = None
        self._pace = pace
        self._limit = limit
        self._spawn = spawn
        self._reading = False
        self._wanted = 0
        self._forced = False
        self._restored = False
        self._read = asyncio.Event()
        self._snapshot: tuple[S, N] | None = None

    def refresh(self, at_least: int | None = None) -> None:
        """Read the state soon, once however often this is asked; for a version, unless a reading has brought it."""
        if at_least is None:
            self._forced = True
        else:
            self._wanted = max(self._wanted, at_least)
        if not self._reading:
            self._reading = True
            self._spawn(self._read_what_is_wanted())

    def restore(self) -> None:
        """The source was away: begin every stream anew with what is true now."""
        self._restored = True
        self.refresh()

    def snapshot_of(self, state: S) -> N:
        """The snapshot of a state, one object for all who ask for the same."""
        if self._snapshot is None or self._snapshot[0] is not state:
            self._snapshot = (state, self.feed.snapshot(state))
        return self._snapshot[1]

    async def known(self, epoch: str | None, version: int) -> tuple[S, S]:
        """What was sent and what is latest, read again when somebody has seen a later version of this epoch.

        Raises:
            NotFound: there is no such thing.
            Unavailable: it cannot be read at the moment.
        """
        try:
            async with asyncio.timeout(self._pace.start):
                while self.latest is None and self.error is None:
                    await self._read.wait()
                for _ in range(2):
                    if self.latest is None or self.latest.epoch != epoch or self.latest.version >= version:
                        break
                    self.refresh()
                    await self._read.wait()
        except TimeoutError:
            if self.latest is None:
                raise Unavailable("Live updates cannot be read at the moment.") from None
        if self.error is not None:
            raise self.error
        if self.sent is None or self.latest is None:
            raise Unavailable("Live updates cannot be read at the moment.")
        return self.sent, self.latest

    async def _read_what_is_wanted(self) -> None:
        shortest = pause = 0.05
        try:
            while self.mailboxes and self.error is None and self._is_behind():
                forced, self._forced = self._forced, False
                if not await self._accepted():
                    self._forced = self._forced or forced
                elif self._forced or not self._is_behind():
                    pause = shortest
                    continue
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._pace.retry)
        finally:
            self._reading = False

    def _is_behind(self) -> bool:
        return self._forced or self.latest is None or self.latest.version < self._wanted

    async def _accepted(self) -> bool:
        try:
            async with self._limit, asyncio.timeout(self._pace.patience):
                state = await self.feed.load(self.key)
        except Exception as error:  # noqa: BLE001 an edge: whatever fails, the streams stay and it is tried again
            _log.warning("live_reading_failed", extra={"topic": str(self.key), "error": repr(error)})
            return False
        if state is None:
            self._end(NotFound("It does not exist any more."))
        elif not self._take(state):
            return False
        self._read.set()
        self._read = asyncio.Event()
        return True

    def _take(self, state: S) -> bool:
        sent, latest = self.sent, self.latest
        if sent is None or latest is None:
            self.sent = self.latest = state
        elif state.epoch != latest.epoch:
            self._begin_anew(state, ResyncReason.UNKNOWN_EPOCH)
        elif state.version < latest.version:
            return False
        elif self._restored:
            self._begin_anew(state, ResyncReason.SOURCE_RESTORED)
        elif state.version > latest.version:
            self._go_on(sent, state)
        self._restored = False
        return True

    def _begin_anew(self, state: S, reason: ResyncReason) -> None:
        self.sent = self.latest = state
        self._wanted = 0
        for mailbox in self.mailboxes:
            mailbox.owe(reason)

    def _go_on(self, sent: S, state: S) -> None:
        self.latest = state
        delta = self.feed.delta(sent, state)
        if delta is None:
            return
        self.sent = state
        for mailbox in self.mailboxes:
            mailbox.put(delta)

    def _end(self, error: DomainError) -> None:
        self.error = error
        for mailbox in self.mailboxes:
            mailbox.end(error)
