"""Fronts of boards as they are told beside a tick."""

from base64 import b64decode, b64encode
from zlib import crc32

import msgspec

from domain.leaderboard.front import Front
from domain.leaderboard.sheet import COLUMNS, CRITERIA

_DECODER = msgspec.msgpack.Decoder(Front)
_FORM = b"%08x" % crc32(msgspec.json.encode([msgspec.json.schema(Front), COLUMNS, CRITERIA]))
"""Of what another release tells, whose fields and numbers may be others, nothing is read."""


def encode(front: Front) -> str:
    """Text of up to 20 kB that JSON can hold: eight digits of its form, then msgpack in base64."""
    return (_FORM + b64encode(msgspec.msgpack.encode(front))).decode()


def decode(told: str) -> Front | None:
    """None for what is none."""
    value = told.encode()
    if not value.startswith(_FORM):
        return None
    try:
        return _DECODER.decode(b64decode(value[len(_FORM) :]))
    except (msgspec.DecodeError, ValueError):
        return None
