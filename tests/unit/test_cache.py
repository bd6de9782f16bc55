"""What is computed once for all who ask: none of them gets less than he asked for, or suffers what another does."""

import asyncio
from dataclasses import dataclass

import pytest

from domain.leaderboard.cache import VersionCache


@dataclass(frozen=True)
class Value:
    version: int


class Loads:
    """Computes a version when it is let to."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.count = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> Value:
        self.count += 1
        await self.gate.wait()
        return Value(self.version)


async def test_who_asks_for_a_later_version_is_not_given_the_one_that_is_under_way() -> None:
    cache: VersionCache[Value] = VersionCache(10, lambda _: 1)
    first, second = Loads(1), Loads(2)
    early = asyncio.create_task(cache.get("board", 1, first))
    await asyncio.sleep(0)
    late = [asyncio.create_task(cache.get("board", 2, second)) for _ in range(3)]
    await asyncio.sleep(0)
    first.gate.set()
    second.gate.set()

    assert await early == Value(1)
    assert await asyncio.gather(*late) == [Value(2)] * 3
    assert (first.count, second.count) == (1, 1)


async def test_who_is_cancelled_leaves_the_others_what_they_wait_for() -> None:
    cache: VersionCache[Value] = VersionCache(10, lambda _: 1)
    load = Loads(1)
    gone, stays = [asyncio.create_task(cache.get("board", 1, load)) for _ in range(2)]
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    load.gate.set()

    assert await stays == Value(1)
    assert load.count == 1


async def test_what_was_used_last_is_kept_whatever_it_costs_and_the_others_make_room() -> None:
    cache: VersionCache[Value] = VersionCache(10, lambda _: 50)
    one, other = Loads(1), Loads(1)
    one.gate.set()
    other.gate.set()
    for _ in range(2):
        await cache.get("one", 1, one)
    await cache.get("other", 1, other)

    assert one.count == 1
    assert (cache.holds("one", 1), cache.holds("other", 1)) == (False, True)


async def test_what_was_forgotten_takes_no_room() -> None:
    cache: VersionCache[Value] = VersionCache(4, lambda _: 1)
    for _ in range(3):
        cache.put("forgotten", Value(1))
        cache.forget("forgotten")
    cache.put("one", Value(1))
    cache.put("other", Value(1))
    assert cache.holds("one", 1)
    assert cache.holds("other", 1)
