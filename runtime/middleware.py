"""Owns what every request has: an id, a log line, bounded headers, and the headers that keep browsers safe."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from runtime.logging import log_context, name_task

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("palpite.access")
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MOST_HEADERS = 100
_HEADER_BYTES = 16 * 1024
# Pages set their own policy; everything else is no page and may load nothing.
SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_SAFE_NAMES = frozenset(name for name, _ in SAFE)


class RequestIds:
    """Gives each request and socket an id: the client's own when it is sane. Logs a line when it is over."""

    def __init__(
        self, app: "ASGIApp", new_id: Callable[[], str], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._app = app
        self._new_id = new_id
        self._clock = clock

    def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> Awaitable[None]:
        """Answer one request or socket."""
        if scope["type"] not in {"http", "websocket"}:
            return self._app(scope, receive, send)
        request_id = request_id_of(scope, self._new_id)
        scope.setdefault("state", {})["request_id"] = request_id
        serve = self._serve if scope["type"] == "websocket" else self._answer
        return serve(scope, receive, send, request_id)

    async def _serve(self, scope: "Scope", receive: "Receive", send: "Send", request_id: str) -> None:
        """A socket is handed the server's own `send`, and says itself that it was opened.

        It has a task of its own. Thousands stay open, and a block that names what they log would be held by each.
        """
        name_task(request_id)
        started = self._clock()
        try:
            await self._app(scope, receive, send)
        finally:
            note(scope, scope["state"].get("status", 0), self._clock() - started)

    async def _answer(self, scope: "Scope", receive: "Receive", send: "Send", request_id: str) -> None:
        status, started = 0, self._clock()

        async def noting(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _completed(message.get("headers", ()), request_id)
            await send(message)

        with log_context(request_id):
            try:
                if is_too_much(scope):
                    await PlainTextResponse("Too many headers.", 431)(scope, receive, noting)
                    return
                await self._app(scope, receive, noting)
            finally:
                note(scope, status, self._clock() - started)


def request_id_of(scope: "Scope", new_id: Callable[[], str]) -> str:
    """The client's own id when it is sane, else a new one."""
    given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
    return given if _SANE_ID.fullmatch(given) else new_id()


def is_noted() -> bool:
    """Whether requests are logged."""
    return _log.isEnabledFor(logging.INFO)


def note(scope: "Scope", status: int, seconds: float) -> None:
    """Log that a request is over. Paths only: what follows in an address may be private."""
    level = logging.DEBUG if scope["path"] in {"/healthz", "/readyz", "/metrics"} else logging.INFO
    if not _log.isEnabledFor(level):
        return
    fields = {
        "method": scope.get("method", "WEBSOCKET"),
        "path": _shown(scope["path"]),
        "status": status,
        "seconds": round(seconds, 4),
    }
    _log.log(level, "request", extra=fields)


def _completed(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """With the id, and with the safe headers that are not there; as bytes, for every answer pays for it."""
    found = list(headers)
    names = {name for name, _ in found}
    safe = SAFE if names.isdisjoint(_SAFE_NAMES) else [header for header in SAFE if header[0] not in names]
    return [*found, (b"x-request-id", request_id.encode()), *safe]


def is_too_much(scope: "Scope") -> bool:
    """Whether a request has more headers than one may have."""
    headers = scope["headers"]
    return len(headers) > _MOST_HEADERS or len(b"".join(chain.from_iterable(headers))) > _HEADER_BYTES


def _shown(path: str) -> str:
    """Tokens of files and codes of invites stand in paths; they are not for the log."""
    first, _, rest = path.strip("/").partition("/")
    return f"/{first}/..." if rest and first in {"files", "join"} else path[:200]
