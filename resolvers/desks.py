"""Reads that different operations ask for at the same time: of each kind one statement for all who ask."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Generic, TypeVar

from domain.database import Database

K = TypeVar("K")
V = TypeVar("V")
_MOST_KEYS = 1000


class Desks:
    """One per process; reads nothing that depends on who asks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._desks: dict[Callable[..., Any], _Desk[Any, Any]] = {}

    async def read(
        self, service: Callable[[Database, list[K]], Awaitable[Mapping[K, V]]], keys: Collection[K]
    ) -> Mapping[K, V]:
        """What a service answers for these keys, perhaps for others too; raises what it raises."""
        desk = self._desks.get(service)
        if desk is None:
            desk = self._desks[service] = _Desk(lambda wanted: service(self._database, wanted))
        return await desk.read(keys)


class _Desk(Generic[K, V]):
    """Every answer was read after its question was asked. Nobody waits for company, only for the read under way."""

    def __init__(self, read: Callable[[list[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read
        self._asked: list[tuple[Collection[K], asyncio.Future[Mapping[K, V]]]] = []
        self._task: asyncio.Task[None] | None = None

    def read(self, keys: Collection[K]) -> asyncio.Future[Mapping[K, V]]:
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
            if len(wanted) >= _MOST_KEYS:
                break
            taken += 1
            if not answer.done():
                wanted.update(dict.fromkeys(keys))
                answers.append(answer)
        del self._asked[:taken]
        return list(wanted), answers

    async def _answer(self, wanted: list[K], answers: list[asyncio.Future[Mapping[K, V]]]) -> None:
        try:
            found = await self._read(wanted)
        except Exception as problem:  # noqa: BLE001 -- whoever asked gets to know
            for answer in answers:
                if not answer.done():
                    answer.set_exception(problem)
        else:
            for answer in answers:
                if not answer.done():
                    answer.set_result(found)
