"""The projector ends when it is told to, even if what it waits for swallows a cancellation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from domain.leaderboard.projector import run_projector
from tasks.loops import end


class Deaf:
    """A database that is away, and swallows the first cancellation as `wait_for` of Python 3.11 may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.swallowed = 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self.swallowed:
                raise
            self.swallowed += 1
        raise ConnectionError("away")
        yield

    read = begin


class Nothing:
    """Ticks that never come."""

    async def __aiter__(self) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield


async def test_a_swallowed_cancellation_does_not_keep_it_alive() -> None:
    database: Any = Deaf()
    projection: Any = None
    projector = asyncio.create_task(run_projector(database, projection, Nothing(), poll_seconds=0.01))
    await database.asked.wait()
    await asyncio.wait_for(end([projector]), 5)
    assert projector.cancelled()
    assert database.swallowed == 1
