"""The collector finds what is garbage, and does not go through all that lives each time."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from runtime.memory import Sweep


class Ring:
    """Knows itself: only the collector frees it."""

    def __init__(self) -> None:
        self.mine = self


def boards(count: int) -> list[list[list[int]]]:
    """Much that stays."""
    return [[[n]] for n in range(count)]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """No pass but those of the test; what it left out is gone through again afterwards."""
    threshold = gc.get_threshold()
    gc.disable()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    gc.enable()


def old_garbage() -> weakref.ref[Ring]:
    """What a pass over what is new alone does not find."""
    ring = Ring()
    gc.collect(0)
    return weakref.ref(ring)


def test_new_garbage_is_found_at_once_and_older_once_in_a_while() -> None:
    sweep = Sweep(0.0)
    older, found = old_garbage(), weakref.ref(Ring())
    sweep.look(7.0)
    assert found() is None
    assert older() is not None
    sweep.look(7.5)
    assert older() is None


def test_where_much_comes_and_goes_older_garbage_is_found_sooner() -> None:
    sweep = Sweep(0.0)
    older = old_garbage()
    for n in range(10_000):
        kept = boards(1_000)
        sweep.look(n / 10_000)
        del kept
        if older() is None:
            break
    assert older() is None


def test_where_much_stays_it_is_left_out_sooner() -> None:
    sweep = Sweep(0.0)
    before, kept = gc.get_freeze_count(), list[object]()
    while gc.get_freeze_count() <= before and len(kept) < 1_000:
        kept.append(boards(10_000))
        sweep.look(len(kept) / 1_000)
    assert gc.get_freeze_count() > before + 10_000


def test_what_takes_long_is_left_out_and_gone_through_again_much_later() -> None:
    sweep = Sweep(0.0)
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
