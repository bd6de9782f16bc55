"""A relay between websocket clients and the API that loses deltas, cuts connections or lets them fall silent, refuses,
and notes where clients resume."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.api import PROTOCOL, open_socket


class LossyRelay:
    """Carries messages as they are."""

    def __init__(self, address: str) -> None:
        self.resumed: list[Any] = []
        """`after` of each subscription so far."""
        self.lost: list[dict[str, Any]] = []
        """Deltas that no client was given."""
        self._address = address
        self._loses = False
        self._refusal: str | None = None
        self._open: set[ServerConnection] = set()
        self._silent: set[ServerConnection] = set()

    def lose_one(self) -> None:
        """Lose the next delta."""
        self._loses = True

    def refuse_one(self, code: str) -> None:
        """Answer the next subscription with an error."""
        self._refusal = code

    def cut(self) -> None:
        """Drop all connections, without a farewell."""
        for connection in self._open:
            connection.transport.abort()

    def hush(self) -> None:
        """Keep all connections, and carry nothing on them any more."""
        self._silent |= self._open

    async def handle(self, client: ServerConnection) -> None:
        """One client, until either side is gone."""
        self._open.add(client)
        async with open_socket(self._address) as server:
            work = [asyncio.create_task(self._up(client, server)), asyncio.create_task(self._down(server, client))]
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        self._open.discard(client)

    async def _up(self, client: ServerConnection, server: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            async for text in client:
                message = orjson.loads(text)
                if client in self._silent:
                    continue
                if message["type"] == "subscribe":
                    self.resumed.append(message["payload"]["variables"].get("after"))
                    if self._refusal is not None:
                        await client.send(_error(message["id"], self._refusal))
                        self._refusal = None
                        continue
                await server.send(text)

    async def _down(self, server: ClientConnection, client: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for text in server:
                message = orjson.loads(text)
                if client in self._silent:
                    continue
                if message["type"] == "next":
                    event = message["payload"]["data"]["leaderboardUpdates"]
                    if self._loses and event["__typename"] == "LeaderboardDelta":
                        self._loses = False
                        self.lost.append(event)
                        continue
                await client.send(text)


def _error(operation_id: str, code: str) -> str:
    errors = [{"message": "Not now.", "extensions": {"code": code}}]
    return orjson.dumps({"id": operation_id, "type": "error", "payload": errors}).decode()


@asynccontextmanager
async def lossy_relay(address: str) -> AsyncIterator[tuple[LossyRelay, str]]:
    """A relay before an API at `host:port`, and its own `host:port`."""
    relay = LossyRelay(address)
    server: Server
    async with serve(relay.handle, "127.0.0.1", 0, subprotocols=[Subprotocol(PROTOCOL)], close_timeout=1) as server:
        yield relay, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
