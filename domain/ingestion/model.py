"""What ingestion has stored, and what it would change: rows before they are written."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.ids import MatchId, RoundId, TeamId, TournamentId
from domain.ingestion.finality.model import Gate, HeldReading
from domain.ingestion.snapshot import TournamentSnapshot
from domain.match.model import MatchStatus, ResultState


@dataclass(frozen=True, slots=True)
class StoredMatch:
    """A match as it is stored: `values` are the columns that ingestion owns."""

    id: MatchId
    values: dict[str, Any]
    result_state: ResultState
    missing: bool
    checked_at: datetime | None
    """When the reading was made that changed it last; None when that is not known."""
    by_admin: bool = False
    """Whether an admin has set the result: then no reading changes it, or what the match shows of it."""
    held: HeldReading | None = None
    """What was last said of its result and is not believed yet."""

    @property
    def lock_at(self) -> datetime | None:
        lock: datetime | None = self.values["lock_at"]
        return lock

    @property
    def sides(self) -> tuple[TeamId | None, TeamId | None]:
        return self.values["home_team_id"], self.values["away_team_id"]

    @property
    def status(self) -> MatchStatus:
        return MatchStatus(self.values["status"])


@dataclass(frozen=True, slots=True)
class References:
    """Ids of what a snapshot names by key or slug."""

    rounds: dict[str, RoundId]
    teams: dict[str, TeamId]
    matches: dict[str, MatchId]


@dataclass(frozen=True, slots=True)
class Reading:
    """A tournament of ours beside what its provider told of it at `read_at`, for a request."""

    tournament_id: TournamentId
    snapshot: TournamentSnapshot
    read_at: datetime
    request_id: str
    gate: Gate | None = None
    """What results of this provider must pass."""
