"""What the subscriptions of resumable streams return: events to iterate, or a stream that equal ones may share."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, TypeVar

from domain.errors import Unauthenticated
from live.events import Heartbeat, StreamPosition
from live.streams import Stream
from schema.context import ApiContext

_log = logging.getLogger(__name__)
_PAUSE = 1.0
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
                while not isinstance(event, Heartbeat) and not await self._is_signed_in():  # noqa: ASYNC110
                    await asyncio.sleep(_PAUSE)
                yield self.shape(event)
        finally:
            await events.aclose()

    async def _is_signed_in(self) -> bool:
        """For what is the viewer's own in an event: anyone may have the right to the stream itself.

        False when nobody can tell: then it waits, and what comes meanwhile is one event afterwards.
        """
        try:
            await self._context.require_session()
        except Unauthenticated:
            raise
        except Exception as problem:  # noqa: BLE001 an edge: the database may be away, which ends no stream
            _log.warning("live_session_unknown", extra={"error": repr(problem)})
            return False
        return True
