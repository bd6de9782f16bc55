"""Owns how often a client may try passwords and codes: counted in Valkey, or in this process while Valkey is away."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import MovingWindowRateLimiter

from domain.errors import RateLimited
from integrations.valkey.client import AWAY
from runtime.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

_EXPORTS = (30, 600)
"""So many files may a member ask for in so many seconds."""
_log = logging.getLogger(__name__)


class Limiter:
    """Conforms to `resolvers.context.RateLimiter`. A Valkey that is away or slow never stops a sign-in."""

    def __init__(self, valkey: "Redis", limits: Mapping[str, RateLimitItem], *, patience: float = 0.3) -> None:
        """`limits` by what is counted; `patience` is how many seconds Valkey has for an answer."""
        self._shared = MovingWindowRateLimiter(_storage(valkey))
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._limits = limits
        self._patience = patience

    async def hit(self, what: str, who: str) -> None:
        """Count one attempt.

        Raises:
            RateLimited: one too many.
        """
        limit = self._limits[what]
        try:
            async with asyncio.timeout(self._patience):
                wait = await self._wait(self._shared, limit, what, who)
        except AWAY as problem:
            _log.warning("rate limits are counted in this process", extra={"error": repr(problem)})
            wait = await self._wait(self._own, limit, what, who)
        if wait is not None:
            raise RateLimited("Too many attempts; try again later.", retry_after_seconds=wait)

    @staticmethod
    async def _wait(limiter: MovingWindowRateLimiter, limit: RateLimitItem, what: str, who: str) -> int | None:
        if await limiter.hit(limit, what, who):
            return None
        stats = await limiter.get_window_stats(limit, what, who)
        return max(1, math.ceil(stats.reset_time - time.time()))


def _storage(valkey: "Redis") -> RedisStorage:
    """Counts by the client that is given, of one server or of a cluster; the library would make one of its own."""
    storage = RedisStorage("async+redis://", implementation="redispy", key_prefix="palpite:limits")
    bridge = storage.bridge
    assert isinstance(bridge, RedispyBridge)
    bridge.connection_getter = lambda _: cast("Any", valkey)
    bridge.register_scripts()
    return storage


def limits_of(settings: Settings) -> dict[str, RateLimitItem]:
    """The limits of the contract's rate-limited fields, by network address; of exports by member."""
    sign_in = RateLimitItemPerSecond(settings.sign_in_limit, math.ceil(settings.sign_in_window_seconds))
    sign_up = RateLimitItemPerSecond(settings.sign_up_limit, math.ceil(settings.sign_up_window_seconds))
    export = RateLimitItemPerSecond(*_EXPORTS)
    return {"sign_in": sign_in, "sign_up": sign_up, "invite": sign_in, "export": export}
