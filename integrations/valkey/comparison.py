"""Compares what the projection holds of a tournament with what it should hold, part by part."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from redis.asyncio import Redis

_ENTRIES_A_READ = 5_000

InTime = Callable[[Awaitable[Any]], Awaitable[Any]]


async def differs(client: "Redis", name: str, expected: bytes, in_time: InTime) -> bool:
    """Whether a string is anything else."""
    try:
        return bool(await in_time(client.get(name)) != expected)
    except ResponseError:  # a key of another type
        return True


async def entries_differ(
    client: "Redis", name: str, members: "NDArray[np.bytes_]", scores: "NDArray[np.int64]", in_time: InTime
) -> bool:
    """Whether a sorted set holds anything but these members, all of one size, with these scores and in this order."""
    try:
        if await in_time(client.zcard(name)) != len(members):
            return True
        for start in range(0, len(members), _ENTRIES_A_READ):
            stop = min(start + _ENTRIES_A_READ, len(members))
            found = await in_time(client.zrange(name, start, stop - 1, withscores=True))
            if len(found) != stop - start or _differ(found, members[start:stop], scores[start:stop]):
                return True
    except ResponseError:  # a key of another type
        return True
    return False


def _differ(found: list[Any], members: "NDArray[np.bytes_]", scores: "NDArray[np.int64]") -> bool:
    if b"".join(member for member, _ in found) != members.tobytes():
        return True
    expected: list[float] = scores.astype(np.float64).tolist()
    return [float(score) for _, score in found] != expected
