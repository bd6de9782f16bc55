"""One shared subscription of a socket: it has no task of its own, only a head that goes before what all are sent."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from schema.transport.begun import Begun, begin

if TYPE_CHECKING:
    from live.batches import Line
    from live.events import StreamPosition
    from live.seats import Seat
    from live.streams import Stream
    from schema.context import ApiContext
    from schema.transport.outlet import Outlet
    from schema.transport.subscriptions import SharedStream
    from schema.transport.wires import Wire


class Owner(Protocol):
    """The socket."""

    def end(self, operation_id: str, seated: "Seated", problem: Exception | None) -> None:
        """The stream is over."""
        ...


class Seated:
    """A `live.seats.Sink`."""

    __slots__ = (
        *("_head", "_id", "_joining", "_outlet", "_owner", "_problem", "_seat"),
        *("is_over", "line", "request_id"),
    )

    def __init__(self, owner: Owner, outlet: "Outlet", operation_id: str, request_id: str) -> None:
        self.request_id = request_id
        self._owner = owner
        self._outlet = outlet
        self._id = operation_id
        self._head = head(operation_id)
        self.line: Line | None = None
        self._joining: asyncio.Task[None] | None = None
        self._seat: Seat[Any, Any, Any, Any] | None = None
        self._problem: Exception | None = None
        self.is_over = False

    async def join(self, shared: "SharedStream", context: "ApiContext", stream: "Stream[Any, Any, Any, Any]") -> None:
        """Begin, unless it is over before. Raises what ends the stream before its first event."""
        seat = await shared.join(context, stream, self)
        if not self.is_over:
            self._seat = seat
            self._outlet.join(self)
            return
        seat.leave()
        if self._problem is not None:
            raise self._problem

    def begin(self, shared: "SharedStream", context: "ApiContext", after: "StreamPosition | None") -> None:
        """The same for what is known, which seldom has to wait, and needs a task only then."""
        try:
            joining = begin(self.join(shared, context, shared.follow(context, after)))
        except Exception as problem:  # noqa: BLE001 -- an edge: what ended a stream is reported
            self.end(problem)
        else:
            if isinstance(joining, Begun):
                self._joining = joining.task(self._go_on(joining))

    @property
    def is_ready(self) -> bool:
        return self._outlet.is_ready

    def put(self, payloads: Sequence[bytes]) -> bool:
        if self.is_over:  # it was joining, and has not left everything yet
            return False
        return self._outlet.put(self, [(self._head, payload) for payload in payloads])

    def lend(self, wire: "Wire | None") -> None:
        """From the outlet."""
        if (wire is None) == (self.line is None):
            return
        self.line = None if wire is None else wire.line(self._head)
        if self._seat is not None:
            self._seat.reached_otherwise()

    def end(self, problem: Exception | None) -> None:
        self.is_over, self._problem = True, problem
        self._seat = None
        self._outlet.flush()
        self._leave_outlet()
        self._owner.end(self._id, self, problem)

    def wake(self) -> None:
        """The client takes messages again."""
        if self._seat is not None:
            self._seat.wake()

    def leave(self) -> None:
        """The client wants no more, or is gone."""
        self.is_over = True
        self._leave_outlet()
        if self._joining is not None:
            self._joining.cancel()
        if self._seat is not None:
            self._seat.leave()
            self._seat = None

    def _leave_outlet(self) -> None:
        self._outlet.leave(self)
        self.line = None

    async def _go_on(self, joining: Begun[None]) -> None:
        try:
            await joining
        except Exception as problem:  # noqa: BLE001 -- as above
            self.end(problem)
        finally:
            self._joining = None


def head(operation_id: str) -> bytes:
    """What goes before a payload, which brings the closing brace: see `Rendering`."""
    return b'{"id":' + orjson.dumps(operation_id) + b',"type":"next","payload":'


def dump(message: dict[str, Any]) -> bytes:
    """A message as it is sent."""
    return orjson.dumps(message)
