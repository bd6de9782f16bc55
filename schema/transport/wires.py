"""How messages leave a connection: by the server's own transport where it lends it, else by ASGI. Neither waits.

The server lends it under `EXTENSION` in the scope's extensions: an object that is a `Wire` for text messages.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from live.batches import Line
from schema.transport.begun import Begun

EXTENSION = "palpite.wire"

Message = tuple[bytes, ...]
"""One message: its head, and what many are sent, perhaps nothing."""
_SENT = object()
"""Instead of what a `send` waits for, when it did not wait. An exception would cost more, and so would `begin`."""

Event = MutableMapping[str, Any]
"""Of ASGI."""
Send = Callable[[Event], Awaitable[None]]
"""What a server gives an application to send by."""


class Gone(Exception):
    """The connection is closed, or being closed."""


class Wire(Protocol):
    """One connection's way out."""

    on_change: Callable[[], None]
    """Called when `is_ready` has changed, and when it never will again."""
    is_ready: bool
    """Whether messages may be written: it is open, and what was written has mostly left."""

    @property
    def is_open(self) -> bool:
        """Whether it will ever take messages again."""
        ...

    @property
    def blocked_at(self) -> float | None:
        """Since when (`time.monotonic`) the peer takes nothing; None while it does."""
        ...

    def write(self, messages: Sequence[Message]) -> None:
        """Send these, in this order, in one write if possible. Only when ready; it returns at once and never raises."""
        ...

    def line(self, head: bytes) -> Line:
        """What sends one message that begins so to this connection among others; it counts as written."""
        ...

    def cut(self, code: int, reason: str) -> None:
        """Close although the peer takes nothing: what it has not taken is given up."""
        ...


class AsgiWire:
    """Sends by ASGI without a task for each message: `send` is run until it waits, which it seldom does."""

    __slots__ = ("_form", "_rest", "_send", "_task", "blocked_at", "is_open", "is_ready", "on_change")

    def __init__(self, send: Send, form: "Form[Any]") -> None:
        """`send` is the server's own: what stands between costs each message."""
        self.on_change: Callable[[], None] = nobody_waits
        self.blocked_at: float | None = None
        self.is_open = self.is_ready = True
        self._send = send
        self._form = form
        self._task: asyncio.Task[None] | None = None
        self._rest: Sequence[Message] = ()
        """What is sent when the peer takes messages again."""

    def write(self, messages: Sequence[Message]) -> None:
        for number, (head, *shared) in enumerate(messages, 1):
            self.line(head).send(b"".join(shared))
            if not self.is_ready:
                self._rest = messages[number:]
                return

    def line(self, head: bytes) -> Line:
        return Line(self._form.deliver, (self._send, self._form.convert(head), self))

    def cut(self, code: int, reason: str) -> None:  # noqa: ARG002 -- nothing more can be said by ASGI
        self.lose()
        if self._task is not None:
            self._task.cancel()

    def lose(self) -> None:
        """The peer is gone."""
        self.is_open = self.is_ready = False
        self.on_change()

    def wait(self, sending: Begun[None]) -> None:
        """What was begun to be sent must wait, and all else after it."""
        self.blocked_at, self.is_ready = monotonic(), False
        self.on_change()
        self._task = sending.task(self._finish(sending))

    async def _finish(self, sending: Begun[None]) -> None:
        try:
            await sending
            for head, *shared in self._rest:
                await self._send(self._form.of(head + b"".join(shared)))
        except Exception:  # noqa: BLE001 -- as above
            self.is_open = False
        finally:
            self._task, self._rest = None, ()
            self.blocked_at, self.is_ready = None, self.is_open
            self.on_change()


T = TypeVar("T", str, bytes)


class Form(Generic[T]):
    """The ASGI event of a message."""

    __slots__ = ("convert", "event", "part")

    def __init__(self, event: Event, part: str, convert: Callable[[bytes], T]) -> None:
        """`event` lacks the `part` that holds the message, converted. The parts of a message are whole characters."""
        self.event = event
        self.part = part
        self.convert: Callable[[bytes], T] = convert

    def deliver(self, peers: Sequence[Sequence[Any]], shared: bytes) -> None:
        """Send each a message with a beginning of its own; what all are sent is converted once.

        `peers`: how to send to each, its beginning, and its wire, which is seldom looked at.
        """
        sends, begins, wires = peers
        event, part, ending = self.event, self.part, self.convert(shared)
        for number, (send, begin) in enumerate(zip(sends, begins, strict=True)):
            try:
                sending = send({**event, part: begin + ending}).__await__()
                waits_for = next(sending, _SENT)
            except Exception:  # noqa: BLE001 -- the peer is gone, which whoever receives will notice
                wires[number].lose()
            else:
                if waits_for is not _SENT:  # nearly every message is
                    wires[number].wait(Begun(sending, waits_for))

    def of(self, message: bytes) -> Event:
        """The event of a whole message."""
        return {**self.event, self.part: self.convert(message)}


def texts() -> Form[str]:
    """Text messages of a websocket."""
    return Form({"type": "websocket.send"}, "text", bytes.decode)


def bodies() -> Form[bytes]:
    """Parts of the body of an answer that goes on."""
    return Form({"type": "http.response.body", "more_body": True}, "body", bytes)


def nobody_waits() -> None:
    """For a wire of which nobody wants to know."""
