"""All websockets of the process: who may open one, and which are closed from here."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from starlette.websockets import WebSocket

from domain.member import service as members
from schema.transport.connections import Connections
from schema.transport.contexts import Contexts
from schema.transport.credentials import is_foreign
from schema.transport.engine import Engine
from schema.transport.messages import PROTOCOL
from schema.transport.outlet import Outlet, Post
from schema.transport.socket import Close, Socket, Times, offered
from schema.transport.wires import EXTENSION, AsgiWire, Wire

_log = logging.getLogger(__name__)
_LEAST_SHARE = 0.9


class Sockets:
    """Answers `/graphql` over websockets. `random` spreads reconnections, 0 to 1."""

    def __init__(
        self,
        engine: Engine,
        contexts: Contexts,
        *,
        connections: Connections,
        times: Times,
        watch_seconds: float,
        random: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._contexts = contexts
        self._connections = connections
        self._times = times
        self._watch_seconds = watch_seconds
        self._random = random
        self._post = Post(lambda: contexts.hub.is_reading)
        self._open: set[Socket] = set()

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client."""
        if is_foreign(websocket.headers, self._contexts.services.public_url):
            await websocket.close()  # before it is accepted: answered with 403
            return
        if not offered(websocket):
            await websocket.accept()
            await websocket.close(Close.SUBPROTOCOL.value, "Subprotocol not acceptable")
            return
        await websocket.accept(PROTOCOL)
        socket = self._socket(websocket)
        self._open.add(socket)
        try:
            await socket.serve()
        finally:
            self._open.discard(socket)

    async def watch(self) -> None:
        """Close, again and again, the sockets whose sessions have ended or who are too slow, until cancelled."""
        while True:
            await asyncio.sleep(self._watch_seconds)
            try:
                await self.close_slow()
                await self.close_ended()
            except Exception as problem:  # noqa: BLE001 -- an edge: the database may be away, which ends no socket
                _log.warning("sessions of sockets not checked", extra={"error": repr(problem)})

    async def close_slow(self) -> None:
        """Close the sockets that have taken nothing for too long."""
        now = monotonic()
        for socket in [found for found in self._open if found.is_too_slow(now)]:
            await socket.close(Close.TRY_LATER, "Messages were not taken; connect again, with `after`")

    async def close_ended(self) -> None:
        """Close the sockets whose sessions are not live any more."""
        by_session = {socket: socket.session_id for socket in self._open if socket.session_id is not None}
        if not by_session:
            return
        live = await members.are_live(self._contexts.services.database, set(by_session.values()))
        for socket, session_id in by_session.items():
            if session_id not in live:
                await socket.close(Close.UNAUTHORIZED, "The session has ended")

    def _socket(self, websocket: WebSocket) -> Socket:
        life = self._times.life * (_LEAST_SHARE + (1 - _LEAST_SHARE) * self._random())
        outlet = Outlet(wire_of(websocket), self._post)
        return Socket(
            websocket, self._engine, self._contexts, outlet, replace(self._times, life=life), self._connections
        )


def wire_of(websocket: WebSocket) -> Wire:
    """The server's own way out where it lends it."""
    lent: Wire | None = websocket.scope.get("extensions", {}).get(EXTENSION)
    if lent is not None:
        return lent
    return AsgiWire(websocket.send, lambda text: {"type": "websocket.send", "text": text.decode()})
