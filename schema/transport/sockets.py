"""Who may open a websocket, and by which way its messages leave."""

from starlette.websockets import WebSocket

from schema.transport.connections import Close, Connections
from schema.transport.contexts import Contexts
from schema.transport.credentials import is_foreign
from schema.transport.engine import Engine
from schema.transport.known import KnownStreams
from schema.transport.messages import PROTOCOL
from schema.transport.socket import Socket
from schema.transport.wires import EXTENSION, AsgiWire, Wire


class Sockets:
    """Answers `/graphql` over websockets."""

    def __init__(self, engine: Engine, contexts: Contexts, connections: Connections) -> None:
        self._engine = engine
        self._contexts = contexts
        self._connections = connections
        self._streams = KnownStreams()

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client."""
        if is_foreign(websocket.headers, self._contexts.services.public_url):
            await websocket.close()  # before it is accepted: answered with 403
            return
        if PROTOCOL not in websocket.scope.get("subprotocols", []):
            await websocket.accept()
            await websocket.close(Close.SUBPROTOCOL.value, "Subprotocol not acceptable")
            return
        await websocket.accept(PROTOCOL)
        wire = wire_of(websocket)
        socket = Socket(websocket, self._engine, self._contexts, wire, self._connections, self._streams)
        with self._connections.holding(socket):
            await socket.serve()


def wire_of(websocket: WebSocket) -> Wire:
    """The server's own way out where it lends it."""
    lent: Wire | None = websocket.scope.get("extensions", {}).get(EXTENSION)
    if lent is not None:
        return lent
    return AsgiWire(websocket.send, lambda text: {"type": "websocket.send", "text": text.decode()})
