"""What the subscriptions of resumable streams return: events to iterate, or a stream that equal ones may share."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, TypeVar

from live.events import StreamPosition
from live.streams import Stream
from schema.context import ApiContext

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
        self._before_each = context.renew_loaders

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        events = self.stream.events()
        try:
            async for event in events:
                self._before_each()
                yield self.shape(event)
        finally:
            await events.aclose()
