"""Hubs as API processes have them, and the hands that move what they watch."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from domain.clock import utc_now
from domain.leaderboard.service import Boards
from domain.match.model import Goals, MatchStatus, ResultKind
from domain.outbox import store as outbox
from domain.outbox.model import TickKind, Topic
from domain.settlement.result.service import accept_results
from domain.settlement.rules import NewResult
from domain.settlement.service import settle
from integrations.valkey.client import connect
from integrations.valkey.ticks import BOARDS, TICKS, TickReader
from live.hub import Hub
from live.topics import Pace
from tests.support.football import set_match

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.database import Database
    from domain.ids import MatchId
    from domain.leaderboard.board import OpenBoard
    from domain.leaderboard.model import BoardKey
    from domain.leaderboard.ports import Projection
    from live.events import StreamPosition

QUICK = Pace(poll=0.3, coalesce=0.02, heartbeat=0.5, recheck=1.0, retry=0.2)
"""Everything a hub does by the clock, sooner."""
TICKS_ONLY = Pace(poll=600, coalesce=0.02, heartbeat=600, recheck=600, retry=0.2)
"""Nothing by the clock: what a stream learns it learns from ticks."""


class CountingBoards(Boards):
    """Counts how often a board is opened: the computations that a hub asks for."""

    opened = 0

    async def follow(
        self, key: "BoardKey", shown: "Sequence[bytes]" = (), told: tuple[str, int] | None = None
    ) -> "OpenBoard | None":
        self.opened += 1
        return await super().follow(key, shown, told)


@dataclass(frozen=True)
class Process:
    """The live part of one API process."""

    boards: CountingBoards
    hub: Hub


@asynccontextmanager
async def api_process(
    database: "Database", valkey_url: str, pace: Pace = QUICK, projection: "Projection | None" = None
) -> "AsyncIterator[Process]":
    """A hub that listens already, on a Valkey connection of its own. Boards come from the database by default."""
    boards = CountingBoards(database, projection, utc_now)
    async with connect(valkey_url) as listening:
        hub = Hub(database, boards, TickReader(listening, front=boards.hear), pace=pace)
        await hub.start()
        try:
            await until(lambda: hub.is_subscribed)
            yield Process(boards, hub)
        finally:
            await hub.stop()
            await boards.stop()


async def anyone() -> str | None:
    """The right to what everybody may see."""
    return None


def follow(
    process: Process, key: "BoardKey", after: "StreamPosition | None" = None, first: int = 50
) -> AsyncIterator[Any]:
    """The events of a board, for anyone."""
    return process.hub.leaderboard(key, first, after, allowed=anyone).events()


async def finish(database: "Database", match_id: "MatchId", home: int, away: int) -> None:
    """End a match and settle it, as ingestion and a worker do."""
    score = Goals(home, away)
    await set_match(database, match_id, status=MatchStatus.ENDED, home_goals=home, away_goals=away)
    async with database.begin() as connection:
        result = NewResult(match_id, ResultKind.PLAYED, score, score, None)
        await accept_results(connection, [result], request_id="test")
    async with database.begin() as connection:
        await settle(connection, match_id, None)


async def relay(database: "Database", valkey: "Redis") -> None:
    """Publish the ticks that wait in the outbox, those of boards on the channel of what is projected."""
    async with database.begin() as connection:
        due = await outbox.take_due(connection, (Topic.TICK,), 1_000)
        for message in due:
            channel = BOARDS if message.message["kind"] == TickKind.BOARD else TICKS
            await valkey.publish(channel, orjson.dumps(message.message))
        await outbox.remove(connection, [message.id for message in due])


async def until(condition: Callable[[], bool]) -> None:
    """Wait, at most 10 seconds, for what no event tells."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
