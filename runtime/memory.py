"""Owns what the garbage collector does in a process that has much in memory and is to answer at once."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import thread_time

from tasks.loops import background

_EVERY = 15.0
"""Seconds between two passes over everything; twenty sockets a second leave half a megabyte."""
_SHARE = 1 / 5_000
"""Of the time, at most so much computing for these passes, each of which holds the event loop: a long one is rare."""


@asynccontextmanager
async def settled_memory() -> AsyncIterator[None]:
    """What is loaded by now stays: the collector need not go through it again and again.

    Nor through all sockets each time some hundred more have come. But what it goes through at a time is little: when a
    thousand boards moved at once, passes over all that was left of twenty held the loop for 120 to 180 ms. What
    outlives such a pass and becomes garbage later would stay for an hour: it is looked for beside the work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 2, 750)
    async with background(_sweep()):
        yield


async def _sweep() -> None:
    pause = _EVERY
    while True:
        await asyncio.sleep(pause)
        begun = thread_time()
        gc.collect()
        pause = max(_EVERY, (thread_time() - begun) / _SHARE)
