"""Owns where one client stands in a topic, and what it is sent next."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Generic

from live.events import Heartbeat, Resync, ResyncReason, StreamPosition
from live.feeds import D, K, N, S
from live.mailboxes import Mailbox
from live.watch import Watch

Beat = Callable[[str, int, float | None], Heartbeat]
"""The heartbeat of this moment for an epoch and a version, and since when its topic could not be read, if so."""


class Reader(Generic[K, S, N, D]):
    """One client. Its events are objects that it shares with all who are sent the same."""

    __slots__ = (
        *("_after", "_beat", "_before", "_epoch", "_has_begun", "_topic", "_version", "_was_told", "_watch"),
        *("is_told", "mailbox"),
    )

    def __init__(
        self, watch: Watch[K, S, N, D], key: K, mailbox: Mailbox[D], after: StreamPosition | None, beat: Beat
    ) -> None:
        self.mailbox = mailbox
        self._watch = watch
        self._topic = watch.join(key, mailbox)
        self._after = after
        self._beat = beat
        self._has_begun = False
        self._epoch = after.epoch if after else ""
        self._version = after.version if after else 0
        self._before = self.position
        self.is_told = self._was_told = False
        """Whether it has been sent anything: what `after` says alone is nothing that anybody has looked at."""

    @property
    def is_private(self) -> bool:
        """Whether the right to the topic may be lost."""
        return self._topic.feed.is_private(self._topic.key)

    def twin(self, wake: Callable[[], None]) -> "Reader[K, S, N, D]":
        """Another that stands where this one does, with the same waiting for it; whoever asks for it leaves it."""
        other = copy(self)
        other.mailbox = self.mailbox.twin(wake)
        other._before, other._was_told = other.position, other.is_told  # noqa: SLF001 another of this class
        self._topic.mailboxes.add(other.mailbox)
        return other

    @property
    def position(self) -> tuple[str, int]:
        """Epoch and version of what was sent last, or of `after`."""
        return self._epoch, self._version

    @property
    def standing(self) -> object:
        """Equal for readers that have been sent the same of the same topic, and may be sent the same from here on."""
        return self._topic, self._epoch, self._version

    async def known(self) -> None:
        """Wait until there is something to take. Raises what `Topic.known` raises."""
        await self._topic.known(self._after)

    def leave(self) -> None:
        """Hear no more of the topic."""
        self._watch.leave(self._topic, self.mailbox)

    def take(self) -> Sequence[N | D | Resync | Heartbeat]:
        """What is to be sent now, perhaps nothing; it counts as sent. The topic has been read before."""
        self._before, self._was_told, self.is_told = self.position, self.is_told, True
        if not self._has_begun:
            self._has_begun = True
            self.mailbox.clear()
            return self._first()
        mailbox, topic = self.mailbox, self._topic
        delta = mailbox.delta
        if delta is not None:
            mailbox.delta = None
            if delta.from_version != self._version:
                delta = topic.rebased(delta, self._version)
            self._version = delta.version
            return (delta,)
        if mailbox.owed is None:
            return ()
        reason, mailbox.owed = mailbox.owed, None
        return self._anew(reason)

    def take_back(self, reason: ResyncReason) -> None:
        """What was taken last was not sent after all: the client stands where it stood."""
        (self._epoch, self._version), self.is_told = self._before, self._was_told
        self.mailbox.delta, self.mailbox.owed = None, reason

    def heartbeat(self) -> Heartbeat:
        """That of this moment."""
        return self._beat(self._epoch, self._version, self._topic.fails_since)

    def _first(self) -> Sequence[N | D | Resync | Heartbeat]:
        after, topic = self._after, self._topic
        sent = topic.sent
        if sent is None:
            raise LookupError("a topic is read before its readers take from it")
        if after is None:
            return (self._show(sent),)
        if after.epoch != sent.epoch:
            return self._anew(ResyncReason.UNKNOWN_EPOCH)
        if topic.shows_the_latest(after.version):
            return (self.heartbeat(),)
        merged = topic.merged_since(after.version)
        if merged is None:
            return self._anew(ResyncReason.TOO_OLD)
        self._version = merged.version
        return (merged,)

    def _anew(self, reason: ResyncReason) -> Sequence[N | D | Resync | Heartbeat]:
        state = self._newest()
        return (self._topic.resync_to(state, reason), self._show(state))

    def _newest(self) -> S:
        """What was sent last; for a client that is ahead of it the newest reading, equal in content: none goes back."""
        sent, latest = self._topic.sent, self._topic.latest
        if sent is None or latest is None:
            raise LookupError("a topic is read before its readers take from it")
        return latest if sent.epoch == self._epoch and sent.version < self._version else sent

    def _show(self, state: S) -> N:
        self._epoch, self._version = state.epoch, state.version
        return self._topic.snapshot_of(state)
