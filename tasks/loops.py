"""Loops that never end by an error: they are waited for, woken, and begun again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class Wake:
    """Wakes a loop that sleeps. Wake-ups while it works are not lost, and count once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        """Sleep until woken, at most so many seconds; for ever with None."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()


async def repeat(
    name: str, once: Callable[[], Awaitable[bool]], *, every: float, wake: Wake | None = None, rest: float = 0
) -> None:
    """Do `once` for ever: again at once when it says that there is more, else when woken or after `every` seconds.

    Woken, it begins no sooner than `rest` seconds after its last end: what comes close together is done together.
    After an error it waits longer each time, up to five seconds.
    """
    wake = wake or Wake()
    failures = 0
    while True:
        try:
            more = await once()
            failures = 0
        except Exception as error:  # noqa: BLE001 an edge: a loop outlives whatever goes wrong in one pass
            failures += 1
            _log.warning("loop_failed", loop=name, error=repr(error), exc_info=failures == 1)
            await asyncio.sleep(min(0.2 * 2**failures, 5))
            continue
        if not more:
            await asyncio.sleep(rest)
            await wake.wait(every)


async def keep_running(name: str, run: Callable[[], Awaitable[None]], *, pause: float = 0.5) -> None:
    """Run something that should never end, and begin it again when it does."""
    while True:
        try:
            await run()
            _log.warning("loop_ended", loop=name)
        except Exception as error:  # noqa: BLE001 an edge, as above
            _log.warning("loop_failed", loop=name, error=repr(error), exc_info=True)
        await asyncio.sleep(pause)


@asynccontextmanager
async def background(*loops: Awaitable[None]) -> AsyncIterator[None]:
    """Run loops beside the block, and end them with it."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        yield
    finally:
        await end(tasks)


async def end(tasks: Iterable[asyncio.Future[Any]], *, again_after: float = 0.1) -> None:
    """Cancel tasks until they are over, once more every `again_after` seconds.

    Once is not enough: Python 3.11's `wait_for`, which our drivers use, may swallow a cancellation.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=again_after)
