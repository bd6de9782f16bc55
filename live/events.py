"""Owns the events of the streams (contract/README.md, Streams), and where a client may resume."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.ids import MatchId, MemberId
from domain.leaderboard.model import BoardHead, RankedRow
from domain.match.model import Match
from domain.member.model import Member

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The first rows of a board, all of them. The three mappings cover exactly these rows."""

    epoch: str
    version: int
    board: "OpenBoard"
    """For reading further; where its head may move on when read, `head` stays."""
    head: BoardHead
    rows: tuple[RankedRow, ...]
    guessed_matches: Mapping[MemberId, int]
    movement: Mapping[MemberId, int | None]
    members: Mapping[MemberId, Member]


@dataclass(frozen=True, slots=True)
class Delta:
    """Rows that are new in the window or differ, and members whose rows left it; both may be empty.

    The three mappings cover exactly `rows`. One object serves all streams of a window.
    """

    epoch: str
    from_version: int
    version: int
    board: "OpenBoard"
    """For reading further; where its head may move on when read, `head` stays."""
    head: BoardHead
    rows: tuple[RankedRow, ...]
    removed: tuple[MemberId, ...]
    guessed_matches: Mapping[MemberId, int]
    movement: Mapping[MemberId, int | None]
    members: Mapping[MemberId, Member]


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
