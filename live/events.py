"""Owns the events of the streams (contract/README.md, Streams), and where a client may resume."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.ids import MatchId, MemberId
from domain.leaderboard.model import BoardHead, RankedRow
from domain.leaderboard.sheet import Sheet
from domain.match.model import Match
from domain.member.model import Member
from live.texts import Texts

if TYPE_CHECKING:
    from domain.leaderboard.board import OpenBoard


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """Where a client stands: the last event that it applied."""

    epoch: str
    version: int


class ResyncReason(StrEnum):
    UNKNOWN_EPOCH = "UNKNOWN_EPOCH"
    TOO_OLD = "TOO_OLD"
    SLOW_CLIENT = "SLOW_CLIENT"
    SOURCE_RESTORED = "SOURCE_RESTORED"


@dataclass(frozen=True, slots=True)
class Resync:
    """The stream begins anew: the snapshot that follows at once has this epoch and version."""

    epoch: str
    version: int
    reason: ResyncReason


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing changed since `version`, which is that of the last frame of this stream."""

    epoch: str
    version: int
    at: datetime
    staleness_ms: int
    """How long ago the source of updates was last heard, in milliseconds."""


class _Rows:
    """What an event tells of rows, one by one. Whoever tells all of them reads the sheet."""

    __slots__ = ()
    sheet: Sheet

    @property
    def rows(self) -> tuple[RankedRow, ...]:
        return self.sheet.rows

    @property
    def guessed_matches(self) -> Mapping[MemberId, int]:
        return self.sheet.guessed_matches

    @property
    def movement(self) -> Mapping[MemberId, int | None]:
        return self.sheet.movement

    @property
    def members(self) -> Mapping[MemberId, Member]:
        return {member_id: Member(member_id, name) for member_id, name in self.sheet.nick_names.items()}


@dataclass(frozen=True, slots=True)
class Snapshot(_Rows):
    """The first rows of a board, all of them."""

    epoch: str
    version: int
    board: "OpenBoard"
    """For reading further; where its head may move on when read, `head` stays."""
    head: BoardHead
    sheet: Sheet
    texts: Texts = field(default_factory=Texts, compare=False)


@dataclass(frozen=True, slots=True)
class Delta(_Rows):
    """Rows that are new in the window or differ, and members whose rows left it; both may be empty.

    One object serves all streams of a window.
    """

    epoch: str
    from_version: int
    version: int
    board: "OpenBoard"
    """For reading further; where its head may move on when read, `head` stays."""
    head: BoardHead
    sheet: Sheet
    left: tuple[bytes, ...]
    """Ids of 16 bytes."""
    texts: Texts = field(default_factory=Texts, compare=False)


@dataclass(frozen=True, slots=True)
class MatchSnapshot:
    """All matches in scope, by kick-off."""

    epoch: str
    version: int
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class MatchDelta:
    """Matches that are new in the scope or differ, and those that left it."""

    epoch: str
    from_version: int
    version: int
    matches: tuple[Match, ...]
    removed: tuple[MatchId, ...]


LeaderboardEvent = Snapshot | Delta | Resync | Heartbeat
MatchEvent = MatchSnapshot | MatchDelta | Resync | Heartbeat
