"""A client of a board's stream, as the contract has clients: it applies what it is told, and notices every gap."""

import asyncio
from typing import TYPE_CHECKING, Any

from live.events import Delta, Heartbeat, Resync, ResyncReason, Snapshot, StreamPosition
from tests.support.sheets import removed

if TYPE_CHECKING:
    from domain.ids import MemberId
    from domain.leaderboard.model import BoardKey, RankedRow
    from tests.support.live import Process


async def anyone() -> str | None:
    return None


class Mirror:
    """What a client knows of a board, and everything that it was told."""

    def __init__(self, process: "Process", key: "BoardKey", after: StreamPosition | None = None) -> None:
        self.rows: dict[MemberId, RankedRow] = {}
        self.version = -1 if after is None else after.version
        self.events: list[Any] = []
        self._stream = process.hub.leaderboard(key, 50, after, allowed=anyone).events()
        self._task = asyncio.create_task(self._follow())

    @property
    def board(self) -> "tuple[RankedRow, ...]":
        return tuple(sorted(self.rows.values(), key=lambda row: row.position))

    def resyncs(self) -> list[ResyncReason]:
        return [event.reason for event in self.events if isinstance(event, Resync)]

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._stream.aclose()

    def fail_if_broken(self) -> None:
        if self._task.done():
            self._task.result()
            raise AssertionError("the stream has ended")

    async def _follow(self) -> None:
        async for event in self._stream:
            self._apply(event)
            self.events.append(event)

    def _apply(self, event: Any) -> None:
        match event:
            case Snapshot():
                assert event.version >= self.version
                self.rows = {row.member_id: row for row in event.rows}
                self.version = event.version
            case Delta():
                assert event.from_version == self.version, "a gap that nobody announced"
                assert event.version > self.version
                self.rows.update((row.member_id, row) for row in event.rows)
                for member_id in removed(event):
                    del self.rows[member_id]
                self.version = event.version
            case Heartbeat():
                assert event.version == self.version
            case Resync():
                if event.reason is ResyncReason.UNKNOWN_EPOCH:
                    self.version = -1  # versions of another epoch say nothing
                assert event.version >= self.version
