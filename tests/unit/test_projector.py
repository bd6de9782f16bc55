"""The projector while its database is away: it ends when it is told to, and says what it waits for in a line."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from domain.leaderboard.projector import run_projector
from runtime.outage import is_outage
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


class Away:
    """A database that refuses connections."""

    def __init__(self) -> None:
        self.asked = 0
        self.asked_often = asyncio.Event()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        self.asked += 1
        if self.asked == 3:
            self.asked_often.set()
        raise ConnectionRefusedError("away")
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
    projector = asyncio.create_task(run_projector(database, projection, Nothing(), is_outage, poll_seconds=0.01))
    await database.asked.wait()
    await asyncio.wait_for(end([projector]), 5)
    assert projector.cancelled()
    assert database.swallowed == 1


async def test_an_outage_is_told_in_one_line_each_time(caplog: pytest.LogCaptureFixture) -> None:
    database: Any = Away()
    projection: Any = None
    with caplog.at_level(logging.WARNING):
        projector = asyncio.create_task(run_projector(database, projection, Nothing(), is_outage, poll_seconds=0.01))
        await asyncio.wait_for(database.asked_often.wait(), 5)
        await end([projector])
    assert {record.getMessage() for record in caplog.records} == {
        "The projection waits: ConnectionRefusedError('away')"
    }
    assert not any(record.exc_info for record in caplog.records)
