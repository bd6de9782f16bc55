"""All websockets of the process: who may open one, and which are closed because their session ended."""

import asyncio
import logging
from collections.abc import Callable

from starlette.websockets import WebSocket

from domain.member import service as members
from schema.transport.contexts import Contexts
from schema.transport.credentials import is_foreign
from schema.transport.engine import Engine
from schema.transport.messages import PROTOCOL
from schema.transport.socket import Close, Socket, offered

_log = logging.getLogger(__name__)
_LEAST_SHARE = 0.9


class Sockets:
    """Answers `/graphql` over websockets. Times in seconds; `random` spreads reconnections, 0 to 1."""

    def __init__(
        self,
        engine: Engine,
        contexts: Contexts,
        *,
        init_seconds: float,
        life_seconds: float,
        watch_seconds: float,
        random: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._contexts = contexts
        self._init_seconds = init_seconds
        self._life_seconds = life_seconds
        self._watch_seconds = watch_seconds
        self._random = random
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
        life = self._life_seconds * (_LEAST_SHARE + (1 - _LEAST_SHARE) * self._random())
        socket = Socket(websocket, self._engine, self._contexts, init_seconds=self._init_seconds, life_seconds=life)
        self._open.add(socket)
        try:
            await socket.serve()
        finally:
            self._open.discard(socket)

    async def watch_sessions(self) -> None:
        """Close, again and again, the sockets whose sessions have ended; runs until it is cancelled."""
        while True:
            await asyncio.sleep(self._watch_seconds)
            try:
                await self.close_ended()
            except Exception as problem:  # noqa: BLE001 -- an edge: the database may be away, which ends no socket
                _log.warning("sessions of sockets not checked", extra={"error": repr(problem)})

    async def close_ended(self) -> None:
        """Close the sockets whose sessions are not live any more."""
        by_session = {socket: socket.session_id for socket in self._open if socket.session_id is not None}
        if not by_session:
            return
        live = await members.are_live(self._contexts.services.database, set(by_session.values()))
        for socket, session_id in by_session.items():
            if session_id not in live:
                await socket.close(Close.UNAUTHORIZED, "The session has ended")
