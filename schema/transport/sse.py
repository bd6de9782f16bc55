"""GraphQL over server-sent events, distinct connections: a request is one operation, answered by `next` and `complete`.

Streams mean what they mean on a socket, are under the same limits, and share the same executions.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import orjson
from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import LimitReached, Unauthenticated
from domain.ids import SessionId
from schema.context import ApiContext
from schema.shared import ErrorCode
from schema.transport.connections import FULL, Close, Connections
from schema.transport.contexts import Contexts
from schema.transport.credentials import SessionCookie
from schema.transport.engine import Engine, Operation
from schema.transport.extensions import extensions
from schema.transport.faults import Kind, RequestRefused, refused
from schema.transport.http import Answer, HttpEndpoint, accepted, allowed, media_type
from schema.transport.outlet import Outlet
from schema.transport.wires import AsgiWire, Gone, Message, Wire, bodies

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from live.batches import Line
    from live.seats import Seat

EVENT_STREAM = "text/event-stream"
_CONTENT_TYPE = f"{EVENT_STREAM}; charset=utf-8"
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_COMMENT = b":\n\n"
_COMMENT_SECONDS = 12.0
"""Between two comments: proxies cut what is silent for half a minute."""
_NEXT, _END = b"event: next\ndata: ", b"\n\n"
_COMPLETE = b"event: complete\ndata: \n\n"


class _Wanted(Enum):
    NOT = 0
    FOR_STREAMS = 1
    ALWAYS = 2


class EventEndpoint(HttpEndpoint):
    """Answers `/graphql` over HTTP, by events to whom asks for them."""

    def __init__(self, engine: Engine, contexts: Contexts, cookie: SessionCookie, connections: Connections) -> None:
        super().__init__(engine, contexts, cookie)
        self._connections = connections

    async def _respond(self, request: Request, answer: Answer) -> Response:
        wanted = _wanted(request.headers.get("accept"))
        if wanted is _Wanted.NOT:
            return await super()._respond(request, answer)
        parsed = await self._parse(request)
        context = await self._context(request, answer)
        try:
            operation = self._engine.prepare(parsed, (*allowed(request.method), OperationType.SUBSCRIPTION))
            if operation.kind is OperationType.SUBSCRIPTION:
                if self._connections.is_full:
                    raise refused(Kind.UNAVAILABLE, f"{FULL}.", ErrorCode.UNAVAILABLE)
                return EventStream(self._engine, self._connections, context, operation)
            if wanted is _Wanted.ALWAYS:
                # Kept answers are known by the bytes of their requests, and are sent as JSON: this one is none of them.
                return _told(await self._execute(request, answer, replace(operation, query=None), context))
            return await self._execute(request, answer, operation, context)
        except RequestRefused as refusal:
            if wanted is _Wanted.ALWAYS and refusal.kind is Kind.DOCUMENT:
                return _told(answer.refuse(refusal, self._engine))
            raise


class EventStream(Response):
    """One subscription. Queries and mutations are over before their headers are sent, which may set cookies."""

    def __init__(self, engine: Engine, connections: Connections, context: ApiContext, operation: Operation) -> None:
        super().__init__(None, 200, _HEADERS, _CONTENT_TYPE)
        del self.headers["content-length"]
        self._engine = engine
        self._connections = connections
        self._context = context
        self._operation = operation
        self.line: Line | None = None
        """None always: each event is framed by `put`."""
        self.ends_at = connections.ends_at()
        self._ended = asyncio.Event()
        self._outlet: Outlet | None = None
        self._seat: Seat[Any, Any, Any, Any] | None = None

    @property
    def session_id(self) -> SessionId | None:
        return self._context.viewer.session.id if self._context.viewer else None

    @property
    def blocked_at(self) -> float | None:
        return self._outlet.blocked_at if self._outlet is not None else None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer until the operation is over, the client leaves, or the stream is old."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":  # it would go on unseen, and hold up what the client asks next
            await send({"type": "http.response.body", "body": b""})
            return
        wire = AsgiWire(send, bodies())
        self._outlet = outlet = Outlet(wire, self._connections.post)
        work = [asyncio.create_task(self._work(outlet)), asyncio.create_task(_left(receive))]
        self._connections.add(self)
        try:
            await self._comment_until_over(outlet, work)
        finally:
            self._connections.remove(self)
            if self._seat is not None:
                outlet.leave(self)
                self._seat.leave()
                self._seat = None
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        outlet.forget()
        if outlet.is_ready:
            await send({"type": "http.response.body", "body": b""})

    async def close(self, code: Close, reason: str) -> None:
        """Close once. But for a right that is lost without `complete`: the client connects again."""
        if self._outlet is None:
            return
        if self._outlet.blocked_at is not None:
            self._outlet.cut(code, reason)
        elif code is Close.UNAUTHORIZED:
            self.end(Unauthenticated(reason))
        self._ended.set()

    @property
    def is_ready(self) -> bool:
        return self._outlet is not None and self._outlet.is_ready

    def put(self, payloads: Sequence[bytes]) -> bool:
        """From the cohort: what all are sent."""
        # Without the brace that closes a message of a socket.
        return self._outlet is not None and self._outlet.put(self, [(_NEXT, each[:-1] + _END) for each in payloads])

    def end(self, problem: Exception | None) -> None:
        """From the cohort: the stream is over."""
        if self._outlet is not None:
            self._outlet.flush()
            if problem is not None:
                self._outlet.put_now(self._failure(problem))
            self._outlet.put_now((_COMPLETE,))
        self._ended.set()

    def wake(self) -> None:
        """From the outlet: the client takes messages again."""
        if self._seat is not None:
            self._seat.wake()

    def lend(self, wire: Wire | None) -> None:
        """From the outlet, for who has a line of its own."""

    async def _comment_until_over(self, outlet: Outlet, work: "list[asyncio.Task[None]]") -> None:
        over = asyncio.create_task(self._ended.wait())
        try:
            while True:
                if outlet.is_ready:
                    outlet.put_now((_COMMENT,))
                done, _ = await asyncio.wait(
                    [over, *work], timeout=_COMMENT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    return
        finally:
            over.cancel()

    async def _work(self, outlet: Outlet) -> None:
        problem: Exception | None = None
        try:
            await self._run(outlet)
        except Gone:
            return
        except Exception as found:  # noqa: BLE001 -- an edge: what ended a stream is told, masked if it is unexpected
            problem = found
        if not self._ended.is_set():
            self.end(problem)

    async def _run(self, outlet: Outlet) -> None:
        member = self._context.viewer.account.id if self._context.viewer else None
        if member is not None and not self._connections.admit(member):
            raise LimitReached(f"A member may have at most {self._connections.most_a_member} connections.")
        try:
            await self._follow(outlet)
        finally:
            if member is not None:
                self._connections.release(member)

    async def _follow(self, outlet: Outlet) -> None:
        begun = await self._engine.begin(self._operation, self._context)
        if (shared := begun.shared) is not None:
            self._seat = await shared.join(self._context, begun.stream, self)
            outlet.join(self)
            await self._ended.wait()
            return
        async with aclosing(begun.answers()) as answers:
            async for answer in answers:
                await outlet.send(_next(answer))

    def _failure(self, problem: Exception) -> Message:
        request_id = self._context.request.id
        told = extensions(request_id, self._operation.cost, session_ended=self._context.cookie.ended)
        return _next({"errors": self._engine.errors.write_end(problem, request_id), "extensions": told})


async def _left(receive: "Receive") -> None:
    """Until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _told(answer: Response) -> Response:
    """An answer in JSON, as events; that it was refused, its errors say."""
    body = b"".join((_NEXT, answer.body, _END, _COMPLETE))
    return Response(body, 200, _HEADERS, _CONTENT_TYPE)


def _next(answer: Mapping[str, Any]) -> Message:
    return (_NEXT, orjson.dumps(answer) + _END)


def _wanted(accept: str | None) -> _Wanted:
    """A client that takes JSON too gets events for streams alone."""
    if EVENT_STREAM not in accepted(accept or ""):
        return _Wanted.NOT
    return _Wanted.FOR_STREAMS if media_type(accept) is not None else _Wanted.ALWAYS
