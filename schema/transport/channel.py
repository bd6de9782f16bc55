"""One websocket as ASGI hands it over, with nothing in between: thousands of them stay open."""

from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.requests import cookie_parser

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send


class Disconnected(Exception):
    """The client has left."""


class Channel:
    """Opened once, closed once."""

    __slots__ = ("_is_open", "_receive", "scope", "send")

    def __init__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        self.scope = scope
        self.send = send
        """Sends an event; raises what the server raises when the client has left."""
        self._receive = receive
        self._is_open = False

    @property
    def request_id(self) -> str:
        """That of the request which opened it."""
        return str(self.scope["state"]["request_id"])

    def header(self, name: bytes) -> str | None:
        """The first header of this name, in small letters."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), None)

    def cookie(self, name: str) -> str | None:
        header = self.header(b"cookie")
        return cookie_parser(header).get(name) if header is not None else None

    async def accept(self, subprotocol: str | None = None) -> None:
        """Open it.

        Raises:
            Disconnected: the client did not wait.
        """
        await self.receive()
        await self.send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
        self._is_open = True
        self.scope["state"]["status"] = 101

    async def refuse(self) -> None:
        """Do not open it: the client is answered with 403."""
        await self.receive()
        await self.send({"type": "websocket.close"})

    async def receive(self) -> "Message":
        """The next event of the client.

        Raises:
            Disconnected: there will be none.
        """
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Disconnected
        return message

    async def close(self, code: int, reason: str) -> None:
        """Close it once; a client that has left is no fault."""
        if self._is_open:
            self._is_open = False
            with suppress(OSError, RuntimeError):
                await self.send({"type": "websocket.close", "code": code, "reason": reason})
