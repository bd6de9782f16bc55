"""Owns one client of a cohort, and what takes its events."""

from collections.abc import Sequence
from typing import Any, Generic, Protocol

from live.batches import Line
from live.feeds import D, K, N, S
from live.readers import Reader
from live.rights import Right


class Sink(Protocol):
    """Takes what one subscription is sent. Its calls return at once and never raise."""

    @property
    def line(self) -> Line | None:
        """None when `put` is to be asked, or it is over. When that changes it tells its seat."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether it takes more now. When it does again, it wakes its seat."""
        ...

    def put(self, payloads: Sequence[bytes]) -> bool:
        """Send these, in this order; False, and nothing is sent, when it is not ready."""
        ...

    def end(self, problem: Exception | None) -> None:
        """The subscription is over, for a reason or in good order."""
        ...


class Room(Protocol):
    """The cohort."""

    def woken(self, seat: "Seat[Any, Any, Any, Any]") -> None:
        """A seat has something to send, or may again."""
        ...

    def left(self, seat: "Seat[Any, Any, Any, Any]") -> None:
        """A seat is sent nothing more."""
        ...

    def reached_otherwise(self) -> None:
        """A sink has a line that had none, or has none any more."""
        ...


class Seat(Generic[K, S, N, D]):
    """One client."""

    __slots__ = ("_room", "has_left", "is_woken", "reader", "right", "sink")

    def __init__(self, room: Room, sink: Sink) -> None:
        self._room = room
        self.sink = sink
        self.reader: Reader[K, S, N, D] | None = None
        """Where it stands while it stands alone."""
        self.right: Right | None = None
        """Where it may be lost. Nowhere else, for it holds on to all that the client asked."""
        self.is_woken = False
        self.has_left = False

    def wake(self) -> None:
        """There may be something to send, or it may be taken again."""
        if self.reader is not None and not self.is_woken:
            self.is_woken = True
            self._room.woken(self)

    def reached_otherwise(self) -> None:
        """From the sink."""
        self._room.reached_otherwise()

    def leave(self) -> None:
        """Nothing more is sent."""
        if not self.has_left:
            self.has_left = True
            self._room.left(self)
