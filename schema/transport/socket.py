"""One websocket with graphql-transport-ws: its handshake, its operations, and why it is closed."""

import asyncio
import logging
from contextlib import aclosing, suppress
from math import inf
from typing import Any, assert_never

from graphql import OperationType

from domain.ids import SessionId
from resolvers.context import RequestFacts, Viewer
from schema.context import ApiContext
from schema.shared import ErrorCode
from schema.transport.channel import Channel, Disconnected
from schema.transport.connections import Close, Connections
from schema.transport.contexts import Contexts
from schema.transport.credentials import COOKIE, BadToken, Credentials, read_bearer, viewer_among_many
from schema.transport.engine import Engine, Operation
from schema.transport.faults import Kind, refused
from schema.transport.known import KnownStreams
from schema.transport.messages import (
    BadMessage,
    Complete,
    Init,
    Message,
    Ping,
    Pong,
    Subscribe,
    read_message,
)
from schema.transport.outlet import Outlet
from schema.transport.seated import Seated, dump
from schema.transport.wires import Gone, Wire

_log = logging.getLogger(__name__)
_ALLOWED = (OperationType.QUERY, OperationType.SUBSCRIPTION)


class Closing(Exception):
    """The socket is to be closed."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Socket:
    """One client."""

    __slots__ = (
        *("_channel", "_clock", "_closing", "_connections", "_contexts", "_count", "_engine", "_has_begun"),
        *("_is_acknowledged", "_is_cut", "_operations", "_outlet", "_serving", "_streams", "_viewer", "ends_at"),
    )

    def __init__(
        self,
        channel: Channel,
        engine: Engine,
        contexts: Contexts,
        wire: Wire,
        connections: Connections,
        streams: KnownStreams,
    ) -> None:
        self._viewer: Viewer | None = None
        self._channel = channel
        self._engine = engine
        self._contexts = contexts
        self._outlet = Outlet(wire, connections.post)
        self._connections = connections
        self._streams = streams
        self._has_begun = False
        self._is_acknowledged = False
        self._operations: dict[str, asyncio.Task[None] | Seated] = {}
        self._count = 0
        self._clock: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[Any] | None = None
        self._is_cut = False
        self.ends_at = inf
        """Once it has begun."""

    @property
    def session_id(self) -> SessionId | None:
        """The session behind the socket."""
        return self._viewer.session.id if self._viewer else None

    @property
    def blocked_at(self) -> float | None:
        """Since when the client takes nothing."""
        return self._outlet.blocked_at

    async def serve(self) -> None:
        """Answer until the client leaves, breaks the protocol, or the socket is old."""
        self._serving = asyncio.current_task()
        self._connections.add(self)
        self._close_in(self._connections.times.init, Close.INIT_TIMEOUT, "Connection initialisation timeout")
        try:
            while True:
                await self._handle(read_message(await self._receive(), self._engine.limits))
        except BadMessage as problem:
            await self.close(Close.BAD_MESSAGE, str(problem))
        except Closing as problem:
            await self.close(problem.code, problem.reason)
        except (Disconnected, Gone):
            pass
        except asyncio.CancelledError:
            if not self._is_cut:
                raise
        finally:
            self._connections.remove(self)
            if self._clock is not None:
                self._clock.cancel()
            if self._viewer is not None:
                self._connections.release(self._viewer.account.id)
            await self._end_operations()
            self._outlet.forget()

    async def close(self, code: Close, reason: str) -> None:
        """Close once; a client that has left is no fault, and one that takes nothing is not waited for."""
        text = reason.encode()[:123].decode("utf-8", "ignore")
        self._outlet.flush()  # by which it may be blocked
        if self._outlet.blocked_at is not None:
            self._is_cut = True
            self._outlet.cut(code.value, text)
            if self._serving is not None and self._serving is not asyncio.current_task():
                self._serving.cancel()
            return
        await self._channel.close(code.value, text)

    def end(self, operation_id: str, seated: Seated, problem: Exception | None) -> None:
        """A shared stream is over, with an error or in good order."""
        if self._operations.get(operation_id) is seated:
            del self._operations[operation_id]
            self._outlet.put_now((dump(self._ending(operation_id, problem, seated.request_id)),))

    def _close_soon(self, code: Close, reason: str) -> None:
        self._closing = asyncio.create_task(self.close(code, reason))

    async def _receive(self) -> str:
        text = (await self._channel.receive()).get("text")
        if text is None:
            raise BadMessage("Messages must be text")
        if len(text) > self._engine.limits.message:
            raise BadMessage(f"A message may have at most {self._engine.limits.message} bytes")
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
                self._stop(message.id)
            case _:
                assert_never(message)

    async def _begin(self, message: Init) -> None:
        if self._has_begun:
            raise Closing(Close.TWO_INITS, "Too many initialisation requests")
        self._has_begun = True
        self._close_in(self._connections.times.init, Close.TRY_LATER, "Try again later")  # the client has done its part
        channel, given = self._channel, message.authorization
        try:
            bearer = read_bearer(given if given is not None else channel.header(b"authorization"))
            credentials = Credentials(bearer, channel.cookie(COOKIE))
            viewer, ended = await viewer_among_many(self._contexts.services.desks, credentials)
        except BadToken as problem:
            raise Closing(Close.UNAUTHORIZED, "Unauthorized") from problem
        except Exception as problem:
            _log.warning("socket refused", exc_info=problem)
            raise Closing(Close.TRY_LATER, "Try again later") from problem
        if ended:
            raise Closing(Close.UNAUTHORIZED, "The session has ended")
        if viewer is not None and not self._connections.admit(viewer.account.id):
            raise Closing(Close.TRY_LATER, f"A member may have at most {self._connections.most_a_member} connections")
        self._viewer = viewer
        self._is_acknowledged = True
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        self.ends_at = self._connections.ends_at()
        await self._send({"type": "connection_ack"})

    def _close_in(self, seconds: float, code: Close, reason: str) -> None:
        """Unless something else comes first, which then is told instead."""
        if self._clock is not None:
            self._clock.cancel()
        self._clock = asyncio.get_running_loop().call_later(seconds, self._close_soon, code, reason)

    async def _subscribe(self, message: Subscribe) -> None:
        if not self._is_acknowledged:
            raise Closing(Close.UNAUTHORIZED, "Unauthorized")
        await self._outlet.ready()  # else refusals would be held without end for a client that takes nothing
        if message.id in self._operations:
            raise Closing(Close.ID_IN_USE, f"Subscriber for {message.id} already exists")
        refusal, most = message.refusal, self._engine.limits.operations_a_socket
        if len(self._operations) >= most:
            refusal = refused(Kind.DOCUMENT, f"A socket may have at most {most} operations.", ErrorCode.LIMIT_REACHED)
        if refusal is not None:
            await self._send(self._ending(message.id, refusal, self._next_request_id()))
            return
        known = self._streams.find(message.request)
        if known is None:
            self._operations[message.id] = asyncio.create_task(self._run(message))
            return
        context = self._context(self._next_request_id())
        self._operations[message.id] = seated = Seated(self, self._outlet, message.id, context.request.id)
        shared, after = known
        seated.begin(shared, context, after)

    def _stop(self, operation_id: str) -> None:
        """Nothing more is sent of it, whatever is on its way."""
        match self._operations.pop(operation_id, None):
            case Seated() as seated:
                seated.leave()
            case asyncio.Task() as task:
                task.cancel()

    async def _run(self, message: Subscribe) -> None:
        request_id = self._next_request_id()
        problem: Exception | None = None
        try:
            operation = self._engine.prepare(message.request, _ALLOWED)
            if await self._answer(message, operation, self._context(request_id)):
                return
        except Gone:
            return
        except Exception as found:  # noqa: BLE001 -- an edge: what ended a stream is reported, masked if it is unexpected
            problem = found
        if self._operations.get(message.id) is asyncio.current_task():
            del self._operations[message.id]
            with suppress(Gone):
                await self._send(self._ending(message.id, problem, request_id))

    async def _answer(self, message: Subscribe, operation: Operation, context: ApiContext) -> bool:
        """Send all there is to be sent; True when the rest is sent by others."""
        if operation.kind is OperationType.QUERY:
            answer = await self._engine.execute(operation, context)
            answer["extensions"] = {"requestId": context.request.id, "cost": operation.cost}
            await self._send({"id": message.id, "type": "next", "payload": answer})
            return False
        begun = await self._engine.begin(operation, context)
        if (shared := begun.shared) is not None:
            seated = Seated(self, self._outlet, message.id, context.request.id)
            await seated.join(shared, context, begun.stream)
            if seated.is_over:
                return False
            self._streams.remember(message.request, shared)
            self._operations[message.id] = seated
            return True
        async with aclosing(begun.answers()) as answers:
            async for answer in answers:
                await self._send({"id": message.id, "type": "next", "payload": answer})
        return False

    def _context(self, request_id: str) -> ApiContext:
        client = self._channel.scope.get("client")
        facts = RequestFacts(
            id=request_id,
            address=client[0] if client else "",
            user_agent=self._channel.header(b"user-agent"),
        )
        return self._contexts.make(facts, self._viewer)

    def _next_request_id(self) -> str:
        self._count += 1
        return f"{self._channel.request_id}.{self._count}"

    def _ending(self, operation_id: str, problem: Exception | None, request_id: str) -> dict[str, Any]:
        """The last message of an operation."""
        if problem is None:
            return {"id": operation_id, "type": "complete"}
        return {"id": operation_id, "type": "error", "payload": self._engine.errors.write_end(problem, request_id)}

    async def _send(self, message: dict[str, Any]) -> None:
        await self._outlet.send((dump(message),))

    async def _end_operations(self) -> None:
        ended, self._operations = list(self._operations.values()), {}
        tasks = [operation for operation in ended if isinstance(operation, asyncio.Task)]
        for operation in ended:
            if isinstance(operation, Seated):
                operation.leave()
            else:
                operation.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
