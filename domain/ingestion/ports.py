"""What ingestion asks of the outside world."""

from datetime import datetime
from typing import Protocol

from domain.ingestion.finality.model import Gate
from domain.ingestion.snapshot import TournamentSnapshot


class Provider(Protocol):
    """A source of tournaments."""

    @property
    def gate(self) -> Gate | None:
        """What a result of it must pass before it is settled; None where results are final by nature."""
        ...

    async def read(
        self, competition: str, season: str, *, now: datetime, time_zone: str | None = None
    ) -> TournamentSnapshot:
        """The tournament as the provider tells it at `now` (aware, UTC).

        `time_zone` (IANA) is that of kick-offs given without one; by default the provider knows it.

        Raises ProviderNotFound, ProviderBadData or ProviderUnavailable. Faults of single items are no errors: they
        stand in `TournamentSnapshot.rejections`.
        """
        ...
