"""Keeps computed boards, one version of each, and computes a version once however many ask for it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Versioned(Protocol):
    @property
    def version(self) -> int:
        """Rises with what it was computed from."""
        ...


T = TypeVar("T", bound=Versioned)


class VersionCache(Generic[T]):
    """The latest computed value of each key; the keys used least recently make room."""

    def __init__(self, capacity: int, cost: Callable[[T], int]) -> None:
        """`capacity`: sum of the costs that are kept. The value used last is kept whatever it costs."""
        self._capacity = capacity
        self._cost = cost
        self._tasks: dict[Hashable, asyncio.Future[T]] = {}
        self._costs: OrderedDict[Hashable, int] = OrderedDict()
        self._total = 0

    async def get(self, key: Hashable, version: int, load: Callable[[], Awaitable[T]]) -> T:
        """The value of `key` at `version` or later, from `load` if need be; `load` runs once at a time.

        What the caller's own `load` finds is returned in any case: after a restore the version may be gone.
        """
        while True:
            task, is_own = self._tasks.get(key), False
            if task is None or _is_old(task, version):
                task, is_own = asyncio.create_task(_run(load)), True
                self._tasks[key] = task
            # A waiter that is cancelled does not cancel the others' computation.
            value = task.result() if task.done() else await asyncio.shield(task)
            self._keep(key, self._cost(value) + 1)
            if is_own or value.version >= version:
                return value

    def put(self, key: Hashable, value: T) -> None:
        """Keep what came another way, unless what is there or on its way may be later."""
        task = self._tasks.get(key)
        if task is None or _is_old(task, value.version):
            found: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            found.set_result(value)
            self._tasks[key] = found
            self._keep(key, self._cost(value) + 1)

    def holds(self, key: Hashable, version: int) -> bool:
        """Whether the value of `key` at `version` or later is here."""
        task = self._tasks.get(key)
        return task is not None and task.done() and not _is_old(task, version)

    def latest(self, key: Hashable) -> T | None:
        """The value of `key` that is here, of whatever version."""
        task = self._tasks.get(key)
        return task.result() if task is not None and _has_value(task) else None

    def forget(self, key: Hashable) -> None:
        """Have `key` computed anew the next time."""
        self._tasks.pop(key, None)
        self._total -= self._costs.pop(key, 0)

    async def stop(self) -> None:
        """Give up what is being computed: who waited for it may be gone, and it goes on without them."""
        running = [task for task in self._tasks.values() if not task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _keep(self, key: Hashable, cost: int) -> None:
        self._total += cost - self._costs.pop(key, 0)
        self._costs[key] = cost
        while self._total > self._capacity and len(self._costs) > 1:
            self.forget(next(iter(self._costs)))


async def _run(load: Callable[[], Awaitable[T]]) -> T:
    return await load()


def _has_value(task: "asyncio.Future[T]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _is_old(task: "asyncio.Future[T]", version: int) -> bool:
    return task.done() and not (_has_value(task) and task.result().version >= version)
