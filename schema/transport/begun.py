"""Awaitables that are run at once as far as they come: most need not wait, and a task or timer costs more than they."""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Ended(Generic[T]):
    """One that did not wait."""

    def __init__(self, value: T) -> None:
        self.value = value


class Begun(Generic[T]):
    """One that was run until it waited, to be awaited to its end."""

    def __init__(self, steps: Generator[Any, Any, T], waits_for: Any) -> None:
        """`steps` may be a mere iterator: an ASGI server's need be no more, and those in Rust are not."""
        self._steps = steps
        self._waits_for = waits_for

    def task(self, ending: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of `ending`, which awaits this. Cancelled before its first step it would leave this half run."""
        task = asyncio.create_task(ending)
        task.add_done_callback(lambda _: self._close())
        return task

    def _close(self) -> None:
        if hasattr(self._steps, "close"):
            with suppress(RuntimeError):  # it would wait for something even then
                self._steps.close()

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    yield waits_for
                except BaseException as problem:
                    if not hasattr(self._steps, "throw"):
                        raise
                    waits_for = self._steps.throw(problem)  # a cancellation too
                else:
                    waits_for = next(self._steps)
        except StopIteration as end:
            return cast("T", end.value)


def begin(awaitable: Awaitable[T]) -> Begun[T] | Ended[T]:
    """Run an ASGI server's `receive()` or `send(...)` until it waits or ends.

    Raises:
        Exception: whatever it raises.
    """
    steps = awaitable.__await__()
    try:
        return Begun(steps, next(steps))
    except StopIteration as end:
        return Ended(end.value)
