"""A match that was only planned, as it is read."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.ids import MatchId, RoundId, TournamentId
from domain.match.model import KickOffPrecision, Match, MatchStatus, ResultKind, ResultState

_KICK_OFF = datetime(2026, 11, 24, 12, tzinfo=UTC)
_PLANNED = Match(
    id=MatchId(UUID(int=1)),
    tournament_id=TournamentId(UUID(int=1)),
    round_id=RoundId(UUID(int=2)),
    home_team_id=None,
    away_team_id=None,
    home_label="Home",
    away_label="Away",
    kick_off=_KICK_OFF,
    kick_off_precision=KickOffPrecision.EXACT,
    lock_at=_KICK_OFF,
    is_locked=False,
    status=MatchStatus.NOT_STARTED,
    minute=None,
    goals=None,
    regulation=None,
    after_extra_time=None,
    shoot_out=None,
    result_state=ResultState.NONE,
    result_kind=ResultKind.PLAYED,
    result_revision=0,
    hold_reason=None,
    data_warning=None,
    version=1,
    stadium=None,
    last_checked_at=None,
    is_settled=False,
    is_paused=False,
)


def planned_match(**changes: Any) -> Match:
    """A match as it is before anything happened to it, but for what `changes` say."""
    return replace(_PLANNED, **changes)
