"""Owns the numbers that a process shows to Prometheus: its own registry, and gauges read from SQL when asked."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from domain.database import Database

_STATES = ("queued", "in_progress", "completed", "failed", "cancelled")
_COUNT_EXECUTIONS = text("SELECT state, count(*) AS total FROM executions GROUP BY state")
_OUTBOX_BACKLOG = text("SELECT count(*) FROM outbox WHERE not_before <= clock_timestamp()")
# Seconds since the oldest accepted result that no settlement has reached; 0 when there is none.
_SETTLEMENT_LAG = text(
    "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(r.accepted_at)), 0)::float8 FROM match_results r"
    " WHERE r.accepted_at IS NOT NULL AND NOT EXISTS (SELECT FROM settlements s"
    "   WHERE s.match_id = r.match_id AND s.revision >= r.revision)"
)


class Metrics:
    """The meters of one process; made once by its composition root and handed to whoever counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "palpite_http_requests", "HTTP requests", ["method", "path", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "palpite_http_request_seconds", "Time to the end of an HTTP answer", ["path"], registry=self.registry
        )
        self.sockets = Gauge("palpite_websockets", "Open websockets", registry=self.registry)
        self.executions = Gauge("palpite_executions", "Executions by state", ["state"], registry=self.registry)
        self.outbox_backlog = Gauge(
            "palpite_outbox_backlog", "Messages that are due and not sent", registry=self.registry
        )
        self.settlement_lag = Gauge(
            "palpite_settlement_lag_seconds", "Age of the oldest result that is not settled", registry=self.registry
        )
        self.scrape_failures = Counter(
            "palpite_scrape_failures", "Scrapes that could not read the database", registry=self.registry
        )

    async def read(self, database: "Database") -> None:
        """Read the gauges that the database knows; without it they keep their last values."""
        try:
            async with database.read() as connection:
                counts = {row.state: row.total for row in await connection.execute(_COUNT_EXECUTIONS)}
                backlog = (await connection.execute(_OUTBOX_BACKLOG)).scalar_one()
                lag = (await connection.execute(_SETTLEMENT_LAG)).scalar_one()
        except (SQLAlchemyError, OSError):
            self.scrape_failures.inc()
            return
        for state in _STATES:
            self.executions.labels(state).set(counts.get(state, 0))
        self.outbox_backlog.set(backlog)
        self.settlement_lag.set(lag)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)


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
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Measure one request or socket."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            with self._metrics.sockets.track_inprogress():
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
            self._metrics.requests.labels(_method(scope["method"]), path, str(status)).inc()
            self._metrics.request_seconds.labels(path).observe(self._clock() - started)


def _label(scope: "Scope") -> str:
    """The first part of a path that a route took, so that ids and scanners make no new series."""
    return "/" + scope["path"].strip("/").split("/", 1)[0] if "endpoint" in scope else "other"


def _method(name: str) -> str:
    return name if name in {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"} else "other"
