"""Owns the meters of one process, in a registry of its own."""

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from runtime.metrics.operations import OperationsMeters

if TYPE_CHECKING:
    from domain.database import Database


class Metrics:
    """Made once by the composition root and handed to whoever counts."""

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
        self.live_windows = Gauge("palpite_live_windows", "Windows watched by streams", registry=self.registry)
        tasks = Gauge("palpite_tasks", "Tasks of the event loop", registry=self.registry)
        tasks.set_function(lambda: len(asyncio.all_tasks()))
        self._operations = OperationsMeters(self.registry)

    async def read(self, database: "Database") -> None:
        """Read what the database knows; without it those gauges keep their last values."""
        await self._operations.read(database)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
