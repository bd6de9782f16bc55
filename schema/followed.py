"""What the subscriptions of resumable streams return: events to iterate, or a stream that equal ones may share."""

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, TypeVar

from domain.errors import Unauthenticated
from live.events import Heartbeat, StreamPosition
from live.streams import Stream
from schema.context import ApiContext

_log = logging.getLogger(__name__)
T = TypeVar("T")

Follow = Callable[[ApiContext, StreamPosition | None], Stream[Any, Any, Any, Any]]
"""Makes the stream of one client, which goes on from a position; nothing else about it depends on the client."""


class Followed(AsyncIterable[T]):
    """Iterated, it is a stream of its own. `stream`, `follow` and `shape` are for whoever shares it instead."""

    def __init__(
        self, context: ApiContext, follow: Follow, after: StreamPosition | None, shape: Callable[[Any], T]
    ) -> None:
        """`shape` makes of an event what its subscription returns."""
        self.stream = follow(context, after)
        self.follow = follow
        self.shape = shape
        self._context = context

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        events = self.stream.events()
        try:
            async for event in events:
                self._context.renew_loaders()
                if not isinstance(event, Heartbeat):
                    await self._require_session()
                yield self.shape(event)
        finally:
            await events.aclose()

    async def _require_session(self) -> None:
        """For what is the viewer's own in an event: anyone may have the right to the stream itself."""
        try:
            await self._context.require_session()
        except Unauthenticated:
            raise
        except Exception as problem:  # noqa: BLE001 an edge: an outage ends no stream, and hides what is the viewer's own
            _log.warning("live_session_unknown", extra={"error": repr(problem)})
