"""What a cohort's events look like as bytes: each is rendered once, and kept while it may be asked for again."""

from collections.abc import Awaitable, Callable
from typing import Any

from domain.errors import Unavailable
from live.events import Heartbeat

Render = Callable[[Any], Awaitable[bytes]]
"""Makes the payload of an event, the same for every client of a cohort. Raises Unavailable when that needs a server
which is away."""
_MOST_BYTES = 512 * 1024
"""Of one cohort: a window of a hundred rows has some 25 kB, and who comes back a delta for each version."""


class Payloads:
    """Those of one cohort."""

    __slots__ = ("_away", "_bytes", "_known", "_render")

    def __init__(self, render: Render) -> None:
        self._render = render
        self._known: dict[int, tuple[Any, bytes]] = {}
        self._away: Unavailable | None = None
        self._bytes = 0

    async def of(self, event: Any) -> bytes:
        """The payload. Heartbeats are not kept: each has a moment of its own.

        Once one cannot be had, no other is tried in this turn: whoever waits for a heartbeat would wait for each.
        """
        if isinstance(event, Heartbeat):
            return await self._render(event)
        known = self._known.get(id(event))
        if known is not None:
            return known[1]
        if self._away is not None:
            raise self._away
        try:
            payload = await self._render(event)
        except Unavailable as problem:
            self._away = problem
            raise
        self._known[id(event)] = (event, payload)  # held, so that its id stays its own
        self._bytes += len(payload)
        while self._bytes > _MOST_BYTES and len(self._known) > 1:
            self._forget(next(iter(self._known)))
        return payload

    def let_go(self) -> None:
        """A turn is over: keep what is of the version that was rendered last, others a topic makes anew."""
        self._away = None
        if self._known:
            last = next(reversed(self._known.values()))[0]
            for key in [key for key, (event, _) in self._known.items() if event.version != last.version]:
                self._forget(key)

    def _forget(self, key: int) -> None:
        self._bytes -= len(self._known.pop(key)[1])
