"""Leagues, who is in them, what they play, and how one gets in."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ids import LeagueId, LeagueInviteId, LeagueMembershipId, MemberId, RulesetId, TournamentId


class LeagueRole(StrEnum):
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"


class LeaguePermission(StrEnum):
    EDIT = "EDIT"
    INVITE = "INVITE"
    MANAGE_MEMBERS = "MANAGE_MEMBERS"
    MANAGE_TOURNAMENTS = "MANAGE_TOURNAMENTS"
    TRANSFER = "TRANSFER"
    DELETE = "DELETE"
    LEAVE = "LEAVE"


class LeagueTournamentStatus(StrEnum):
    UPCOMING = "UPCOMING"
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"


class LeftCause(StrEnum):
    """Why a membership ended."""

    LEFT = "LEFT"
    REMOVED = "REMOVED"
    ERASED = "ERASED"
    """With the account, from all boards: those of earlier moments do not rank it either."""


@dataclass(frozen=True, slots=True)
class League:
    id: LeagueId
    name: str
    description: str | None
    founder_id: MemberId
    board_version: int
    created_at: datetime
    viewer_role: LeagueRole
    """Role of the member for whom it was read; others do not see it at all."""


@dataclass(frozen=True, slots=True)
class LeagueChange:
    """What is to change of a league; None stays as it is. An empty description removes it."""

    name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class LeagueMembership:
    id: LeagueMembershipId
    league_id: LeagueId
    member_id: MemberId
    role: LeagueRole
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class LeagueTournament:
    league_id: LeagueId
    tournament_id: TournamentId
    ruleset_id: RulesetId
    status: LeagueTournamentStatus
    ruleset_frozen: bool


@dataclass(frozen=True, slots=True)
class LinkChange:
    """What is to change of a tournament in a league; None stays as it is."""

    status: LeagueTournamentStatus | None = None
    ruleset_id: RulesetId | None = None


@dataclass(frozen=True, slots=True)
class LeagueInvite:
    id: LeagueInviteId
    league_id: LeagueId
    code: str
    role: LeagueRole
    uses: int
    max_uses: int | None
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LeagueInvitePreview:
    league_name: str
    description: str | None
    founder_nick_name: str
    member_count: int
