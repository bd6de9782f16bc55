"""One fetched version of a tournament, in the game's own terms and free of any provider's format.

Keys are the provider's names of things, stable from one reading to the next. All instants are aware and in UTC.
"""

import json
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from hashlib import sha256

from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind
from domain.tournament.model import Provider, RoundKind, StandingsMode, TournamentMode


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that was left out, and why."""

    file: str
    index: int | None
    """Place among the items of the file, from 0; None when the fault is of no single item."""
    reason: str
    key: str | None = None
    """Of a match that is listed though nothing of it was taken; None when it is no match, or its key is not known."""


@dataclass(frozen=True, slots=True)
class RoundSnapshot:
    slug: str
    label: str
    kind: RoundKind
    position: int
    """Order in the tournament, from 1."""


@dataclass(frozen=True, slots=True)
class TeamSnapshot:
    key: str
    name: str
    short_name: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class MatchSnapshot:
    key: str
    round_slug: str
    home_team_key: str | None
    """None until the draw; then `home_label` is a placeholder such as `W49`."""
    away_team_key: str | None
    home_label: str
    away_label: str
    kick_off: datetime | None
    """With precision DATE: the instant at which that day begins in the tournament's time zone."""
    kick_off_precision: KickOffPrecision
    status: MatchStatus
    kind: ResultKind
    regulation: Goals | None
    """After 90 minutes; known while extra time is being played."""
    after_extra_time: Goals | None
    """Goals of the 90 minutes included; None when there was no extra time."""
    shoot_out: Goals | None
    running: Goals | None
    """Score at this moment; None unless in play."""
    minute: int | None
    """Minute of play; None unless in play and known."""
    stadium: str | None
    group: str | None
    data_warning: str | None
    """What is doubtful in the provider's data though the match was taken, for people."""
    went_to_extra_time: bool = False
    """Whether the provider tells that extra time was played, be it without its score."""
    unknown_status: str | None = None
    """The provider's word for how the match stands, where we do not know it; then nothing else of its play counts."""


@dataclass(frozen=True, slots=True)
class StandingSnapshot:
    team_key: str
    position: int
    played: int
    won: int
    drawn: int
    lost: int
    goals_for: int
    goals_against: int
    points: int


@dataclass(frozen=True, slots=True)
class StandingsGroupSnapshot:
    name: str | None
    """None for a single table."""
    is_computed: bool
    """Whether the table was computed from results, the provider having none."""
    rows: tuple[StandingSnapshot, ...]


@dataclass(frozen=True, slots=True)
class TournamentSnapshot:
    provider: Provider
    competition: str
    """The provider's name of the competition, such as `en.1`."""
    season: str
    """The provider's name of the season, such as `2024-25`."""
    label: str
    season_label: str
    """Season to show, such as `2024/25`."""
    mode: TournamentMode
    standings_mode: StandingsMode
    time_zone: str
    """IANA zone in which the provider tells dates and times."""
    rounds: tuple[RoundSnapshot, ...]
    teams: tuple[TeamSnapshot, ...]
    matches: tuple[MatchSnapshot, ...]
    standings: tuple[StandingsGroupSnapshot, ...]
    rejections: tuple[Rejection, ...]


def content_hash(content: object) -> str:
    """SHA-256 (hex) of the canonical form of snapshots, or of tuples of them. The order of a tuple counts."""
    text = json.dumps(content, default=_plain, ensure_ascii=False, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    """What JSON has no word for: an instant as text, a dataclass as the list of its fields."""
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, name) for name in value.__dataclass_fields__]
    raise TypeError(f"no canonical form of {type(value).__name__}")
