"""Owns what the garbage collector does in a process that has much in memory and is to answer at once."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, thread_time

from tasks.loops import background

_LOOK = 0.5
_EVERY = 15.0
"""Seconds between two passes; twenty sockets a second leave half a megabyte."""
_GROWN = 4
"""So many passes over what is new, some 3,000 objects each, are followed by one at once: later it would take longer."""
_LONG = 0.01
"""Seconds of computing after which a pass was long enough: what it went through is left out from then on."""
_SHARE = 1 / 5_000
"""Of the time, at most so much computing for passes over all, each of which holds the event loop: they are rare."""


@asynccontextmanager
async def settled_memory() -> AsyncIterator[None]:
    """What is loaded by now stays: the collector need not go through it again and again.

    Nor through all sockets each time some hundred more have come. But what it goes through at a time is little: when a
    thousand boards moved at once, passes over all that was left of twenty held the loop for 120 to 180 ms. What
    outlives such a pass and becomes garbage later would stay for an hour: it is looked for beside the work.
    """
    sweep = Sweep(monotonic())
    gc.set_threshold(1_000, 2, 1_500)
    async with background(_run(sweep)):
        yield


async def _run(sweep: "Sweep") -> None:
    while True:
        await asyncio.sleep(_LOOK)
        sweep.look(monotonic())


class Sweep:
    """Passes that go through all that is left of earlier ones until that takes long: then it is left out.

    With a thousand boards on screen one pass over all takes a quarter of a second. What is left out may become garbage
    too, so there is such a pass still, once in half an hour then.
    """

    def __init__(self, now: float) -> None:
        """`now`: seconds by the clock that `look` is told too."""
        self._left_out = _pass()
        """Seconds of computing that it took to go through what is left out."""
        self._has_grown = False
        self._swept_at = self._whole_at = now
        gc.freeze()

    def look(self, now: float) -> None:
        """Make a pass if it is time for one."""
        if self._has_grown and now - self._whole_at >= self._left_out / _SHARE:
            gc.unfreeze()
            self._left_out, self._has_grown, self._whole_at = _pass(), False, now
            gc.freeze()
        elif now - self._swept_at < _EVERY and gc.get_count()[2] < _GROWN:
            return
        elif (took := _pass()) > _LONG:
            self._left_out, self._has_grown = self._left_out + took, True
            gc.freeze()
        self._swept_at = now


def _pass() -> float:
    """Seconds of computing."""
    begun = thread_time()
    gc.collect()
    return thread_time() - begun
