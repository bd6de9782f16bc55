"""Writes together what comes at the same time: one commit for all of it, as long as each could stand alone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)
_MOST = 100


class Left(Enum):
    """That an item was not written together with the others."""

    OUT = "out"


class Together(Generic[T, R]):
    """What comes while a write is under way is written by the next one. Nobody waits for company.

    What a write leaves out is written by itself, and so is all of one that fails: nobody is held up by a neighbour.
    """

    def __init__(
        self, many: Callable[[Sequence[T]], Awaitable[Sequence[R | Left]]], one: Callable[[T], Awaitable[R]]
    ) -> None:
        """`many` answers for each item in turn, and must never wait for other writers: what they hold it leaves out."""
        self._many = many
        self._one = one
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()

    def write(self, item: T) -> asyncio.Future[R]:
        """What becomes of one item. Cancelled before its write has begun, it is not written."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return answer

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch = [(item, answer) for item, answer in self._waiting[:_MOST] if not answer.done()]
                del self._waiting[:_MOST]
                for (item, answer), result in zip(batch, await self._results(batch), strict=True):
                    if result is Left.OUT:
                        self._write_alone(item, answer)
                    elif not answer.done():
                        answer.set_result(result)
        finally:
            self._writing = None

    async def _results(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> Sequence[R | Left]:
        if not batch:
            return []
        try:
            return await self._many([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 an edge: each of them will meet its own error
            _log.warning("%d not written together: %r", len(batch), error)
            return [Left.OUT] * len(batch)

    def _write_alone(self, item: T, answer: asyncio.Future[R]) -> None:
        async def write() -> None:
            try:
                result = await self._one(item)
            except Exception as error:  # noqa: BLE001 an edge: it is raised where the answer is waited for
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)

        task = asyncio.create_task(write())
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)
