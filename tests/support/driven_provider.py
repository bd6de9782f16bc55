"""A provider that a test drives: it tells what it is given, fails when told to, and can be made to wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from domain.errors import DomainError
from domain.ingestion.finality.model import Gate
from domain.ingestion.snapshot import TournamentSnapshot

if TYPE_CHECKING:
    from domain.ingestion.ports import Provider


class DrivenProvider:
    """Conforms to `domain.ingestion.ports.Provider`."""

    def __init__(self, *snapshots: TournamentSnapshot) -> None:
        self.snapshots = {(snapshot.competition, snapshot.season): snapshot for snapshot in snapshots}
        self.gate: Gate | None = None
        """What its results must pass before they are settled."""
        self.failure: DomainError | None = None
        """What every reading raises from now on."""
        self.asked: list[tuple[str, str]] = []
        """Competition and season of each reading."""
        self._open = asyncio.Event()
        self._open.set()

    async def read(
        self,
        competition: str,
        season: str,
        *,
        now: datetime,  # noqa: ARG002 it tells what it was given, whenever it is asked
        time_zone: str | None = None,  # noqa: ARG002 as above
    ) -> TournamentSnapshot:
        self.asked.append((competition, season))
        await self._open.wait()
        if self.failure is not None:
            raise self.failure
        return self.snapshots[competition, season]

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """No reading ends before the end of the block."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()


if TYPE_CHECKING:
    _conforms: type[Provider] = DrivenProvider
