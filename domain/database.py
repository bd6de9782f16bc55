"""What the domain asks of its database: transactions. The engine behind it belongs to `runtime`."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection


class Database(Protocol):
    """Hands out connections for one unit of work each; never keep one across a `yield` of a subscription."""

    def begin(self) -> "AbstractAsyncContextManager[AsyncConnection]":
        """One READ COMMITTED transaction: commits at the end of the block, rolls back on an exception."""
        ...

    def read(self) -> "AbstractAsyncContextManager[AsyncConnection]":
        """An autocommit connection, for single reads."""
        ...

    def snapshot(self, *, of: "AsyncConnection | None" = None) -> "AbstractAsyncContextManager[AsyncConnection]":
        """A transaction for reads that all see one moment: that of another snapshot, if `of` one."""
        ...

    async def fetch(self, statement: "Select[Any]", values: Mapping[str, Any]) -> list[Any]:
        """The rows that one statement by itself finds, as objects with the columns' names.

        It costs a third of what `read` does, for statements that are built once: what is written of them is kept.
        """
        ...
