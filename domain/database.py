"""What the domain asks of its database: transactions. The engine behind it belongs to `runtime`."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class Database(Protocol):
    """Hands out connections for one unit of work each; never keep one across a `yield` of a subscription."""

    def begin(self) -> "AbstractAsyncContextManager[AsyncConnection]":
        """One READ COMMITTED transaction: commits at the end of the block, rolls back on an exception."""
        ...

    def read(self) -> "AbstractAsyncContextManager[AsyncConnection]":
        """An autocommit connection, for single reads."""
        ...
