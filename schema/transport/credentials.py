"""Who asks: the session behind a bearer token or a cookie."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from domain.database import Database
from domain.member import service as members
from domain.member.model import Account, Session
from resolvers.context import Viewer
from resolvers.desks import Desks

COOKIE = "palpite_session"
_LONGEST_TOKEN = 512


class BadToken(Exception):
    """A bearer token that is unknown or ended: refused, never taken as nobody."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request came with."""

    bearer: str | None
    cookie: str | None

    @property
    def by_cookie(self) -> bool:
        """Whether a browser sent them by itself."""
        return self.bearer is None and self.cookie is not None


class SessionCookie:
    """How the session cookie is written: no script reads it, and other sites' forms do not send it."""

    def __init__(self, *, secure: bool, days: float) -> None:
        self._seconds = round(days * 86_400)
        self._options: dict[str, Any] = {"path": "/", "secure": secure, "httponly": True, "samesite": "lax"}

    def set(self, response: Response, token: str) -> None:
        """Hand a session over."""
        response.set_cookie(COOKIE, token, max_age=self._seconds, **self._options)

    def delete(self, response: Response) -> None:
        """Take it away."""
        response.delete_cookie(COOKIE, **self._options)


def read_bearer(header: object) -> str | None:
    """The token of an `Authorization` header; None when there is no header.

    Raises:
        BadToken: it is something else.
    """
    if header is None:
        return None
    scheme, _, token = header.partition(" ") if isinstance(header, str) else ("", "", "")
    if scheme.lower() != "bearer" or not 1 <= len(token.strip()) <= _LONGEST_TOKEN:
        raise BadToken
    return token.strip()


async def viewer_of(database: Database, credentials: Credentials) -> tuple[Viewer | None, bool]:
    """Who is signed in, and whether a cookie was sent whose session has ended.

    Raises:
        BadToken: the bearer token is unknown or ended.
    """
    return await _viewer(lambda token: members.authenticate(database, token), credentials)


async def viewer_among_many(desks: Desks, credentials: Credentials) -> tuple[Viewer | None, bool]:
    """The same, for clients that come many at once: one statement reads the sessions of all of them."""

    async def authenticate(token: str) -> tuple[Session, Account] | None:
        return (await desks.read(members.authenticate_all, [token])).get(token)

    return await _viewer(authenticate, credentials)


def is_foreign(headers: Mapping[str, str], public_url: str) -> bool:
    """Whether a page of another origin makes this request; without an `Origin` no page does."""
    origin = headers.get("origin")
    if origin is None:
        return False
    if origin.lower() == origin_of(public_url):
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:  # no address at all, so none of ours
        return True
    return parts.scheme not in {"http", "https"} or parts.netloc.lower() != headers.get("host", "").lower()


def origin_of(url: str) -> str:
    """Scheme and host of an address, as browsers write them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


async def _viewer(
    authenticate: Callable[[str], Awaitable[tuple[Session, Account] | None]], credentials: Credentials
) -> tuple[Viewer | None, bool]:
    token = credentials.bearer if credentials.bearer is not None else credentials.cookie
    if token is None:
        return None, False
    found = await authenticate(token[:_LONGEST_TOKEN])
    if found is not None:
        return Viewer(*found), False
    if credentials.bearer is not None:
        raise BadToken
    return None, True
