"""Lets work that may end its process run alone, so that it does not take others down with it time and again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Gate:
    """Many may be inside together, or one alone. Who waits to be alone goes before those who come later."""

    def __init__(self, *, patience: float) -> None:
        """`patience`: after so many seconds of waiting for those inside, one goes in with them.

        Those who wait to be alone take turns, and the wait for one's turn does not count.
        """
        self._patience = patience
        self._inside = 0
        self._waiting = 0
        self._is_taken = False
        self._turn = asyncio.Lock()
        self._change = asyncio.Event()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        await self._until(lambda: not self._is_taken and not self._waiting)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._tell()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            async with self._turn:
                is_alone = await self._enter()
        finally:
            self._waiting -= 1
            self._tell()
        try:
            yield
        finally:
            self._inside -= 1
            self._is_taken = self._is_taken and not is_alone
            self._tell()

    async def _enter(self) -> bool:
        """Go in alone, or with those who do not leave in time; whether one is alone."""
        await self._until(lambda: not self._is_taken)
        try:
            async with asyncio.timeout(self._patience):
                await self._until(lambda: not self._inside)
        except TimeoutError:
            is_alone = False
        else:
            is_alone = self._is_taken = True
        self._inside += 1
        return is_alone

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Between the last look at the condition and the caller's next step nobody else runs."""
        while not condition():
            await self._change.wait()

    def _tell(self) -> None:
        self._change.set()
        self._change = asyncio.Event()
