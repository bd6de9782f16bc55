"""Settlements: one result revision of one match turned into points, exactly once."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ids import MatchId, SettlementId, TournamentId


class ScoreVersionKind(StrEnum):
    SETTLED = "SETTLED"
    CORRECTED = "CORRECTED"
    VOIDED = "VOIDED"
    ROUND_MOVED = "ROUND_MOVED"
    REPLAYED = "REPLAYED"
    MEMBER_REMOVED = "MEMBER_REMOVED"


@dataclass(frozen=True, slots=True)
class Settlement:
    id: SettlementId
    tournament_id: TournamentId
    match_id: MatchId
    revision: int
    version: int
    """Tournament version that it made."""
    effect_digest: str
    guesses: int
    members_changed: int
    applied_at: datetime
