"""One shared subscription of a socket: it has no task of its own, only a head that goes before what all are sent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import orjson

if TYPE_CHECKING:
    from live.seats import Seat
    from schema.context import ApiContext
    from schema.transport.outlet import Outlet
    from schema.transport.subscriptions import Begun

_TAIL = b"}"


class Owner(Protocol):
    """The socket."""

    def end(self, operation_id: str, seated: "Seated", problem: Exception | None) -> None:
        """The stream is over."""
        ...


class Seated:
    """A `live.seats.Sink`."""

    __slots__ = ("_head", "_id", "_outlet", "_owner", "_seat", "request_id")

    def __init__(self, owner: Owner, outlet: "Outlet", operation_id: str, request_id: str) -> None:
        self.request_id = request_id
        self._owner = owner
        self._outlet = outlet
        self._id = operation_id
        self._head = head(operation_id)
        self._seat: Seat[Any, Any, Any, Any] | None = None

    @classmethod
    async def joined(
        cls, owner: Owner, outlet: "Outlet", operation_id: str, begun: "Begun", context: "ApiContext"
    ) -> "Seated":
        """Begin. Raises what ends the stream before its first event."""
        seated = cls(owner, outlet, operation_id, context.request.id)
        seated._seat = await begun.join(seated)
        outlet.join(seated)
        return seated

    @property
    def is_ready(self) -> bool:
        return self._outlet.is_ready

    def put(self, payloads: Sequence[bytes]) -> bool:
        head = self._head
        return self._outlet.put(self, [(head, payload, _TAIL) for payload in payloads])

    def end(self, problem: Exception | None) -> None:
        self._outlet.flush()
        self._outlet.leave(self)
        self._owner.end(self._id, self, problem)

    def wake(self) -> None:
        """The client takes messages again."""
        if self._seat is not None:
            self._seat.wake()

    def leave(self) -> None:
        """The client wants no more, or is gone."""
        self._outlet.leave(self)
        if self._seat is not None:
            self._seat.leave()


def head(operation_id: str) -> bytes:
    """What goes before a payload; a closing brace goes behind it."""
    return b'{"id":' + orjson.dumps(operation_id) + b',"type":"next","payload":'


def dump(message: dict[str, Any]) -> bytes:
    """A message as it is sent."""
    return orjson.dumps(message)
