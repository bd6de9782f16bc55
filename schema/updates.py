"""Events of the streams."""

from datetime import datetime
from typing import Annotated, Self

import orjson
import strawberry

from live import events
from live.events import ResyncReason
from schema.describe import describe
from schema.ids import global_id
from schema.leaderboard import Leaderboard, LeaderboardRow
from schema.match import Match
from schema.row_table import RowTable, as_list, row_ids
from schema.scalars import LARGEST_INT

describe(
    ResyncReason,
    "Why a stream begins anew.",
    UNKNOWN_EPOCH="`after` names another epoch: the database was restored since.",
    TOO_OLD="`after` is not among what this server keeps: too old, or from another server.",
    SLOW_CLIENT="The client read too slowly, and events were left out.",
    SOURCE_RESTORED="The source of updates was away.",
)


@strawberry.input(description="Where a client stands in a stream.")
class StreamPositionInput:
    epoch: str = strawberry.field(description="`epoch` of the last event applied.")
    version: int = strawberry.field(description="`version` of the last event applied.")

    def position(self) -> events.StreamPosition:
        """The position in the streams' words."""
        return events.StreamPosition(epoch=self.epoch, version=self.version)


@strawberry.interface(description="An event of a resumable stream.")
class StreamEvent:
    epoch: str = strawberry.field(
        description=(
            "Names the installation that `version` belongs to, the same on every server; changes "
            "only when the database was restored."
        )
    )
    version: int = strawberry.field(
        description=("Version of the state after this event, the same on every server; never falls within an epoch.")
    )


@strawberry.type(description="The whole window: replace what you have.")
class LeaderboardSnapshot(StreamEvent):
    epoch: str = strawberry.field(description="Installation.")
    version: int = strawberry.field(description="Version of this state.")
    leaderboard: Leaderboard = strawberry.field(description="The board.")
    rows: list[LeaderboardRow] = strawberry.field(
        description="The first rows, by position; as many as `first` asked for."
    )

    @classmethod
    def from_event(cls, event: events.Snapshot) -> Self:
        """Shape a snapshot."""
        return cls(
            epoch=event.epoch,
            version=event.version,
            leaderboard=Leaderboard.from_domain(event.board, event.head),
            rows=as_list(RowTable(event)),
        )


@strawberry.type(
    description=(
        "What changed in the window or in the counts of the board; rows may be empty. Apply it only when "
        "`fromVersion` is yours; else subscribe anew."
    )
)
class LeaderboardDelta(StreamEvent):
    epoch: str = strawberry.field(description="Installation.")
    from_version: int = strawberry.field(
        description="Version that it builds on: that of the snapshot or delta before it."
    )
    version: int = strawberry.field(description="Version of this state.")
    leaderboard: Leaderboard = strawberry.field(description="The board, for its freshness.")
    rows: list[LeaderboardRow] = strawberry.field(
        description=(
            "Rows that are new in the window or differ, whole; merge by id, sort by position. At most `first`."
        )
    )
    removed_row_ids: list[strawberry.ID] = strawberry.field(description="Rows that left the window; at most `first`.")

    @classmethod
    def from_event(cls, event: events.Delta) -> Self:
        """Shape a delta."""
        return cls(
            epoch=event.epoch,
            from_version=event.from_version,
            version=event.version,
            leaderboard=Leaderboard.from_domain(event.board, event.head),
            rows=as_list(RowTable(event)),
            removed_row_ids=[orjson.loads(text) for text in row_ids(event, event.left)],
        )


@strawberry.type(description="All matches in scope: replace what you have.")
class MatchSnapshot(StreamEvent):
    epoch: str = strawberry.field(description="Installation.")
    version: int = strawberry.field(description="Version of this state.")
    matches: list[Match] = strawberry.field(description="By kick-off; at most 100.")

    @classmethod
    def from_event(cls, event: events.MatchSnapshot) -> Self:
        """Shape a snapshot."""
        return cls(
            epoch=event.epoch, version=event.version, matches=[Match.from_domain(match) for match in event.matches]
        )


@strawberry.type(description="Matches that changed. Apply it only when `fromVersion` is yours; else subscribe anew.")
class MatchDelta(StreamEvent):
    epoch: str = strawberry.field(description="Installation.")
    from_version: int = strawberry.field(
        description="Version that it builds on: that of the snapshot or delta before it."
    )
    version: int = strawberry.field(description="Version of this state.")
    matches: list[Match] = strawberry.field(description="Changed matches, whole; merge by id. At most 100.")
    removed_match_ids: list[strawberry.ID] = strawberry.field(description="Matches that left the scope; at most 100.")

    @classmethod
    def from_event(cls, event: events.MatchDelta) -> Self:
        """Shape a delta."""
        return cls(
            epoch=event.epoch,
            from_version=event.from_version,
            version=event.version,
            matches=[Match.from_domain(match) for match in event.matches],
            removed_match_ids=[global_id("Match", match_id) for match_id in event.removed],
        )


@strawberry.type(description="The stream could not be continued without loss; a snapshot follows at once.")
class Resync(StreamEvent):
    epoch: str = strawberry.field(description="Installation of the snapshot that follows.")
    version: int = strawberry.field(description="Version of the snapshot that follows.")
    reason: ResyncReason = strawberry.field(description="Why.")

    @classmethod
    def from_event(cls, event: events.Resync) -> Self:
        """Shape a resync."""
        return cls(epoch=event.epoch, version=event.version, reason=event.reason)


@strawberry.type(description="Nothing changed; sent every 15 seconds without another event.")
class Heartbeat(StreamEvent):
    epoch: str = strawberry.field(description="Installation.")
    version: int = strawberry.field(
        description=(
            "Version of the last snapshot or delta of this stream, or of `after` when there was "
            "none yet: if it is not yours, subscribe anew."
        )
    )
    at: datetime = strawberry.field(description="Server time.")
    staleness_ms: int = strawberry.field(
        description="How long ago the source of updates was last heard, in milliseconds."
    )

    @classmethod
    def from_event(cls, event: events.Heartbeat) -> Self:
        """Shape a heartbeat."""
        return cls(
            epoch=event.epoch, version=event.version, at=event.at, staleness_ms=min(event.staleness_ms, LARGEST_INT)
        )


LeaderboardUpdate = Annotated[
    LeaderboardSnapshot | LeaderboardDelta | Resync | Heartbeat,
    strawberry.union("LeaderboardUpdate", description="An event of `leaderboardUpdates`."),
]


MatchUpdate = Annotated[
    MatchSnapshot | MatchDelta | Resync | Heartbeat,
    strawberry.union("MatchUpdate", description="An event of `matchUpdates`."),
]
