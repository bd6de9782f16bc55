"""How teams did in their last matches."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ids import MatchId, TeamId, TournamentId
from domain.match.model import Goals


class FormResult(StrEnum):
    WIN = "WIN"
    DRAW = "DRAW"
    LOSS = "LOSS"


@dataclass(frozen=True, slots=True)
class PlayedMatch:
    """A match with a result that is final."""

    id: MatchId
    tournament_id: TournamentId
    kick_off: datetime
    home_team_id: TeamId
    away_team_id: TeamId
    goals: Goals
    """After extra time where there was any: a shoot-out makes no winner here."""
