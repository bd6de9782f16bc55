"""Owns which requests for websockets are plain: taken as the HTTP parser read them, and answered in one step.

uvicorn writes each out again for `websockets` to parse, which is half of what connecting costs. Whatever is unusual
still goes that way and has its answer from there. tests/contract/test_handshakes.py holds both to the same answers.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha1
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from starlette.types import Scope

_MOST_HEADERS, _MOST_BYTES = 100, 8_000
"""Less than what `websockets` refuses."""
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_TOKENS = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+(?:, ?[-!#$%&'*+.^_`|~0-9a-zA-Z]+)*")
_BODY = frozenset({b"content-length", b"transfer-encoding"})
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n"


@dataclass(frozen=True, slots=True)
class Handshake:
    """`head` is the answer up to the headers of whoever accepts; `scope` what ASGI gets of the request."""

    head: bytes
    scope: dict[str, Any]


def plain_handshake(request: "Scope", url: bytes) -> Handshake | None:
    """How to answer a request that asks for a websocket; None when it is not plain.

    `request` is its scope as that of an HTTP request, `url` what it asks for.
    """
    headers = request["headers"]
    size = len(url) + len(b"".join(chain.from_iterable(headers)))
    if len(headers) > _MOST_HEADERS or size > _MOST_BYTES or not (url.startswith(b"/") and url.isascii()):
        return None
    given = dict(headers)
    is_whole = len(given) == len(headers) and given.keys().isdisjoint(_BODY)
    if not is_whole or request["method"] != "GET" or request["http_version"] != "1.1":
        return None
    key, protocols = given.get(b"sec-websocket-key", b""), given.get(b"sec-websocket-protocol")
    if given.get(b"sec-websocket-version") != b"13" or not _KEY.fullmatch(key):
        return None
    if protocols is not None and not _TOKENS.fullmatch(protocols):
        return None
    accepted = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
    return Handshake(_HEAD % accepted, _scope(request, url, protocols))


def _scope(request: "Scope", url: bytes, protocols: bytes | None) -> dict[str, Any]:
    path, _, query = url.partition(b"?")
    scope = {
        **request,
        "type": "websocket",
        "asgi": {**request["asgi"], "spec_version": "2.4"},
        "scheme": "wss" if request["scheme"] == "https" else "ws",
        "path": request["root_path"] + unquote(path.decode()),
        "raw_path": request["root_path"].encode() + path,
        "query_string": query,
        "subprotocols": [one.strip() for one in protocols.decode().split(",")] if protocols else [],
        "extensions": {"websocket.http.response": {}},
    }
    del scope["method"]
    return scope
