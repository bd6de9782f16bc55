"""Owns how requests arrive: uvicorn's HTTP, with an end to what drips in, is without measure, or is read by nobody.

It leans on attributes of uvicorn that are not promised; uvicorn is pinned, and tests/contract/test_arrivals.py checks
them.
"""

from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.handshake import Handshake, plain_handshake
from runtime.websockets import WebSocketProtocol, hold_unsent

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Scope

_HEAD_BYTES = 320 * 1024
"""A query in the address may be as long as a body; the headers beside it are measured by `runtime.middleware`."""
_UNSENT = 128 * 1024
"""Bytes that the kernel holds unsent for a connection; as many again wait here at most, before a stream is paused."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. Who is slower than this is dropped without an answer."""

    head_seconds = 10.0
    """From the connection, or the first byte of a request, to the end of its head."""
    body_seconds = 15.0
    """From there to its last byte. GraphQL answers a slow body before that; other addresses read none."""
    blocked_seconds = 30.0
    """How long a client may take nothing of an answer; closed in good order, it would be waited for without end."""
    _timer: "asyncio.TimerHandle | None" = None
    _blocked: "asyncio.TimerHandle | None" = None
    _awaited: tuple[int, bool] | None = None
    _bytes = 0
    _answered: Any = None
    """The request that is being answered; uvicorn's `cycle` is the last that has come, and others may be in between."""

    def connection_made(self, transport: "asyncio.BaseTransport") -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._timer = self.loop.call_later(self.head_seconds, self._drop)
        hold_unsent(transport, _UNSENT)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        self._wait_no_longer()
        self._is_taken()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._blocked = self.loop.call_later(self.blocked_seconds, self._drop)

    def resume_writing(self) -> None:
        self._is_taken()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        arriving = self._arriving()
        if arriving is None:
            if self._timer is not None:
                self._wait_no_longer()
        else:
            self._wait(arriving, len(data))

    def handle_websocket_upgrade(self) -> None:
        cycle: Any = self.cycle  # None until there is one
        if cycle is not None and not cycle.response_complete:
            # An answer to what was asked before would go on among the frames, and never hear that its client is gone.
            self._drop()
        elif not _may_be_upgraded(cast("Scope", self.scope)):
            self.send_400_response("A websocket is asked for by HTTP/1.1 and one Host.")
        else:
            self._upgrade()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _upgrade(self) -> None:
        protocol: Any = self.ws_protocol_class
        may_be_plain = issubclass(protocol, WebSocketProtocol) and not self.config.ws_per_message_deflate
        handshake = plain_handshake(cast("Scope", self.scope), self.url) if may_be_plain else None
        if handshake is None:
            super().handle_websocket_upgrade()
        else:
            self._hand_over(protocol, handshake)
        self.scope = None  # type: ignore[assignment]
        self.parser = None  # type: ignore[assignment]  # they know each other; uvicorn parts them at other ends only

    def _hand_over(self, protocol: type[WebSocketProtocol], handshake: Handshake) -> None:
        """What uvicorn does with what it wrote out again."""
        self.connections.discard(self)
        made = protocol(config=self.config, server_state=self.server_state, app_state=self.app_state)
        made.connection_made(self.transport)
        made.begin(handshake)
        self.transport.set_protocol(made)

    def _arriving(self) -> tuple[int, bool] | None:
        """The request of which something is missing, and whether that is its head; mostly a request comes at once."""
        scope: Any = self.scope  # both None until there is one
        cycle: Any = self.cycle
        if cycle is not None and cycle.scope is scope:
            return (id(scope), False) if cycle.more_body else None
        return (id(scope), True) if scope is not None else None

    def _wait(self, arriving: tuple[int, bool], size: int) -> None:
        if arriving != self._awaited:
            self._wait_no_longer()
            self._awaited = arriving
            seconds = self.head_seconds if arriving[1] else self.body_seconds
            self._timer = self.loop.call_later(seconds, self._drop)
        self._bytes += size
        if arriving[1] and self._bytes > _HEAD_BYTES:
            self._drop()

    def _wait_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._awaited, self._bytes = None, None, 0

    def _is_taken(self) -> None:
        if self._blocked is not None:
            self._blocked.cancel()
            self._blocked = None

    def _drop(self) -> None:
        self.transport.abort()


def _may_be_upgraded(request: "Scope") -> bool:
    """RFC 6455, 4.2.1."""
    hosts = sum(name == b"host" for name, _ in request["headers"])
    return hosts == 1 and bool(request["http_version"] == "1.1")
