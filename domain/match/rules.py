"""Rules of matches that need no database: days, order, and what a match is."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from domain.ids import MatchId, RoundId, TournamentId
from domain.match.model import Match, MatchStatus, ResultKind, ResultState

VOID_STATUSES = (MatchStatus.CANCELLED, MatchStatus.ABANDONED)


@dataclass(frozen=True, slots=True)
class MatchScope:
    """Which matches to follow: of a round, in play in a tournament, or named ones. Exactly one is given."""

    round_id: RoundId | None = None
    live_of_tournament_id: TournamentId | None = None
    match_ids: tuple[MatchId, ...] = ()


def is_void(match: Match) -> bool:
    """Whether the match pays nobody: cancelled, abandoned or annulled."""
    return (
        match.status in VOID_STATUSES or match.result_kind is ResultKind.VOID or match.result_state is ResultState.VOID
    )


def day_of(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The day of `zone` that `now` is in, as two instants in UTC: its midnight and the next one.

    A day with a change of clocks has 23 or 25 hours. Where midnight is skipped the day begins when the clocks jump.
    """
    today = now.astimezone(zone).date()
    return _midnight(today, zone), _midnight(today + timedelta(days=1), zone)


def lock_position(match: Match) -> tuple[datetime, MatchId] | None:
    """Where an open match stands in lists by lock; one whose time is not known yet stands at the start of its day."""
    when = match.lock_at or match.kick_off
    return None if when is None else (when, match.id)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
