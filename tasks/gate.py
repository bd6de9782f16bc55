"""Lets work that may end its process run alone, so that it does not take others down with it time and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Many may be inside together, or one alone. Who waits to be alone goes before those who come later."""

    def __init__(self, *, patience: float) -> None:
        """`patience`: after so many seconds of waiting to be alone, one goes in with the others."""
        self._patience = patience
        self._inside = 0
        self._waiting = 0
        self._is_taken = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._is_taken and not self._waiting)
            self._inside += 1
        try:
            yield
        finally:
            await self._leave()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        is_alone = await self._enter_alone()
        try:
            yield
        finally:
            if is_alone:
                self._is_taken = False
            await self._leave()

    async def _enter_alone(self) -> bool:
        async with self._changed:
            self._waiting += 1
            try:
                async with asyncio.timeout(self._patience):
                    await self._changed.wait_for(lambda: not self._is_taken and not self._inside)
            except TimeoutError:
                is_alone = False
            else:
                is_alone = self._is_taken = True
            finally:
                self._waiting -= 1
                self._changed.notify_all()
            self._inside += 1
        return is_alone

    async def _leave(self) -> None:
        self._inside -= 1
        async with self._changed:
            self._changed.notify_all()
