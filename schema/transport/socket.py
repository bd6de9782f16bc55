"""One websocket with graphql-transport-ws: its handshake, its operations, and why it is closed."""

import asyncio
import logging
from contextlib import suppress
from enum import IntEnum
from typing import Any, assert_never

import orjson
from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from domain.ids import SessionId
from resolvers.context import RequestFacts, Viewer
from schema.context import ApiContext
from schema.shared import ErrorCode
from schema.transport.contexts import Contexts
from schema.transport.credentials import COOKIE, BadToken, Credentials, read_bearer, viewer_of
from schema.transport.engine import Engine, Operation
from schema.transport.faults import Kind, RequestRefused, refused
from schema.transport.messages import (
    PROTOCOL,
    BadMessage,
    Complete,
    Init,
    Message,
    Ping,
    Pong,
    Subscribe,
    read_message,
)

_log = logging.getLogger(__name__)
_ALLOWED = (OperationType.QUERY, OperationType.SUBSCRIPTION)


class Close(IntEnum):
    """Close codes of the protocol, and of websockets."""

    RESTART = 1012
    INTERNAL = 1011
    TRY_LATER = 1013
    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    SUBPROTOCOL = 4406
    INIT_TIMEOUT = 4408
    ID_IN_USE = 4409
    TWO_INITS = 4429


class Closing(Exception):
    """The socket is to be closed."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Socket:
    """One client. `life_seconds` and `init_seconds` bound it."""

    def __init__(
        self, websocket: WebSocket, engine: Engine, contexts: Contexts, *, init_seconds: float, life_seconds: float
    ) -> None:
        self._websocket = websocket
        self._engine = engine
        self._contexts = contexts
        self._init_seconds = init_seconds
        self._life_seconds = life_seconds
        self._viewer: Viewer | None = None
        self._has_begun = False
        self._is_acknowledged = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._count = 0

    @property
    def session_id(self) -> SessionId | None:
        """The session behind the socket."""
        return self._viewer.session.id if self._viewer else None

    async def serve(self) -> None:
        """Answer until the client leaves, breaks the protocol, or the socket is old."""
        clock = asyncio.create_task(self._end_in_time())
        try:
            while True:
                await self._handle(read_message(await self._receive(), self._engine.limits))
        except BadMessage as problem:
            await self.close(Close.BAD_MESSAGE, str(problem))
        except Closing as problem:
            await self.close(problem.code, problem.reason)
        except WebSocketDisconnect:
            pass
        finally:
            await _end([clock, *self._operations.values()])

    async def close(self, code: Close, reason: str) -> None:
        """Close once; a client that has left is no fault."""
        with suppress(WebSocketDisconnect, RuntimeError):
            if self._websocket.application_state is WebSocketState.CONNECTED:
                await self._websocket.close(code.value, reason.encode()[:123].decode("utf-8", "ignore"))

    async def _receive(self) -> str:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None:
            raise BadMessage("Messages must be text")
        if len(text) > self._engine.limits.message:
            raise BadMessage(f"A message may have {self._engine.limits.message} bytes")
        return str(text)

    async def _handle(self, message: Message) -> None:
        match message:
            case Init():
                await self._begin(message)
            case Ping():
                answer: dict[str, Any] = {"type": "pong"}
                if message.payload is not None:
                    answer["payload"] = message.payload
                await self._send(answer)
            case Pong():
                pass
            case Subscribe():
                await self._subscribe(message)
            case Complete():
                if (task := self._operations.pop(message.id, None)) is not None:
                    task.cancel()
            case _:
                assert_never(message)

    async def _begin(self, message: Init) -> None:
        if self._has_begun:
            raise Closing(Close.TWO_INITS, "Too many initialisation requests")
        self._has_begun = True
        headers = self._websocket.headers
        try:
            given = message.authorization if message.authorization is not None else headers.get("authorization")
            credentials = Credentials(read_bearer(given), self._websocket.cookies.get(COOKIE))
            self._viewer, ended = await viewer_of(self._contexts.services.database, credentials)
        except BadToken as problem:
            raise Closing(Close.UNAUTHORIZED, "Unauthorized") from problem
        except Exception as problem:
            _log.warning("socket refused", exc_info=problem)
            raise Closing(Close.TRY_LATER, "Try again later") from problem
        if ended:
            raise Closing(Close.UNAUTHORIZED, "The session has ended")
        self._is_acknowledged = True
        await self._send({"type": "connection_ack"})

    async def _subscribe(self, message: Subscribe) -> None:
        if not self._is_acknowledged:
            raise Closing(Close.UNAUTHORIZED, "Unauthorized")
        if message.id in self._operations:
            raise Closing(Close.ID_IN_USE, f"Subscriber for {message.id} already exists")
        if len(self._operations) >= self._engine.limits.operations_a_socket:
            most = self._engine.limits.operations_a_socket
            refusal = refused(Kind.DOCUMENT, f"A socket may have {most} operations.", ErrorCode.LIMIT_REACHED)
            await self._send_errors(message.id, refusal, self._next_request_id())
            return
        self._operations[message.id] = asyncio.create_task(self._run(message))

    async def _run(self, message: Subscribe) -> None:
        request_id = self._next_request_id()
        ending: dict[str, Any] = {"id": message.id, "type": "complete"}
        try:
            operation = self._engine.prepare(message.request, _ALLOWED)
            await self._answer(message.id, operation, self._context(request_id))
        except RequestRefused as refusal:
            ending = self._errors(message.id, self._engine.errors.write(refusal.errors, request_id))
        except WebSocketDisconnect:
            return
        except Exception as problem:  # noqa: BLE001 -- an edge: what ended a stream is told, masked if it is unexpected
            ending = self._errors(message.id, self._engine.errors.write_exception(problem, request_id))
        if self._operations.get(message.id) is asyncio.current_task():
            del self._operations[message.id]
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._send(ending)

    async def _answer(self, operation_id: str, operation: Operation, context: ApiContext) -> None:
        if operation.kind is OperationType.QUERY:
            answer = await self._engine.execute(operation, context)
            answer["extensions"] = {"requestId": context.request.id, "cost": operation.cost}
            await self._send({"id": operation_id, "type": "next", "payload": answer})
            return
        stream = self._engine.subscribe(operation, context)
        try:
            async for answer in stream:
                await self._send({"id": operation_id, "type": "next", "payload": answer})
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    def _context(self, request_id: str) -> ApiContext:
        client = self._websocket.client
        facts = RequestFacts(
            id=request_id,
            address=client.host if client else "",
            user_agent=self._websocket.headers.get("user-agent"),
            can_set_cookies=False,
        )
        return self._contexts.make(facts, self._viewer)

    def _next_request_id(self) -> str:
        self._count += 1
        return f"{self._websocket.state.request_id}.{self._count}"

    async def _send_errors(self, operation_id: str, refusal: RequestRefused, request_id: str) -> None:
        await self._send(self._errors(operation_id, self._engine.errors.write(refusal.errors, request_id)))

    @staticmethod
    def _errors(operation_id: str, errors: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": operation_id, "type": "error", "payload": errors}

    async def _send(self, message: dict[str, Any]) -> None:
        if self._websocket.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnect
        await self._websocket.send_text(orjson.dumps(message).decode())

    async def _end_in_time(self) -> None:
        await asyncio.sleep(self._init_seconds)
        if not self._has_begun:
            await self.close(Close.INIT_TIMEOUT, "Connection initialisation timeout")
            return
        await asyncio.sleep(max(self._life_seconds - self._init_seconds, 0))
        await self.close(Close.RESTART, "Connect again")


async def _end(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task


def offered(websocket: WebSocket) -> bool:
    """Whether the client speaks our protocol."""
    return PROTOCOL in websocket.scope.get("subprotocols", [])
