"""GraphQL over HTTP: POST with JSON, GET for queries; answers by the GraphQL-over-HTTP document."""

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from graphql import OperationType
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from resolvers.context import CookieChange, RequestFacts
from schema.context import ApiContext
from schema.shared import ErrorCode
from schema.transport.contexts import Contexts
from schema.transport.credentials import (
    COOKIE,
    BadToken,
    Credentials,
    SessionCookie,
    is_foreign,
    read_bearer,
    viewer_of,
)
from schema.transport.engine import Engine, Operation
from schema.transport.extensions import closed, extensions
from schema.transport.faults import Kind, RequestRefused, refused
from schema.transport.requests import GraphQLRequest, read_json, read_query_string, read_request
from schema.transport.shortcut import written_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
_ANY = ("*/*", "application/*")
_NONE = re.compile(r"q\s*=\s*0(\.0{0,3})?")
_READING = ("GET", "HEAD")
_METHODS = (*_READING, "POST")


class HttpEndpoint:
    """Answers `/graphql` over HTTP."""

    def __init__(self, engine: Engine, contexts: Contexts, cookie: SessionCookie) -> None:
        self._engine = engine
        self._contexts = contexts
        self._cookie = cookie

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request by any method: a route that knows methods would refuse others in words of its own.

        Never raises for what a client can cause.
        """
        request = Request(scope, receive, send)
        answer = Answer(request.state.request_id, media_type(request.headers.get("accept")) or JSON)
        response = await self._answered(request, answer)
        if answer.cookie.token is not None:
            self._cookie.set(response, answer.cookie.token)
        elif answer.cookie.ended:
            self._cookie.delete(response)
        await response(scope, receive, send)

    async def _answered(self, request: Request, answer: "Answer") -> Response:
        if request.method not in _METHODS:
            refusal = refused(Kind.METHOD, "Send queries by GET or POST, mutations by POST.")
            response = answer.refuse(refusal, self._engine)
            response.headers["allow"] = ", ".join(_METHODS)
            return response
        try:
            return await self._respond(request, answer)
        except RequestRefused as refusal:
            return answer.refuse(refusal, self._engine)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as problem:  # noqa: BLE001 -- an edge: whatever is wrong, the answer is typed and masked
            answer.body["errors"] = self._engine.errors.write_exception(problem, answer.request_id)
            is_outage = answer.body["errors"][0]["extensions"]["code"] == ErrorCode.UNAVAILABLE
            return answer.response(Kind.UNAVAILABLE.value if is_outage else 500)

    async def _respond(self, request: Request, answer: "Answer") -> Response:
        if media_type(request.headers.get("accept")) is None:
            raise refused(
                Kind.NOT_ACCEPTABLE,
                f"Answers are {GRAPHQL_JSON} or {JSON}; accept one of them. For a browser there is /graphiql.",
            )
        parsed = await self._parse(request)
        context = await self._context(request, answer)
        operation = self._engine.prepare(parsed, allowed(request.method))
        return await self._execute(request, answer, operation, context)

    async def _execute(self, request: Request, answer: "Answer", operation: Operation, context: ApiContext) -> Response:
        self._refuse_foreign_pages(request, operation)
        answer.cost = operation.cost
        # One for both: what has errors, and is not shared for that, is executed for its own viewer.
        deadline = self._engine.deadline()
        try:
            shared = await self._shared(request, operation, answer, context, deadline)
            if shared is not None:
                return shared
            answer.body.update(await self._engine.execute_until(deadline, operation, context))
        except TimeoutError:
            answer.body.update(self._engine.late(context))
        finally:
            if operation.kind is OperationType.MUTATION:
                self._doubt_sessions(context)
        return answer.response(200)

    async def _shared(
        self, request: Request, operation: Operation, answer: "Answer", context: ApiContext, deadline: float
    ) -> Response | None:
        """The answer that is the same for all who ask, executed with nobody as the viewer; None when there is none.

        Raises:
            TimeoutError: it takes too long, whoever asks.
        """
        query = operation.query
        if query is None:
            return None
        for_all = context.for_all()
        execute = partial(self._engine.execute_until, deadline, operation, for_all)
        kept = await self._contexts.answers.answer(query, execute)
        if kept is None:
            return None
        if (written := written_of(request.scope)) is not None:
            self._contexts.answers.remember(written.wish, query, answer.content_type.encode())
        return answer.made(kept.data)

    async def _parse(self, request: Request) -> GraphQLRequest:
        limits = self._engine.limits
        if request.method in _READING:
            if len(request.url.query) > limits.body:
                raise refused(Kind.TOO_LARGE, f"A request may have at most {limits.body} bytes.")
            return read_query_string(request.query_params, limits)
        _require_json(request.headers)
        return read_request(read_json(await self._body(request), limits))

    async def _body(self, request: Request) -> bytes:
        most, body = self._engine.limits.body, bytearray()
        try:
            async with asyncio.timeout(self._engine.limits.body_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        raise refused(Kind.TOO_LARGE, f"A request may have at most {most} bytes.")
        except TimeoutError as problem:
            raise refused(Kind.SLOW, "The request took too long to arrive.") from problem
        return bytes(body)

    async def _context(self, request: Request, answer: "Answer") -> ApiContext:
        asked_at = self._contexts.sessions.now()
        try:
            credentials = Credentials(read_bearer(request.headers.get("authorization")), request.cookies.get(COOKIE))
            async with asyncio.timeout(self._engine.limits.request_seconds):
                viewer, ended = await viewer_of(self._contexts.services.database, credentials)
        except BadToken as problem:
            self._forget_session(request)
            message = "The session has ended, or the token is wrong; sign in again."
            raise refused(Kind.UNAUTHENTICATED, message, ErrorCode.UNAUTHENTICATED) from problem
        if ended:
            self._forget_session(request)
        elif (written := written_of(request.scope)) is not None:
            member_id = viewer.account.id if viewer is not None else None
            self._contexts.sessions.note(written.authorization, written.cookie, member_id, asked_at)
        facts = RequestFacts(
            id=answer.request_id,
            address=request.client.host if request.client else "",
            user_agent=request.headers.get("user-agent"),
        )
        context = self._contexts.make(facts, viewer, is_new_viewer=True)
        answer.cookie, answer.session_ended = context.cookie, ended
        context.cookie.ended = ended
        return context

    def _forget_session(self, request: Request) -> None:
        if (written := written_of(request.scope)) is not None:
            self._contexts.sessions.forget(written.authorization, written.cookie)

    def _doubt_sessions(self, context: ApiContext) -> None:
        """A write may have ended any session of its member, of which other requests and other headers are known."""
        for member_id in context.askers:
            self._contexts.sessions.doubt(member_id)

    def _refuse_foreign_pages(self, request: Request, operation: Operation) -> None:
        """A page elsewhere must not act with, or set, a visitor's cookie. Tokens are never sent by a browser itself."""
        if operation.kind is not OperationType.MUTATION:
            return
        is_by_token = request.headers.get("authorization") is not None
        if not is_by_token and is_foreign(request.headers, self._contexts.services.public_url):
            raise refused(Kind.FORBIDDEN, "Requests from pages of other sites are refused.", ErrorCode.FORBIDDEN)


class Answer:
    """What is known of an answer while it is made."""

    def __init__(self, request_id: str, media: str) -> None:
        self.request_id = request_id
        self.media = media
        self.cost = 0
        self.session_ended = False
        self.cookie = CookieChange()
        self.body: dict[str, Any] = {}

    def refuse(self, refusal: RequestRefused, engine: Engine) -> Response:
        """An answer without data."""
        self.body["errors"] = engine.errors.write(refusal.errors, self.request_id)
        return self.response(_status(refusal.kind, self.media), _headers(refusal.kind))

    def response(self, status: int, headers: Mapping[str, str] | None = None) -> Response:
        """The answer with its extensions."""
        self.body["extensions"] = self._extensions()
        return self._response(orjson.dumps(self.body), status, headers)

    def made(self, data: bytes) -> Response:
        """An answer whose data are JSON already."""
        return self._response(closed(data, self._extensions()))

    @property
    def content_type(self) -> str:
        """The media type as the answer names it."""
        return f"{self.media}; charset=utf-8"

    def _extensions(self) -> dict[str, Any]:
        return extensions(self.request_id, self.cost, session_ended=self.session_ended)

    def _response(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        told = {"cache-control": "no-store", **(headers or {})}
        return Response(body, status_code=status, headers=told, media_type=self.content_type)


def media_type(accept: str | None) -> str | None:
    """The type of the answer; None when the client takes neither of ours."""
    if accept is None or not accept.strip():
        return JSON
    ours = [
        (part if part in (JSON, GRAPHQL_JSON) else JSON)
        for part in accepted(accept)
        if part in (JSON, GRAPHQL_JSON, *_ANY)
    ]
    return ours[0] if ours else None


def accepted(accept: str) -> list[str]:
    """The types of an `Accept` header, but those with `q=0`, which it excludes."""
    parts = [[piece.strip().lower() for piece in part.split(";")] for part in accept.split(",")]
    return [kind for kind, *parameters in parts if not any(_NONE.fullmatch(piece) for piece in parameters)]


def allowed(method: str) -> tuple[OperationType, ...]:
    return (OperationType.QUERY,) if method in _READING else (OperationType.QUERY, OperationType.MUTATION)


def _require_json(headers: Headers) -> None:
    kind, *parameters = [part.strip().lower() for part in headers.get("content-type", "").split(";")]
    charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")]
    if kind != JSON or any(charset not in ("utf-8", "utf8") for charset in charsets):
        raise refused(Kind.MEDIA_TYPE, f"Send {JSON} in UTF-8.")
    if headers.get("content-encoding", "identity") != "identity":
        raise refused(Kind.MEDIA_TYPE, "Send the body uncompressed.")


def _status(kind: Kind, media: str) -> int:
    """Older clients take a refused document only with status 200."""
    if kind is not Kind.DOCUMENT:
        return int(kind.value)
    return 400 if media == GRAPHQL_JSON else 200


def _headers(kind: Kind) -> dict[str, str]:
    if kind is Kind.METHOD:
        return {"allow": "POST"}
    return {"www-authenticate": "Bearer"} if kind is Kind.UNAUTHENTICATED else {}
