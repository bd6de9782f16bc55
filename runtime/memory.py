"""Owns what the garbage collector does in a process that has much in memory and is to answer at once."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic, thread_time

_COMPUTED = 0.025
"""Seconds of computing, by all threads, after which the collector is looked after: by the kernel's timer, for a clock
that is asked now and then wakes a process that has nothing to do, and asks too late when it has much."""
_NEW = 2_000
"""More objects than there were: the collector goes through what is new by itself, before the next look. Where as many
are given up as come, it never does."""
_EVERY = 2.5
"""Seconds between two passes over all that is not left out. Of twenty sockets a second they find some 2,000 objects.
With three times as many it was left out at times on a busy machine, and in an hour 18 MiB of garbage stayed."""
_MUCH = 0.01
"""Seconds of computing. When passes over what is new have taken so long, much may be left, and it is time too."""
_LONG = 0.005
"""Seconds of computing, by what passes over all took; others pass while the event loop is cold, and take up to twice as
long. What would take longer to go through is left out instead: boards that moved, sockets that came.
Where clients come and go there is less at a time, and their garbage is found."""
_SHARE = 1 / 5_000
"""Of the time, at most so much computing for passes over all, each of which holds the event loop: they are rare."""


@asynccontextmanager
async def settled_memory() -> AsyncIterator[None]:
    """What is loaded by now stays: the collector need not go through it again and again.

    Nor through all sockets each time some hundred more have come. And what it goes through at a time is little: left to
    itself it held the loop for 40 to 80 ms while a thousand boards moved, and found no garbage.
    """
    sweep = Sweep(monotonic())
    gc.set_threshold(_NEW, 1_000, 1_000)
    gc.callbacks.append(sweep.note)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGVTALRM, lambda: sweep.look(monotonic()))
    signal.setitimer(signal.ITIMER_VIRTUAL, _COMPUTED, _COMPUTED)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)  # first: without a handler it would end the process
        loop.remove_signal_handler(signal.SIGVTALRM)
        gc.callbacks.remove(sweep.note)


class Sweep:
    """Short passes over what is new, and over what they left unless that is much: then it is left out from then on.

    What is left out may become garbage too, so there is a pass over that still, and the more there is the less often:
    with a thousand boards on screen it takes a quarter of a second, and comes once in half an hour.
    """

    def __init__(self, now: float) -> None:
        """`now`: seconds by the clock that `look` is told too."""
        self._swept_at = self._whole_at = now
        self._whole = self._each = self._young = 0.0
        """What passes took: the last over all, each object's share of it, and those over what is new since a sweep."""
        self._begun = 0.0
        self._has_grown = False
        self._pass_over_all(now)

    def note(self, phase: str, info: Mapping[str, int]) -> None:
        """From the collector: passes over what is new count, whoever asked for them."""
        if phase == "start":
            self._begun = thread_time()
        elif info["generation"] == 0:
            self._young += thread_time() - self._begun

    def look(self, now: float) -> None:
        """Go through what is new, and through more if it is time for that."""
        gc.collect(0)
        if self._young >= _MUCH or now - self._swept_at >= _EVERY:
            self._swept_at, self._young = now, 0.0
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        if self._is_time_for_all(now):
            self._pass_over_all(now)
        elif self._each * sum(len(gc.get_objects(generation)) for generation in (1, 2)) > _LONG:
            gc.freeze()
            self._has_grown = True
        else:
            gc.collect()

    def _is_time_for_all(self, now: float) -> bool:
        since = (now - self._whole_at) * _SHARE
        return self._has_grown and since >= self._whole and since >= self._each * gc.get_freeze_count()

    def _pass_over_all(self, now: float) -> None:
        gc.unfreeze()
        begun = thread_time()
        gc.collect()
        self._whole, self._whole_at = thread_time() - begun, now
        gc.freeze()
        self._each = self._whole / gc.get_freeze_count()
        self._has_grown = False
