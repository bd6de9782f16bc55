"""Reads that are asked for at the same time: one for all who ask."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_TURN = 2
"""So many are answered in one turn of the event loop: what is done with each answer may take a millisecond."""


class Gathered(Generic[K, V]):
    """Every answer was read after its question was asked. Nobody waits for company, only for the read under way."""

    def __init__(
        self, read: Callable[[list[K]], Awaitable[Mapping[K, V]]], *, most: int = 250, patience: float = 10.0
    ) -> None:
        """`most`: so many keys are read at once, or few more. `patience`: seconds that one read may take.

        Without an end to it, who asks later would wait behind a read that a silent server never answers.
        """
        self._read = read
        self._most = most
        self._patience = patience
        self._asked: list[tuple[Collection[K], asyncio.Future[Mapping[K, V]]]] = []
        self._task: asyncio.Task[None] | None = None

    def read(self, keys: Collection[K]) -> asyncio.Future[Mapping[K, V]]:
        """What is read for these keys, perhaps for others too; raises what reading raises."""
        answer: asyncio.Future[Mapping[K, V]] = asyncio.get_running_loop().create_future()
        self._asked.append((keys, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._answer_all())
        return answer

    async def _answer_all(self) -> None:
        try:
            while self._asked:
                wanted, answers = self._take()
                if answers:
                    await self._answer(wanted, answers)
        finally:
            self._task = None

    def _take(self) -> tuple[list[K], list[asyncio.Future[Mapping[K, V]]]]:
        """The next questions whose answers somebody still waits for."""
        wanted: dict[K, None] = {}
        answers = []
        taken = 0
        for keys, answer in self._asked:
            if len(wanted) >= self._most:
                break
            taken += 1
            if not answer.done():
                wanted.update(dict.fromkeys(keys))
                answers.append(answer)
        del self._asked[:taken]
        return list(wanted), answers

    async def _answer(self, wanted: list[K], answers: list[asyncio.Future[Mapping[K, V]]]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                found = await self._read(wanted)
        except Exception as problem:  # noqa: BLE001 -- whoever asked gets to know
            for answer in answers:
                if not answer.done():
                    answer.set_exception(problem)
            return
        for number, answer in enumerate(answers, 1):
            if not answer.done():
                answer.set_result(found)
            if number % _TURN == 0:
                await asyncio.sleep(0)
