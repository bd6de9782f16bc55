"""A client of GraphQL over server-sent events that reads raw bytes, as `curl` does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass
class Events:
    """One open answer."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    buffer: bytes = b""
    is_over: bool = False

    async def event(self, seconds: float = 10) -> tuple[str, Any]:
        """The next event, its name and its data; comments are passed over. ("end", None) when the answer ends."""
        async with asyncio.timeout(seconds):
            while True:
                block, found, rest = self.buffer.partition(b"\n\n")
                if found:
                    self.buffer = rest
                    if not block.startswith(b":"):
                        return _parsed(block)
                elif not await self._more():
                    return "end", None

    async def data(self, seconds: float = 10) -> Any:
        """The data of the next `next`."""
        name, payload = await self.event(seconds)
        assert name == "next", (name, payload)
        assert "errors" not in payload, payload
        return payload["data"]

    async def body(self) -> bytes:
        """All that is left of an answer that is no stream."""
        while await self._more():
            pass
        return self.buffer

    async def _more(self) -> bool:
        if self.is_over:
            return False
        if "content-length" in self.headers:
            self.buffer += await self.reader.readexactly(int(self.headers["content-length"]))
            self.is_over = True
            return True
        try:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            self.buffer += (await self.reader.readexactly(size + 2))[:-2]
        except (asyncio.IncompleteReadError, ConnectionError):
            size = 0
        self.is_over = size == 0
        return not self.is_over


def _parsed(block: bytes) -> tuple[str, Any]:
    fields = dict(line.split(b": ", 1) if b": " in line else (line.rstrip(b":"), b"") for line in block.split(b"\n"))
    data = fields.get(b"data", b"").strip()
    return fields[b"event"].decode(), orjson.loads(data) if data else None


@asynccontextmanager
async def event_stream(
    address: str,
    document: str,
    variables: dict[str, Any] | None = None,
    *,
    token: str | None = None,
    accept: str = "text/event-stream",
    target: str = "/graphql",
    method: str = "POST",
) -> AsyncIterator[Events]:
    """Ask for an operation and read the head of its answer."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = orjson.dumps({"query": document, "variables": variables}) if method == "POST" else b""
    head = [f"{method} {target} HTTP/1.1", f"Host: {address}", f"Accept: {accept}", f"Content-Length: {len(body)}"]
    head += ["Content-Type: application/json"] if body else []
    head += [f"Authorization: Bearer {token}"] if token else []
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        yield Events(int(lines[0].split()[1]), headers, reader, writer)
    finally:
        writer.transport.abort()
