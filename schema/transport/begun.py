"""Coroutines that are run at once as far as they come: most need not wait, and a task or timer costs more than they."""

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Ended(Generic[T]):
    """One that did not wait."""

    def __init__(self, value: T) -> None:
        self.value = value


class Begun(Generic[T]):
    """A coroutine that was run until it waited, to be awaited to its end."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    answer = yield waits_for
                except BaseException as problem:  # noqa: BLE001 -- handed on, a cancellation too
                    waits_for = self._coroutine.throw(problem)
                else:
                    waits_for = self._coroutine.send(answer)
        except StopIteration as end:
            return cast("T", end.value)


def begin(awaitable: Awaitable[T]) -> Begun[T] | Ended[T]:
    """Run an ASGI server's `receive()` or `send(...)` until it waits or ends.

    Raises:
        Exception: whatever it raises.
    """
    coroutine = cast("Coroutine[Any, Any, T]", awaitable)
    try:
        return Begun(coroutine, coroutine.send(None))
    except StopIteration as end:
        return Ended(end.value)
