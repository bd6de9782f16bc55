"""Owns the shortest way to answers that are kept: a request that came whole is answered where its bytes arrive.

Everything else, and each first request of its kind, goes the way of `schema.transport.shortcut`, whose answers are the
same to the byte. It leans on attributes of uvicorn that are not promised, see `runtime.arrivals`.
"""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from runtime.arrivals import HttpProtocol
from runtime.logging import log_context
from runtime.metrics.meters import Metrics
from runtime.middleware import SAFE, is_noted, is_too_much, note, request_id_of
from schema.transport.contexts import Contexts
from schema.transport.extensions import around, extensions
from schema.transport.shortcut import find_kept, is_ours

if TYPE_CHECKING:
    from starlette.types import Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_LARGEST_BODY = 16 * 1024
_HEAD = (
    b"HTTP/1.1 200 OK\r\n%bcontent-type: %b\r\ncontent-length: %d\r\ncache-control: no-store\r\n"
    b"x-request-id: %b\r\n%b\r\n"
)
_SAFE = b"".join(b"%b: %b\r\n" % header for header in SAFE)


class KeptResponses:
    """Writes them whole, head and body; counts and logs them as the middlewares do."""

    def __init__(self, contexts: Contexts, metrics: Metrics, new_id: Callable[[], str]) -> None:
        self._answers = contexts.answers
        self._sessions = contexts.sessions
        self._new_id = new_id
        self._requests = metrics.requests.labels("POST", "/graphql", "200")
        self._seconds = metrics.request_seconds.labels("/graphql")

    def response(
        self, scope: "Scope", body: bytes, defaults: Iterable[tuple[bytes, bytes]]
    ) -> tuple[bytes, ...] | None:
        """The answer to a request that came whole, kept open behind it; None when it is to go the long way.

        `defaults` are the server's own headers.
        """
        started = time.perf_counter()
        if is_too_much(scope):
            return None
        found = find_kept(self._answers, self._sessions, scope, body)
        if found is None:
            return None
        request_id = request_id_of(scope, self._new_id)
        data = found.kept.data
        before, behind = around(extensions(request_id, found.kept.query.cost))
        server = b"".join([b"%b: %b\r\n" % header for header in defaults])
        size = len(before) + len(data) + len(behind)
        self._count(scope, request_id, time.perf_counter() - started)
        # The data are long, and are copied nowhere.
        return _HEAD % (server, found.media, size, request_id.encode(), _SAFE), before, data, behind

    def _count(self, scope: "Scope", request_id: str, seconds: float) -> None:
        self._requests.inc()
        self._seconds.observe(seconds)
        if is_noted():
            with log_context(request_id):
                note(scope, 200, seconds)


class KeptProtocol(HttpProtocol):
    """One connection. Its application holds `KeptResponses` as `state.kept`, and `state.blocked_seconds`."""

    _held: "tuple[RequestResponseCycle, Any] | None" = None
    """A request that is not begun yet, because it may be whole when the bytes at hand are read."""
    _is_reading = False

    def __init__(self, config: Any, *args: Any, **named: Any) -> None:
        super().__init__(config, *args, **named)
        self._kept: KeptResponses = config.app.state.kept
        self.blocked_seconds = config.app.state.blocked_seconds

    def data_received(self, data: bytes) -> None:
        self._is_reading = True
        super().data_received(data)
        self._is_reading = False
        if self._held is not None:
            held, self._held = self._held, None
            super()._start_asgi_task(*held)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._held is not None and self._held[0] is self.cycle and len(self.cycle.body) <= _LARGEST_BODY:
            self._answer(self.cycle)

    def _start_asgi_task(self, cycle: "RequestResponseCycle", app: Any) -> None:
        scope: Any = cycle.scope
        may_be_kept = cycle.keep_alive and not cycle.waiting_for_100_continue and is_ours(scope)
        if may_be_kept and self._is_reading and app is self.app and not self.flow.write_paused:
            self._held = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def _answer(self, cycle: "RequestResponseCycle") -> None:
        scope: Any = cycle.scope
        response = self._kept.response(scope, bytes(cycle.body), cycle.default_headers)
        if response is not None:
            self._held = None
            cycle.response_started = cycle.response_complete = True
            self.transport.writelines(response)
            self.on_response_complete()
