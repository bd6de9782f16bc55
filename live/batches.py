"""Owns how clients are gone through that are sent the same: in batches of those that are reached in the same way.

What a batch needs of them stands side by side. With thousands of clients computing waits for memory more than for
anything else, and each object on the way to a client is one more that is in no cache.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from live.seats import Sink

Deliver = Callable[[Sequence[Sequence[Any]], bytes], None]
"""Sends one payload to all whose `Line.peer` it is given: the first part of each, the second of each, and so on.

It returns at once and never raises."""


class Line(NamedTuple):
    """Reaches one client, with nothing between this and its socket."""

    deliver: Deliver
    """Equal for all clients that are reached in the same way."""
    peer: tuple[Any, ...]
    """What `deliver` needs of this client, part by part."""

    def send(self, payload: bytes) -> None:
        """To this client alone."""
        self.deliver(_side_by_side([self.peer]), payload)


class Batch(NamedTuple):
    """Clients that are served in one turn of the event loop."""

    sinks: Sequence["Sink"]
    deliver: Deliver | None
    """None: each is to be asked whether it takes something."""
    peers: Sequence[Sequence[Any]]
    """Of the lines of these sinks, as `deliver` takes them."""


def batches_of(sinks: Iterable["Sink"], most: int) -> Sequence[Batch]:
    """All of them, at most so many a batch."""
    alike: dict[Deliver | None, tuple[list[Sink], list[tuple[Any, ...]]]] = {}
    for sink in sinks:
        line = sink.line
        found, peers = alike.setdefault(None if line is None else line.deliver, ([], []))
        found.append(sink)
        if line is not None:
            peers.append(line.peer)
    return [
        Batch(found[begin : begin + most], deliver, _side_by_side(peers[begin : begin + most]))
        for deliver, (found, peers) in alike.items()
        for begin in range(0, len(found), most)
    ]


def _side_by_side(peers: Iterable[tuple[Any, ...]]) -> Sequence[Sequence[Any]]:
    """The first parts of all, their second parts, and so on."""
    return list(zip(*peers, strict=True))
