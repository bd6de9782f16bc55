"""Subscriptions that were asked for before: joined by what their clients wrote, without executing anything anew."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from live.events import StreamPosition
from schema.scalars import LARGEST_INT
from schema.transport.requests import GraphQLRequest
from schema.transport.subscriptions import SharedStream

_MOST = 2_000
_MOST_DOCUMENTS = 256
"""Each holds on to what was parsed, some 250 KiB of the largest that may be sent."""
_LONGEST = 4_096
"""Bytes of variables that are remembered: a client may send 64 KiB of them each time, asked or not."""


@dataclass(frozen=True, slots=True)
class _Document:
    """A document with what it was asked for, by its variables without the one that says where a client stands."""

    position: str | None
    streams: dict[bytes, SharedStream] = field(default_factory=dict)


class KnownStreams:
    """One per process. Rights are not known here: whoever joins is asked for its own."""

    def __init__(self) -> None:
        self._documents: dict[tuple[str, str | None], _Document] = {}
        self._count = 0

    def find(self, request: GraphQLRequest) -> tuple[SharedStream, StreamPosition | None] | None:
        """The stream that a request asks for, and where it goes on; None when that is to be found out."""
        document = self._documents.get((request.query, request.operation_name))
        if document is None:
            return None
        variables = dict(request.variables)
        given = variables.pop(document.position, None) if document.position is not None else None
        stream = document.streams.get(_written(variables))
        if stream is None:
            return None
        match given:
            case None:
                return stream, None
            case {"epoch": str(epoch), "version": int(version), **others} if not others and _is_number(version):
                return stream, StreamPosition(epoch, version)
        return None

    def remember(self, request: GraphQLRequest, stream: SharedStream) -> None:
        """What a request asked for, if its document leaves where to go on to one variable, or out."""
        sharing = stream.sharing
        if not sharing.is_resumed_by_variable or len(_written(request.variables)) > _LONGEST:
            return
        asked = request.query, request.operation_name
        is_full = len(self._documents) >= _MOST_DOCUMENTS and asked not in self._documents
        if is_full or self._count >= _MOST:
            self._documents.clear()
            self._count = 0
        (position,) = sharing.left_out or (None,)
        document = self._documents.setdefault(asked, _Document(position))
        variables = {name: value for name, value in request.variables.items() if name != position}
        document.streams[_written(variables)] = stream
        self._count += 1


def _written(variables: Mapping[str, object]) -> bytes:
    return orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)


def _is_number(version: int) -> bool:
    return not isinstance(version, bool) and abs(version) <= LARGEST_INT
