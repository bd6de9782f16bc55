"""Tournaments, their rounds, teams and team tables."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ids import RoundId, RulesetId, TeamId, TournamentId


class Provider(StrEnum):
    SOFASCORE = "SOFASCORE"
    OPENFOOTBALL = "OPENFOOTBALL"


class TournamentMode(StrEnum):
    REGULAR_SEASON = "REGULAR_SEASON"
    REGULAR_SEASON_AND_KNOCKOUT = "REGULAR_SEASON_AND_KNOCKOUT"
    KNOCKOUT = "KNOCKOUT"


class StandingsMode(StrEnum):
    SINGLE_TABLE = "SINGLE_TABLE"
    GROUPS = "GROUPS"


class TournamentStatus(StrEnum):
    UPCOMING = "UPCOMING"
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


class RoundKind(StrEnum):
    SEASON = "SEASON"
    KNOCKOUT = "KNOCKOUT"


@dataclass(frozen=True, slots=True)
class Tournament:
    id: TournamentId
    provider: Provider
    competition: str
    """Competition at the provider, such as `en.1`."""
    provider_season: str
    """Season at the provider, such as `2024-25`."""
    label: str
    season: str
    """Season to show, such as `2024/25`."""
    mode: TournamentMode
    standings_mode: StandingsMode
    status: TournamentStatus
    current_round_id: RoundId | None
    time_zone: str | None
    ruleset_id: RulesetId
    settled_version: int
    board_version: int
    match_version: int
    logo_url: str | None
    standings_at: datetime | None


@dataclass(frozen=True, slots=True)
class TournamentSource:
    """Where a tournament's data come from; as in `Tournament`."""

    provider: Provider
    competition: str
    season: str


@dataclass(frozen=True, slots=True)
class TournamentChange:
    """What is to change of what ingestion does not own; None stays as it is."""

    label: str | None = None
    status: TournamentStatus | None = None
    source: TournamentSource | None = None
    ruleset_id: RulesetId | None = None


@dataclass(frozen=True, slots=True)
class Round:
    id: RoundId
    tournament_id: TournamentId
    position: int
    label: str
    slug: str
    kind: RoundKind
    baseline_version: int | None
    """`settled_version` of the tournament when this round first became the current one; written once."""
    baseline_at: datetime | None


@dataclass(frozen=True, slots=True)
class Team:
    id: TeamId
    name: str
    short_name: str | None
    badge_url: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    group_name: str | None
    position: int
    team_id: TeamId
    played: int
    won: int
    drawn: int
    lost: int
    goals_for: int
    goals_against: int
    points: int


@dataclass(frozen=True, slots=True)
class StandingsGroup:
    name: str | None
    is_computed: bool
    rows: tuple[Standing, ...]
