"""Owns what the streams of one window share: its state, one reading at a time, and what its last versions changed."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, TypeVar, cast

from domain.errors import DomainError, Forbidden, NotFound, Unavailable
from live.events import Resync, ResyncReason, StreamPosition
from live.feeds import D, Feed, K, N, S
from live.mailboxes import Mailbox
from live.ring import Ring

E = TypeVar("E")
Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a task that its owner ends."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the hub works; all in seconds but `loads` and `resume_deltas`."""

    poll: float = 2.0
    """Between two comparisons with the database."""
    coalesce: float = 0.1
    """How long ticks are gathered before they are looked at."""
    heartbeat: float = 15.0
    recheck: float = 4.0
    """At most so long a stream goes on without asking whether its client may still see it; with the answer, five."""
    start: float = 5.0
    """How long a new stream waits for its first state before it is refused."""
    patience: float = 10.0
    """How long one reading of the database may take."""
    retry: float = 2.0
    """Longest pause before a failed reading is tried again."""
    loads: int = 4
    """Readings at the same time, of what is read alone, so that streams leave connections to requests."""
    resume: float = 120.0
    """How old the deltas may be that a client which comes back is given as one."""
    resume_deltas: int = 64
    """How many they may be."""


class Topic(Generic[K, S, N, D]):
    """A watched window. `sent` is what its streams were told, `latest` is the newest reading, equal to it."""

    def __init__(self, key: K, feed: Feed[K, S, N, D], pace: Pace, limit: asyncio.Semaphore, spawn: Spawn) -> None:
        self.key = key
        self.feed = feed
        self.sent: S | None = None
        self.latest: S | None = None
        self.mailboxes: set[Mailbox[D]] = set()
        self.error: DomainError | None = None
        self.fails_since: float | None = None
        """When a reading failed first since the last one that did not."""
        self._pace = pace
        self._limit = limit
        self._spawn = spawn
        self._reading = False
        self._wanted = self._told = 0
        self._forced = False
        self._restored = False
        self._read = asyncio.Event()
        self._ring = Ring(pace.resume_deltas, pace.resume)
        self._made: dict[tuple[str, int, int], object] = {}

    def refresh(self, at_least: int | None = None, *, is_told: bool = False) -> None:
        """Read the state soon, once however often this is asked; for a version, unless a reading has brought it.

        `is_told`: the version was told by a tick. Then what was told with it will do.
        """
        if at_least is None:
            self._forced = True
        else:
            self._wanted = max(self._wanted, at_least)
            self._told = max(self._told, at_least if is_told else 0)
        if not self._reading:
            self._reading = True
            self._spawn(self._read_what_is_wanted())

    def restore(self) -> None:
        """The source was away: begin every stream anew with what is true now."""
        self._restored = True
        self.refresh()

    def snapshot_of(self, state: S) -> N:
        """The snapshot of a state, one object for all who ask for the same."""
        return self._once("snapshot", state.version, 0, lambda: self.feed.snapshot(state))

    def resync_to(self, state: S, reason: ResyncReason) -> Resync:
        """The announcement of a state's snapshot."""
        return self._once(reason, state.version, 0, lambda: Resync(state.epoch, state.version, reason))

    def rebased(self, delta: D, from_version: int) -> D:
        """The same delta for clients whose equal state has another version."""
        return self._once("rebased", delta.version, from_version, lambda: self.feed.rebased(delta, from_version))

    def shows_the_latest(self, version: int) -> bool:
        """Whether a client with this version sees what was sent last."""
        return self._ring.shows_the_latest(version)

    def merged_since(self, version: int) -> D | None:
        """One delta from a version to what was sent last; None when it is not known what changed since."""
        state, missed = self.sent, self._ring.since(version)
        if state is None or missed is None:
            return None
        return self._once("merged", state.version, version, lambda: self.feed.merged(state, version, missed))

    async def known(self, after: StreamPosition | None) -> None:
        """Wait for the first reading, or for another when somebody has seen a later version of this epoch.

        Raises:
            NotFound: there is no such thing.
            Unavailable: it cannot be read at the moment.
        """
        if self.error is None and self.latest is not None and not self._is_ahead(after, self.latest):
            return
        # In a task of its own, for who asks may go on in another one than it began in, and a timeout must know which.
        waiting = asyncio.create_task(self._become_known(after))
        try:
            await waiting
        finally:
            waiting.cancel()  # who asked may be gone

    async def _become_known(self, after: StreamPosition | None) -> None:
        try:
            async with asyncio.timeout(self._pace.start):
                while self.latest is None and self.error is None:
                    await self._read.wait()
                for _ in range(2):
                    if self.latest is None or not self._is_ahead(after, self.latest):
                        break
                    self.refresh()
                    await self._read.wait()
        except TimeoutError:
            if self.latest is None:
                raise Unavailable("Live updates cannot be read at the moment.") from None
        if self.error is not None:
            raise self.error

    @staticmethod
    def _is_ahead(after: StreamPosition | None, latest: S) -> bool:
        return after is not None and after.epoch == latest.epoch and after.version > latest.version

    async def _read_what_is_wanted(self) -> None:
        shortest = pause = 0.05
        try:
            while self.mailboxes and self.error is None and self._is_behind():
                forced, self._forced = self._forced, False
                is_enough = self._told == self._wanted and not (forced or self._restored or self.latest is None)
                told = self._wanted if is_enough else None
                if not await self._accepted(told):
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

    async def _accepted(self, told: int | None) -> bool:
        try:
            async with (
                nullcontext() if self.feed.is_gathered(self.key) else self._limit,
                asyncio.timeout(self._pace.patience),
            ):
                state = await self.feed.load(self.key, self.latest, told)
            if state is None:
                self._end(self._gone())
            elif not self._take(state):
                return False
        except Exception as error:  # noqa: BLE001 an edge: whatever fails, the streams stay and it is tried again
            _log.warning("live_reading_failed", extra={"topic": str(self.key), "error": repr(error)})
            if self.fails_since is None:
                self.fails_since = monotonic()
            return False
        self.fails_since = None
        self._read.set()
        self._read = asyncio.Event()
        return True

    def _take(self, state: S) -> bool:
        sent, latest = self.sent, self.latest
        if sent is None or latest is None:
            self.sent = self.latest = state
            self._ring.begin(state.version)
        elif state.epoch != latest.epoch:
            self._begin_anew(state, ResyncReason.UNKNOWN_EPOCH)
        elif state.version < latest.version:
            return False
        elif self._restored:
            self._begin_anew(state, ResyncReason.SOURCE_RESTORED)
        elif state.version > latest.version:
            self._go_on(sent, state)
        if self.latest is state and self.feed.is_changing(state):
            self._ring.clear()
        self._restored = False
        return True

    def _begin_anew(self, state: S, reason: ResyncReason) -> None:
        if self.sent is not None and self.sent.epoch == state.epoch:
            self._note(self.sent, self.feed.delta(self.sent, state), state)
        else:
            self._ring.begin(state.version)
        self.sent = self.latest = state
        self._made.clear()
        self._wanted = self._told = 0
        for mailbox in self.mailboxes:
            mailbox.owe(reason)

    def _go_on(self, sent: S, state: S) -> None:
        delta = self.feed.delta(sent, state)
        self.latest = state
        self._note(sent, delta, state)
        self._made.clear()
        if delta is None:
            return
        self.sent = state
        for mailbox in self.mailboxes:
            mailbox.put(delta)

    def _note(self, before: S, delta: D | None, state: S) -> None:
        if self.feed.is_changing(before):
            self._ring.begin(state.version)
        elif delta is None:
            self._ring.pass_over(state.version)
        else:
            self._ring.add(state.version, self.feed.missed(before, delta))

    def _once(self, what: str, version: int, from_version: int, make: Callable[[], E]) -> E:
        """One object for all who ask for the same, until another state is read."""
        key = (what, version, from_version)
        if key not in self._made:
            self._made[key] = make()
        return cast("E", self._made[key])

    def _gone(self) -> DomainError:
        """To who has seen a private window, that it is gone is a right lost, as the contract has it."""
        if self.sent is not None and self.feed.is_private(self.key):
            return Forbidden("You may no longer see this.")
        return NotFound("It does not exist any more.")

    def _end(self, error: DomainError) -> None:
        self.error = error
        for mailbox in self.mailboxes:
            mailbox.end(error)
