"""Which state of its tournaments a past board shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.ids import TournamentId


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment in the past. Versions that are not known are those of the database at that time."""

    at: datetime
    versions: Mapping[TournamentId, int]
    """Known versions of tournaments' scores: a round's beginning is known by its version, not by its time alone."""
