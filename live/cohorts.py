"""Owns all cohorts of a process: who asks for the same shares one, and one timer wakes those for whom it is time."""

import asyncio
from collections.abc import Hashable
from math import inf
from time import monotonic
from typing import Any

from domain.errors import Unavailable
from live.cohort import Cohort
from live.payloads import Render
from live.seats import Seat, Sink
from live.streams import Stream
from live.topics import Pace

_TURN = 8
"""So many of those for whom it is time are woken in one turn of the event loop."""
_PRECISION = 1 / 16
"""Of the time between two heartbeats, or two questions about a right: by so much they may be late."""


class Cohorts:
    """By what is equal."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._cohorts: dict[Hashable, Cohort[Any, Any, Any, Any]] = {}
        self._reminding: asyncio.Task[None] | None = None

    async def join(
        self, key: Hashable, stream: Stream[Any, Any, Any, Any], render: Render, sink: Sink
    ) -> Seat[Any, Any, Any, Any]:
        """Share the execution of a stream with all who ask for the same: equal keys mean equal payloads.

        Raises:
            NotFound, Unavailable, Unauthenticated, Forbidden: as the stream would.
        """
        await stream.right.require()
        if stream.watch.closed:
            raise Unavailable("This server is stopping; connect again.")
        cohort = self._cohorts.get(key)
        if cohort is None:
            cohort = self._cohorts[key] = Cohort(render, self._pace, lambda: self._forget(key))
        if self._reminding is None:
            self._reminding = asyncio.create_task(self._remind())
        return await cohort.join(stream, sink)

    def _forget(self, key: Hashable) -> None:
        del self._cohorts[key]

    async def _remind(self) -> None:
        """One timer for all: of its own each cohort would need one for every event."""
        longest = min(self._pace.heartbeat, self._pace.recheck)  # for whoever comes meanwhile
        pause = longest
        while self._cohorts:
            await asyncio.sleep(pause)
            now, due_at, woken = monotonic(), inf, 0
            for cohort in list(self._cohorts.values()):
                due_at = min(due_at, cohort.due_at)
                woken += cohort.remind(now)
                if woken == _TURN:
                    woken = 0
                    await asyncio.sleep(0)
            pause = min(max(due_at - monotonic(), longest * _PRECISION), longest)
        self._reminding = None

    async def stop(self) -> None:
        """End all subscriptions."""
        for cohort in list(self._cohorts.values()):
            await cohort.stop()
        if self._reminding is not None:
            self._reminding.cancel()
