"""Owns the slot of each stream: what it has not taken yet."""

from collections.abc import Callable
from typing import Generic

from domain.errors import DomainError
from live.events import ResyncReason
from live.feeds import D


class Mailbox(Generic[D]):
    """One slot of one stream: the next delta, or why a snapshot is owed instead. It never grows."""

    __slots__ = ("_wake", "closed", "delta", "error", "owed")

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` is called whenever there is something to take; it returns at once and never raises."""
        self.delta: D | None = None
        self.owed: ResyncReason | None = None
        self.error: DomainError | None = None
        self.closed = False
        self._wake = wake

    def twin(self, wake: Callable[[], None]) -> "Mailbox[D]":
        """Another with the same in it."""
        other: Mailbox[D] = Mailbox(wake)
        other.delta, other.owed, other.error, other.closed = self.delta, self.owed, self.error, self.closed
        return other

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take, and more may come."""
        return self.delta is None and self.owed is None and not self.closed

    def put(self, delta: D) -> None:
        """Offer a delta; a stream that has not taken the one before gets a snapshot in place of both."""
        if self.delta is not None:
            self.owe(ResyncReason.SLOW_CLIENT)
        elif self.owed is None:
            self.delta = delta
            self._wake()

    def owe(self, reason: ResyncReason) -> None:
        """Have the stream begin anew."""
        self.delta = None
        self.owed = reason
        self._wake()

    def clear(self) -> None:
        """Forget what the stream has been given by other means."""
        self.delta = None
        self.owed = None

    def end(self, error: DomainError | None) -> None:
        """End the stream, with an error or in good order."""
        self.error = error
        self.closed = True
        self._wake()
