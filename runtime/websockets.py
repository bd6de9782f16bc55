"""Owns the server's side of websockets: uvicorn's, which lends its transport to whoever sends the same to many.

It leans on attributes of uvicorn that are not promised; uvicorn is pinned, and tests/contract/test_wire.py checks them.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.protocol import Protocol, State

from live.batches import Line
from runtime.handshake import Handshake
from schema.transport.wires import EXTENSION, Message, nobody_waits

if TYPE_CHECKING:
    from asyncio import BaseTransport

    from uvicorn._types import ASGISendEvent
    from websockets.frames import Frame
    from websockets.http11 import Request

_UNSENT = 16 * 1024
"""Bytes that the kernel holds unsent for a socket: the rest waits here, where the newest can take its place."""
_BUFFERED = 32 * 1024
"""Bytes that wait here before nothing more is written."""
_COPIED = 16 * 1024
"""Bytes below which a copy costs less than a write of several parts."""
_FAREWELL = 1.0
"""Seconds that a peer has for taking what waits for it, the close frame too, once its connection is being closed."""
_WRITABLE = asyncio.Event()
_WRITABLE.set()
"""That of all who may write; who may not has one of its own."""
_NO_HEADERS = Headers()
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""To heads of which `websockets` makes nothing."""


class Inbox:
    """What a client sent and nobody has taken yet; one takes it. It stands in for an `asyncio.Queue`."""

    __slots__ = ("_messages", "_taker")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._taker: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:
        self._messages.append(message)
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    def empty(self) -> bool:
        return not self._messages

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the next message."""
        return self._taker is not None and not self._taker.done()

    async def get(self) -> Any:
        while not self._messages:
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        return self._messages.pop(0)


def hold_unsent(transport: asyncio.BaseTransport, most: int) -> None:
    """Have the kernel hold at most so many bytes unsent for a connection, where it can be told so."""
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, most)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One websocket; a `schema.transport.wires.Wire`."""

    on_change: Callable[[], None]
    blocked_at: float | None = None
    is_ready = False
    """Settled after all that may change it, for it is asked at each message."""
    _handshake: Handshake | None = None
    """A plain one that is not answered yet."""
    _pong = b""
    """Owed to a peer that takes nothing: the newest alone, as RFC 6455 allows (5.5.3)."""
    _farewell: asyncio.TimerHandle | None = None
    """Runs while it is being closed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """What uvicorn makes for itself is replaced by what holds less: there are thousands of these."""
        super().__init__(*arguments, **options)
        self.queue = Inbox()  # type: ignore[assignment]
        self.writable = _WRITABLE

    def connection_made(self, transport: "BaseTransport") -> None:
        self.on_change = nobody_waits
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_BUFFERED)
        hold_unsent(transport, _UNSENT)

    def begin(self, handshake: Handshake) -> None:
        """What `handle_connect` does, for a request that nobody need read again."""
        handshake.scope["extensions"][EXTENSION] = self
        self._handshake, self.scope = handshake, handshake.scope  # type: ignore[assignment]
        self.handshake_initiated = self.conn.accept_called = True
        self.conn.parser = Protocol.parse(self.conn)  # of frames: there is no request to come
        next(self.conn.parser)
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    def handle_connect(self, event: "Request") -> None:
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = self

    def handle_text(self, event: "Frame") -> None:
        super().handle_text(event)
        event.data = b""  # the parser holds the frame until the next one comes

    def handle_cont(self, event: "Frame") -> None:
        if event.data or event.fin:  # nothings without end would be held, for they never make a message too large
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.conn.close_rcvd is not None:
            return  # the pong leaves with the answer to the close frame, which is decided when that has its turn
        if self.blocked_at is None:
            super().handle_ping()
        elif frames := self.conn.data_to_send():
            self._pong = frames[-1]

    def send_receive_event_to_app(self) -> None:
        """Reading is paused for messages that wait, but not for one that is taken at once: that costs the kernel."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_text(self.frames):
            self._fail()
            return
        is_taken = self.queue.is_awaited and not self.read_paused  # type: ignore[attr-defined]
        self.read_paused = self.read_paused or is_taken
        super().send_receive_event_to_app()
        if is_taken:
            self.read_paused = False

    def _fail(self) -> None:
        """Close for text that is none; uvicorn would log that as a fault of ours."""
        self.frames = []
        # A close frame that came right behind it is answered already, but nothing of that has left.
        self.conn.data_to_send()
        self.conn.state = State.OPEN
        self.conn.fail(CloseCode.INVALID_DATA, "Text must be UTF-8")
        self.handle_parser_exception()

    def eof_received(self) -> None:
        """The event loop would close it after this, out of our sight."""
        self._close()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None
        self.blocked_at, self.is_ready = None, False
        self.on_change()
        # What knows each other waits for the garbage collector, and this for long.
        self.on_change = nobody_waits
        if (scope := getattr(self, "scope", None)) is not None:
            scope["extensions"].pop(EXTENSION, None)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse()
        self._settle()

    async def send(self, message: "ASGISendEvent") -> None:
        handshake, self._handshake = self._handshake, None
        if handshake is not None and message["type"] == "websocket.accept":
            self._accept(handshake, message)
            return
        await super().send(message)
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self._close)
        self._settle()
        if message["type"] == "websocket.accept":
            # So does it with the request.
            self.request.headers = self.response.headers = _NO_HEADERS

    def _accept(self, handshake: Handshake, message: Any) -> None:
        if self.disconnected:
            raise ClientDisconnected
        headers = [*self.default_headers, *message.get("headers", ())]
        if protocol := message.get("subprotocol"):
            headers.append((b"Sec-WebSocket-Protocol", protocol.encode()))
        if not self.transport.is_closing():
            self.handshake_complete, self.conn.state = True, State.OPEN
            self.transport.write(b"".join([handshake.head, *[b"%b: %b\r\n" % each for each in headers], b"\r\n"]))
            self.start_keepalive()
        self._settle()

    def shutdown(self) -> None:
        """Who is being parted with is told nothing more: uvicorn would raise, and the whole process would end."""
        if not self.transport.is_closing():
            super().shutdown()
            self._settle()

    @property
    def is_open(self) -> bool:
        return (
            self.handshake_complete
            and not self.close_sent
            and not self.disconnected
            and self.conn.state is State.OPEN
            and not self.transport.is_closing()
        )

    def write(self, messages: Sequence[Message]) -> None:
        """Frames that nothing else interleaves: uvicorn leaves no part of a frame unwritten between calls."""
        if len(messages) == 1:
            ((head, *shared),) = messages
            _deliver(((self.transport,), (head,)), b"".join(shared))
        else:
            self.transport.write(b"".join([_header(sum(map(len, each))) + b"".join(each) for each in messages]))

    def line(self, head: bytes) -> Line:
        return Line(_deliver, (self.transport, head))

    def pause_writing(self) -> None:
        self.writable = asyncio.Event()
        self.blocked_at = monotonic()
        self._settle()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.writable, self.blocked_at = _WRITABLE, None
        if self._pong and self.is_open:
            self.transport.write(self._pong)
        self._pong = b""
        self._settle()
        self.on_change()

    def cut(self, code: int, reason: str) -> None:
        if not self.disconnected and not self.close_sent and self.conn.state is State.OPEN:
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.stop_keepalive()
            self._settle()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._part()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._settle()

    def _close(self) -> None:
        self.transport.close()
        self._settle()

    def _part(self) -> None:
        """Give up soon what its peer has not taken: a transport that is closed would wait for that for ever."""
        if self._farewell is None and not self.disconnected:
            self._farewell = self.loop.call_later(_FAREWELL, self.transport.abort)

    def _refuse(self) -> None:
        """A head that is no websocket's, or too long for one: uvicorn would leave the connection open, unanswered."""
        self.transport.write(b"".join(self.conn.data_to_send()) or _REFUSAL)
        self.transport.close()

    def _settle(self) -> None:
        """After all that may have closed it, whoever did: uvicorn does so at many places."""
        was_ready, self.is_ready = self.is_ready, self.blocked_at is None and self.is_open
        if was_ready and not self.is_ready:
            self.on_change()
        if not self.is_ready and self.transport.is_closing():
            self._part()


def _deliver(peers: Sequence[Sequence[Any]], shared: bytes) -> None:
    """Send each a message that begins with a head of its own. `peers`: their transports, and their heads.

    What all are sent is not copied for each, unless it is short.
    """
    transports, heads = peers
    size = len(shared)
    for transport, head in zip(transports, heads, strict=True):
        length = len(head) + size
        header = b"\x81\x7e" + length.to_bytes(2) if 125 < length < 65_536 else _header(length)
        if length < _COPIED:
            transport.write(header + head + shared)
        else:
            transport.writelines((header + head, shared))


def _header(length: int) -> bytes:
    """What goes before the text of a server's frame (RFC 6455, 5.2): whole, text, unmasked, its length."""
    if 125 < length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2)
    return bytes((0x81, length)) if length < 126 else b"\x81\x7f" + length.to_bytes(8)


def _is_text(parts: Sequence[bytes]) -> bool:
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True
