"""A Sentry that takes what it is sent over HTTP, and keeps it."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import brotli

from tests.support.executions import until

_UNPACK = {"gzip": gzip.decompress, "br": brotli.decompress}


@dataclass
class Sentry:
    """Its address for PALPITE_SENTRY_DSN, the events, and everything that came over the wire."""

    dsn: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    wire: bytes = b""

    def take(self, envelope: bytes) -> None:
        """An envelope is lines of JSON: a header, then for each item a header and its content."""
        self.wire += envelope
        _, *items = envelope.strip().split(b"\n")
        for header, content in zip(items[::2], items[1::2], strict=True):
            if json.loads(header)["type"] == "event":
                self.events.append(json.loads(content))

    async def has(self, count: int) -> list[dict[str, Any]]:
        """The events, once there are so many."""

        async def are_there() -> bool:
            return len(self.events) >= count

        await until(are_there, within=30)
        return self.events


def tags_of(event: dict[str, Any]) -> dict[str, str]:
    """The tags of an event, with the type of its exception."""
    kinds = [error["type"] for error in event.get("exception", {}).get("values", [])]
    return dict(event["tags"]) | ({"type": kinds[-1]} if kinds else {})


@contextmanager
def running_sentry() -> Iterator[Sentry]:
    """A server for a block."""
    sentry = Sentry()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sentry.take(_UNPACK[self.headers["content-encoding"]](body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sentry.dsn = f"http://public@127.0.0.1:{server.server_address[1]}/1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield sentry
        finally:
            server.shutdown()
            thread.join()
