"""Owns how clients are gone through that are sent the same: in batches of those that are reached in the same way.

What a batch needs of them stands side by side. With thousands of clients computing waits for memory more than for
anything else, and each object on the way to a client is one more that is in no cache.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from live.seats import Sink

Deliver = Callable[[Sequence[Any], bytes], None]
"""Sends one payload to all whose `Line.peer` it is given. It returns at once and never raises."""


class Line(NamedTuple):
    """Reaches one client, with nothing between this and its socket."""

    deliver: Deliver
    """Equal for all clients that are reached in the same way."""
    peer: Any
    """What `deliver` knows this client by."""


class Batch(NamedTuple):
    """Clients that are served in one turn of the event loop."""

    sinks: Sequence["Sink"]
    deliver: Deliver | None
    """None: each is to be asked whether it takes something."""
    peers: Sequence[Any]
    """Of the lines of these sinks, if they have lines."""


def batches_of(sinks: Iterable["Sink"], most: int) -> Sequence[Batch]:
    """All of them, at most so many a batch."""
    alike: dict[Deliver | None, tuple[list[Sink], list[Any]]] = {}
    for sink in sinks:
        line = sink.line
        found, peers = alike.setdefault(None if line is None else line.deliver, ([], []))
        found.append(sink)
        if line is not None:
            peers.append(line.peer)
    return [
        Batch(found[begin : begin + most], deliver, peers[begin : begin + most])
        for deliver, (found, peers) in alike.items()
        for begin in range(0, len(found), most)
    ]
