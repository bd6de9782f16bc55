"""Identifiers of the game's objects. All are UUIDs made by the application, ordered by time."""

from typing import NewType
from uuid import UUID

from uuid_utils import compat, uuid7

MemberId = NewType("MemberId", UUID)
SessionId = NewType("SessionId", UUID)
TournamentId = NewType("TournamentId", UUID)
RoundId = NewType("RoundId", UUID)
TeamId = NewType("TeamId", UUID)
MatchId = NewType("MatchId", UUID)
RulesetId = NewType("RulesetId", UUID)
SettlementId = NewType("SettlementId", UUID)
LeagueId = NewType("LeagueId", UUID)
LeagueMembershipId = NewType("LeagueMembershipId", UUID)
LeagueInviteId = NewType("LeagueInviteId", UUID)
ExecutionId = NewType("ExecutionId", UUID)
DeadLetterId = NewType("DeadLetterId", UUID)
ScheduleId = NewType("ScheduleId", UUID)


def new_id() -> UUID:
    """A new UUIDv7: unique everywhere, and later ones sort after earlier ones, which keeps indexes compact."""
    return compat.uuid7()


def new_name() -> str:
    """The same as 32 hexadecimal digits, made in less time: for what is only told and logged."""
    return uuid7().hex
