"""Reads that different operations ask for at the same time: of each kind one statement for all who ask."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

from domain.database import Database
from domain.gathered import Gathered

K = TypeVar("K")
V = TypeVar("V")

_PATIENCE = 5.0
"""Seconds: who waits longer is told that the server cannot say."""


class Desks:
    """One per process; reads nothing that depends on who asks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._desks: dict[Callable[..., Any], Gathered[Any, Any]] = {}

    async def read(
        self, service: Callable[[Database, list[K]], Awaitable[Mapping[K, V]]], keys: Collection[K]
    ) -> Mapping[K, V]:
        """What a service answers for these keys, perhaps for others too; raises what it raises."""
        desk = self._desks.get(service)
        if desk is None:
            desk = self._desks[service] = Gathered(lambda wanted: service(self._database, wanted), patience=_PATIENCE)
        return await desk.read(keys)
