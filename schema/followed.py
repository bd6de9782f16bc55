"""What the subscriptions of resumable streams return: events to iterate, or a stream that equal ones may share."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, TypeVar

from live.streams import Stream

T = TypeVar("T")


class Followed(AsyncIterable[T]):
    """Iterated, it is a stream of its own. `stream` and `shape` are for whoever shares it instead."""

    def __init__(
        self, stream: Stream[Any, Any, Any, Any], shape: Callable[[Any], T], before_each: Callable[[], None]
    ) -> None:
        """`shape` makes of an event what its subscription returns."""
        self.stream = stream
        self.shape = shape
        self._before_each = before_each

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        events = self.stream.events()
        try:
            async for event in events:
                self._before_each()
                yield self.shape(event)
        finally:
            await events.aclose()
