"""Who may open a websocket, and by which way its messages leave."""

from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from schema.transport.channel import Channel, Disconnected
from schema.transport.connections import FULL, Close, Connections
from schema.transport.contexts import Contexts
from schema.transport.credentials import is_foreign
from schema.transport.engine import Engine
from schema.transport.known import KnownStreams
from schema.transport.messages import PROTOCOL
from schema.transport.socket import Socket
from schema.transport.wires import EXTENSION, AsgiWire, Form, Wire, texts

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/graphql"


class Sockets:
    """ASGI middleware: answers `/graphql` over websockets, and leaves everything else to the application."""

    def __init__(self, app: "ASGIApp", engine: Engine, contexts: Contexts, connections: Connections) -> None:
        self._app = app
        self._engine = engine
        self._contexts = contexts
        self._connections = connections
        self._streams = KnownStreams()
        self._form = texts()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one client."""
        if scope["type"] != "websocket" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        channel = Channel(scope, receive, send)
        try:
            is_open = await self._open(channel)
        except Disconnected:
            return
        if is_open:
            wire = wire_of(channel, self._form)
            await Socket(channel, self._engine, self._contexts, wire, self._connections, self._streams).serve()

    async def _open(self, channel: Channel) -> bool:
        if is_foreign(Headers(scope=channel.scope), self._contexts.services.public_url):
            await channel.refuse()
            return False
        if PROTOCOL in channel.scope.get("subprotocols", []):
            await channel.accept(PROTOCOL)
            if not self._connections.is_full:
                return True
            await channel.close(Close.TRY_LATER.value, FULL)
            return False
        await channel.accept()
        await channel.close(Close.SUBPROTOCOL.value, f"Use the subprotocol {PROTOCOL}")
        return False


def wire_of(channel: Channel, form: Form[str]) -> Wire:
    """The server's own way out where it lends it."""
    lent: Wire | None = channel.scope.get("extensions", {}).get(EXTENSION)
    if lent is not None:
        return lent
    return AsgiWire(channel.send, form)
