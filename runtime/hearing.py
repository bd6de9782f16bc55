"""Has the one source of ticks of a process heard by more than the hub."""

from dataclasses import dataclass
from uuid import UUID

from live.ports import TickListener, TickSource


class HeardByAll:
    """A source of ticks that others hear too, before whoever listens."""

    def __init__(self, source: TickSource, *others: TickListener) -> None:
        self._source = source
        self._others = others

    async def listen(self, listener: TickListener) -> None:
        """Tell them all every tick until cancelled."""
        await self._source.listen(_All((*self._others, listener)))


@dataclass(frozen=True, slots=True)
class _All:
    listeners: tuple[TickListener, ...]

    def tick(self, kind: str, entity_id: UUID, version: int | None) -> None:
        for listener in self.listeners:
            listener.tick(kind, entity_id, version)

    def subscribed(self) -> None:
        for listener in self.listeners:
            listener.subscribed()

    def heard(self) -> None:
        for listener in self.listeners:
            listener.heard()
