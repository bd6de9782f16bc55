"""Owns the end of a process whose event loop stands still: what holds it never lets go, and only a restart helps."""

import asyncio
import faulthandler
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event, Thread

EXIT_CODE = 70
_TICKS = 20


@asynccontextmanager
async def watched(seconds: float) -> AsyncIterator[None]:
    """End the process when its loop stands still for so long within the block, and print where it stood.

    Ticks of a thread are counted and not seconds, so that a process which was itself stopped is not blamed.
    """
    watchdog = _Watchdog(seconds / _TICKS)
    beat = asyncio.create_task(watchdog.beat())
    thread = Thread(target=watchdog.watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watchdog.over.set()
        beat.cancel()


class _Watchdog:
    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._missed = 0
        self.over = Event()

    async def beat(self) -> None:
        while True:
            self._missed = 0
            await asyncio.sleep(self._pause)

    def watch(self) -> None:
        while not self.over.wait(self._pause):
            self._missed += 1
            if self._missed > _TICKS:
                sys.stderr.write("The event loop stands still; this process ends. It stands here:\n")
                faulthandler.dump_traceback()
                os._exit(EXIT_CODE)
