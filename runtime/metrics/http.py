"""Owns GET /metrics, and the middleware that counts requests and sockets."""

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runtime.metrics.meters import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from domain.database import Database


def metrics_route(metrics: Metrics, database: "Database") -> Route:
    """GET /metrics."""

    async def endpoint(_: Request) -> Response:
        await metrics.read(database)
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"})

    return Route("/metrics", endpoint, methods=["GET"])


class CountRequests:
    """ASGI middleware that counts requests and open websockets; unknown paths share one label."""

    def __init__(self, app: "ASGIApp", metrics: Metrics, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._sockets = metrics.sockets
        # Finding a child by its labels costs more than counting; there are few, see `_label`.
        self._requests = cache(metrics.requests.labels)
        self._seconds = cache(metrics.request_seconds.labels)
        self._clock = clock

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Measure one request or socket."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            with self._sockets.track_inprogress():
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        status, started = 500, self._clock()

        async def noting(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            path = _label(scope)
            self._requests(_method(scope["method"]), path, str(status)).inc()
            self._seconds(path).observe(self._clock() - started)


def _label(scope: "Scope") -> str:
    """The first part of a path that a route took, so that ids and scanners make no new series."""
    return "/" + scope["path"].strip("/").split("/", 1)[0] if "endpoint" in scope else "other"


def _method(name: str) -> str:
    return name if name in {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"} else "other"
