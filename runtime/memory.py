"""Owns what the garbage collector does in a process that has much in memory and is to answer at once."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, thread_time

from tasks.loops import background

_LOOK = 0.05
_MUCH = 0.002
"""Seconds of computing. If it takes longer to go through what is new, it is left out at once: a thousand boards move,
or as many clients have come, and what lives by now is what stays."""
_EVERY = 15.0
"""Seconds between two passes over all that is not left out; twenty sockets a second leave half a megabyte."""
_LONG = 0.008
"""Seconds of computing. Once passes over what is new took so long there is one over all that is not left out, before
it would take longer; half of it is long enough for that one to leave out what it went through."""
_SHARE = 1 / 5_000
"""Of the time, at most so much computing for passes over all, each of which holds the event loop: they are rare."""
_NEVER = 20_000
"""The collector's own passes, and only where so much is new between two looks."""


@asynccontextmanager
async def settled_memory() -> AsyncIterator[None]:
    """What is loaded by now stays: the collector need not go through it again and again.

    Nor through all sockets each time some hundred more have come. And what it goes through at a time is little: left to
    itself it held the loop for 40 to 80 ms while a thousand boards moved, and found no garbage.
    """
    sweep = Sweep(monotonic())
    gc.set_threshold(_NEVER, 1_000, 1_000)
    async with background(_run(sweep)):
        yield


async def _run(sweep: "Sweep") -> None:
    while True:
        await asyncio.sleep(_LOOK)
        sweep.look(monotonic())


class Sweep:
    """Short passes over what is new, and over what they left; what would take long from then on is left out.

    What is left out may become garbage too, so there is a pass over that still, and the more there is the less often:
    with a thousand boards on screen it takes a quarter of a second, and comes once in half an hour.
    """

    def __init__(self, now: float) -> None:
        """`now`: seconds by the clock that `look` is told too."""
        self._swept_at = self._counted_at = self._whole_at = now
        self._whole = self._each = self._rest = 0.0
        """What passes took: the last over all, each object's share of it, and what one over the rest takes at most."""
        self._has_grown = False
        self._pass_over_all(now)

    def look(self, now: float) -> None:
        """Go through what is new, and through more if it is time for that."""
        took = _pass(0)
        if self._is_time_for_all(now):
            self._pass_over_all(now)
        elif took > _MUCH:
            self._leave_out()
        else:
            self._rest += took
            if self._rest > _LONG or now - self._swept_at >= _EVERY:
                self._pass_over_rest(now)

    def _pass_over_rest(self, now: float) -> None:
        self._swept_at, self._rest = now, _pass()
        if self._rest > _LONG / 2:
            self._leave_out()

    def _leave_out(self) -> None:
        gc.freeze()
        self._has_grown, self._rest = True, 0.0

    def _is_time_for_all(self, now: float) -> bool:
        since = (now - self._whole_at) * _SHARE
        if not self._has_grown or since < self._whole or now - self._counted_at < _EVERY:
            return False
        self._counted_at = now  # counting takes a millisecond too
        return since >= self._each * gc.get_freeze_count()

    def _pass_over_all(self, now: float) -> None:
        gc.unfreeze()
        self._whole, self._whole_at = _pass(), now
        gc.freeze()
        self._each = self._whole / gc.get_freeze_count()
        self._has_grown, self._rest = False, 0.0


def _pass(generation: int = 2) -> float:
    """Seconds of computing."""
    begun = thread_time()
    gc.collect(generation)
    return thread_time() - begun
