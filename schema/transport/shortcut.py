"""The short way to answers that are kept: a request is known by its bytes, before anything of it is parsed."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from schema.transport.answers import Found, SharedAnswers
from schema.transport.begun import Ended, begin
from schema.transport.extensions import closed, extensions
from schema.transport.sessions import KnownSessions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/graphql"
_PATIENCE = 1.0
"""Seconds for each part of a body to come before it goes the long way, where slow ones are dealt with."""
_MOST_MESSAGES = 2
"""A server hands a short body over at once, and may tell its end apart."""
_WRITTEN = "written"
_NAMES = frozenset({b"accept", b"content-type", b"content-encoding", b"authorization", b"cookie"})


class Written(NamedTuple):
    """A request as its client wrote it: all that decides whether and how it is answered."""

    wish: tuple[bytes, ...]
    """Body, and the headers that say in which form it comes and the answer goes."""
    authorization: bytes
    cookie: bytes


class Shortcut:
    """ASGI middleware: answers by what is kept; everything else goes the long way, with its bytes noted."""

    def __init__(self, app: "ASGIApp", answers: SharedAnswers, sessions: KnownSessions) -> None:
        self._app = app
        self._answers = answers
        self._sessions = sessions

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        if scope["type"] != "http" or not is_ours(scope) or _WRITTEN in scope["state"]:
            await self._app(scope, receive, send)
            return
        received, body = await _short_body(receive)
        found = find_kept(self._answers, self._sessions, scope, body) if body is not None else None
        if found is None:
            await self._app(scope, _again(received, receive), send)
            return
        scope["endpoint"] = self  # as a router says that the path is one of ours
        told = extensions(scope["state"]["request_id"], found.kept.query.cost)
        await _answer(closed(found.kept.data, told), found.media, send)


def find_kept(answers: SharedAnswers, sessions: KnownSessions, scope: "Scope", body: bytes) -> Found | None:
    """What is kept for a request whose session is known to be good. That it was looked for is noted in the scope.

    Who looked again would find that somebody renews it already, take the former one, and nobody would renew it.
    """
    scope["state"][_WRITTEN] = written = _read(scope["headers"], body)
    if written is None:
        return None
    found = answers.find(written.wish)
    # The session first: who is not let in renews nothing.
    if found is None or not sessions.are_good(written.authorization, written.cookie):
        return None
    return None if answers.is_to_renew(found.kept) else found


def written_of(scope: "Scope") -> Written | None:
    """A request as its client wrote it, where that is known."""
    found: Written | None = scope["state"].get(_WRITTEN)
    return found


async def _answer(body: bytes, media: bytes, send: "Send") -> None:
    headers = [
        (b"content-type", media),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def is_ours(scope: "Scope") -> bool:
    """Whether a request over HTTP may be one whose answer is kept."""
    return bool(scope["path"] == PATH and scope["method"] == "POST")


def _read(headers: "Iterable[tuple[bytes, bytes]]", body: bytes) -> Written | None:
    """A request with its whole body, as its client wrote it.

    None when it says something twice, or says nothing by a header: then nobody but the long way decides what is meant.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _NAMES:
            if name in found or not value:
                return None
            found[name] = value
    said = found.get
    return Written(
        (body, said(b"accept", b""), said(b"content-type", b""), said(b"content-encoding", b"")),
        said(b"authorization", b""),
        said(b"cookie", b""),
    )


async def _short_body(receive: "Receive") -> "tuple[list[Message], bytes | None]":
    """What was received, and the body if that is all of it; None when it is slow, long or broken off."""
    received: list[Message] = []
    with suppress(TimeoutError):
        while len(received) < _MOST_MESSAGES:
            received.append(await _soon(receive))
            if received[-1]["type"] == "http.request" and not received[-1].get("more_body"):
                return received, b"".join([message.get("body", b"") for message in received])
    return received, None


async def _soon(receive: "Receive") -> "Message":
    """The next message; a timer is only set when it is not there yet."""
    receiving = begin(receive())
    if isinstance(receiving, Ended):
        return receiving.value
    async with asyncio.timeout(_PATIENCE):
        return await receiving


def _again(received: "list[Message]", receive: "Receive") -> "Receive":
    """Receive what was received already, then the rest."""
    waiting = iter(received)

    async def receive_again() -> "Message":
        return next(waiting, None) or await receive()

    return receive_again
