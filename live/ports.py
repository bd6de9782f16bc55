"""What the hub asks of the world: ticks from a message channel, boards, and whether a client may still see a stream."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from domain.leaderboard.model import BoardKey

if TYPE_CHECKING:
    from domain.leaderboard.board import OpenBoard

Allowed = Callable[[], Awaitable[str | None]]
"""Asks whether a client may see a stream: None, or UNAUTHENTICATED or FORBIDDEN when it no longer may.

Who never could is refused by an error with words of its own."""


class TickListener(Protocol):
    """Hears a tick source. Every call returns at once and never raises."""

    def tick(self, kind: str, entity_id: UUID, version: int | None) -> None:
        """Something moved; `kind` is a `TickKind`, the version is known for boards only."""
        ...

    def subscribed(self) -> None:
        """The channels are subscribed: at first, and again after each lost connection (ticks may have been lost)."""
        ...

    def heard(self) -> None:
        """The server answered; called at least every two seconds while the connection is alive."""
        ...


class TickSource(Protocol):
    """The one pub/sub connection of a process."""

    async def listen(self, listener: TickListener) -> None:
        """Tell the listener every tick until cancelled; a lost connection is made again, for ever."""
        ...


class BoardReader(Protocol):
    """The part of `domain.leaderboard.service.Boards` that the hub uses."""

    async def follow(
        self, key: BoardKey, shown: Sequence[bytes] = (), told: tuple[str, int] | None = None
    ) -> "OpenBoard | None": ...

    async def versions(self, keys: Collection[BoardKey]) -> dict[BoardKey, int]: ...

    async def epoch(self) -> str: ...
