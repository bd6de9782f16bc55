"""Who asks: the session behind a bearer token or a cookie."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from domain.database import Database
from domain.member import service as members
from resolvers.context import Viewer

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
    if credentials.bearer is not None:
        viewer = await _authenticate(database, credentials.bearer)
        if viewer is None:
            raise BadToken
        return viewer, False
    if credentials.cookie is None:
        return None, False
    viewer = await _authenticate(database, credentials.cookie[:_LONGEST_TOKEN])
    return viewer, viewer is None


def is_foreign(headers: Mapping[str, str], public_url: str) -> bool:
    """Whether a page of another origin makes this request; without an `Origin` no page does."""
    origin = headers.get("origin")
    if origin is None:
        return False
    if origin.lower() == origin_of(public_url):
        return False
    parts = urlsplit(origin)
    return parts.scheme not in {"http", "https"} or parts.netloc.lower() != headers.get("host", "").lower()


def origin_of(url: str) -> str:
    """Scheme and host of an address, as browsers write them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


async def _authenticate(database: Database, token: str) -> Viewer | None:
    found = await members.authenticate(database, token)
    return Viewer(*found) if found is not None else None
