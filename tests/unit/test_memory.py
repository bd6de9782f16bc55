"""The collector finds what is garbage, and does not go through all that lives each time."""

import asyncio
import gc
import signal
import weakref
from collections.abc import Iterator

import pytest

from runtime.memory import Sweep, settled_memory


class Ring:
    """Knows itself: only the collector frees it."""

    def __init__(self) -> None:
        self.mine = self


def sweeping() -> Sweep:
    """One that hears of the collector's passes."""
    sweep = Sweep(0.0)
    gc.callbacks.append(sweep.note)
    return sweep


def boards(count: int) -> list[list[list[int]]]:
    """Much that stays."""
    return [[[n]] for n in range(count)]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """No pass but those of the test; what it left out is gone through again afterwards."""
    threshold, callbacks = gc.get_threshold(), list(gc.callbacks)
    gc.disable()
    yield
    gc.callbacks[:] = callbacks
    gc.unfreeze()
    gc.set_threshold(*threshold)
    gc.enable()


def old_garbage() -> weakref.ref[Ring]:
    """What a pass over what is new alone does not find."""
    ring = Ring()
    gc.collect(0)
    return weakref.ref(ring)


def test_new_garbage_is_found_at_once_and_older_once_in_a_while() -> None:
    sweep = sweeping()
    older, found = old_garbage(), weakref.ref(Ring())
    sweep.look(2.0)
    assert found() is None
    assert older() is not None
    sweep.look(2.5)
    assert older() is None


def test_where_much_comes_and_goes_older_garbage_is_found_sooner() -> None:
    sweep = sweeping()
    older = old_garbage()
    for n in range(10_000):
        kept = boards(1_000)
        sweep.look(n / 10_000)
        del kept
        if older() is None:
            break
    assert older() is None


def test_where_much_stays_it_is_left_out_sooner() -> None:
    sweep = sweeping()
    before, kept = gc.get_freeze_count(), list[object]()
    while gc.get_freeze_count() <= before and len(kept) < 1_000:
        kept.append(boards(10_000))
        sweep.look(len(kept) / 1_000)
    assert gc.get_freeze_count() > before + 10_000


def test_what_takes_long_is_left_out_and_gone_through_again_much_later() -> None:
    sweep = sweeping()
    before = gc.get_freeze_count()
    few = boards(10)
    sweep.look(20.0)
    assert gc.get_freeze_count() == before  # it would be gone through again
    kept, ring = boards(200_000), Ring()
    found = weakref.ref(ring)
    sweep.look(40.0)
    assert gc.get_freeze_count() > before + 2 * len(kept)
    del ring
    sweep.look(60.0)
    assert found() is not None
    sweep.look(100_000.0)
    assert found() is None
    assert len(few) == 10


async def test_what_comes_while_as_much_is_given_up_is_gone_through_before_it_is_much() -> None:
    """Left to itself the collector sees no more objects than there were, and lets them gather."""
    kept = boards(300_000)
    gc.collect()
    most = 0
    async with settled_memory():
        for place in range(0, len(kept), 1_000):
            kept[place : place + 1_000] = boards(1_000)
            most = max(most, len(gc.get_objects(0)))
            await asyncio.sleep(0.001)
    assert most < 1.5 * len(kept)  # without a pass all: twice as many


async def test_its_timer_is_over_with_it() -> None:
    """Nobody else handles the signal: it would end the process."""
    async with settled_memory():
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[1] > 0
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
    boards(500_000)  # as much as would bring another
    assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL
