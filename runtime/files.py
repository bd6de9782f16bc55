"""Owns addresses of stored files: signed, short-lived, and what is sent for them.

They are ours whatever the store is, so they can be given out without asking it. A store that hands files out itself is
asked when somebody comes for one, and the client is sent on to it.
"""

import base64
import binascii
import hmac
from hashlib import sha256

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from domain.clock import Clock
from domain.execution.ports import ObjectStore

LIFE_SECONDS = 900.0
_HAND_OVER_SECONDS = 60.0
_log = structlog.get_logger(__name__)
_MARK = b"palpite file\0"


class FileLinks:
    """Makes and reads tokens that name a stored file until they expire."""

    def __init__(self, secret: str, public_url: str, clock: Clock, *, life_seconds: float = LIFE_SECONDS) -> None:
        self._secret = secret.encode()
        self._public_url = public_url.rstrip("/")
        self._clock = clock
        self._life_seconds = life_seconds

    def url(self, key: str) -> str:
        """An address at which the file of a key can be fetched for a while."""
        expires = int(self._clock().timestamp() + self._life_seconds)
        payload = f"{expires}:{key}".encode()
        return f"{self._public_url}/files/{_text(payload)}.{_text(self._signature(payload))}"

    def key(self, token: str) -> str | None:
        """The key in a token; None when it is not ours or has expired."""
        payload_text, _, signature_text = token.partition(".")
        try:
            payload, signature = _raw(payload_text), _raw(signature_text)
        except (ValueError, binascii.Error):
            return None
        if not hmac.compare_digest(signature, self._signature(payload)):
            return None
        expires, _, key = payload.decode().partition(":")
        return key if self._clock().timestamp() < int(expires) else None

    def _signature(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, _MARK + payload, sha256)


def files_route(links: FileLinks, store: ObjectStore) -> Route:
    """GET /files/{token}: whoever has the token may fetch the file, as an attachment."""

    async def fetch(request: Request) -> Response:
        key = links.key(request.path_params["token"])
        if key is None:
            return _gone()
        try:
            return await _sent(store, key)
        except OSError as problem:
            _log.warning("file_unreachable", error=repr(problem))
            return PlainTextResponse("The file cannot be fetched now; try again soon.", 503, headers=_NO_STORE)

    return Route("/files/{token}", fetch, methods=["GET"])


async def _sent(store: ObjectStore, key: str) -> Response:
    name = key.replace("/", "-")
    address = await store.address(key, name=name, seconds=_HAND_OVER_SECONDS)
    if address is not None:
        return RedirectResponse(address, 303, headers=_NO_STORE)
    content = await store.get(key)
    if content is None:
        return _gone()
    headers = {**_NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=_media_type(key), headers=headers)


_MEDIA_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
_NO_STORE = {"cache-control": "private, no-store"}


def _gone() -> Response:
    return PlainTextResponse("This link is wrong or has expired.", 404, headers=_NO_STORE)


def _media_type(key: str) -> str:
    return _MEDIA_TYPES.get(key.rpartition(".")[2], "application/octet-stream")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
