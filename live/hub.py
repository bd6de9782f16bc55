"""Owns the live updates of one API process: who watches what, and the ticks that say where something moved."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from time import monotonic
from uuid import UUID

from domain.clock import Clock, utc_now
from domain.database import Database
from domain.execution.model import Execution
from domain.execution.status.model import OperationsStatus
from domain.ids import ExecutionId
from domain.leaderboard.model import BoardKey
from domain.match.rules import MatchScope
from domain.outbox.model import TickKind
from live.boards import BoardFeed, BoardState, Window
from live.cohorts import Cohorts
from live.events import Delta, Heartbeat, MatchDelta, MatchSnapshot, Snapshot, StreamPosition
from live.executions import ExecutionDesk
from live.matches import MatchFeed, MatchState
from live.operations import OperationsDesk
from live.ports import Allowed, BoardReader, TickSource
from live.rights import Right
from live.streams import Stream
from live.topics import Pace
from live.watch import Watch

BoardStream = Stream[Window, BoardState, Snapshot, Delta]
MatchStream = Stream[MatchScope, MatchState, MatchSnapshot, MatchDelta]


class Hub:
    """One per process. Streams end when it stops; no outage of Valkey or Postgres ends them."""

    def __init__(
        self,
        database: Database,
        boards: BoardReader,
        ticks: TickSource,
        *,
        pace: Pace | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._pace = pace or Pace()
        self._ticks = ticks
        self._clock = clock
        limit = asyncio.Semaphore(self._pace.loads)
        self._boards = Watch(BoardFeed(database, boards), self._pace, limit)
        self._matches = Watch(MatchFeed(database, boards), self._pace, limit)
        self.cohorts = Cohorts(self._pace)
        self._executions = ExecutionDesk(database, self._pace)
        self._operations = OperationsDesk(database, self._pace)
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_subscribed = False
        """Whether ticks have been listened to at least once."""
        self._ticks_heard_at = monotonic()

    async def start(self) -> None:
        """Begin to listen and to compare."""
        self._ticks_heard_at = monotonic()
        parts = (self._boards, self._matches, self._executions, self._operations)
        runs = [self._ticks.listen(self), *(part.run() for part in parts)]
        self._tasks = {asyncio.create_task(run) for run in runs}

    async def stop(self) -> None:
        """End every stream in good order, then listen no more."""
        for part in (self._boards, self._matches, self._executions, self._operations):
            await part.stop()
        await self.cohorts.stop()
        # Cancelled until they are over: Python 3.11's `wait_for`, which redis-py uses, may swallow a cancellation.
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            _, self._tasks = await asyncio.wait(self._tasks, timeout=0.1)

    @property
    def is_reading(self) -> bool:
        """Whether boards or matches are being read for streams at this moment."""
        return self._boards.is_reading or self._matches.is_reading

    @property
    def windows(self) -> int:
        """How many windows of boards and scopes of matches are watched."""
        return len(self._boards.topics) + len(self._matches.topics)

    def leaderboard(self, key: BoardKey, first: int, after: StreamPosition | None, *, allowed: Allowed) -> BoardStream:
        """The first `first` rows (1 to 100) of a board as they change.

        Raises, when iterated:
            NotFound: there is no such board, or no longer.
            Unavailable: it cannot be read at the moment.
            Unauthenticated, Forbidden: the client may not see it, or no longer.
        """
        right = Right(allowed, self._pace.recheck)
        return Stream(self._boards, Window(key, first), after, right, self._pace, self._board_heartbeat)

    def matches(self, scope: MatchScope, after: StreamPosition | None, *, allowed: Allowed) -> MatchStream:
        """The matches of a scope as they change. Raises what `leaderboard` raises."""
        right = Right(allowed, self._pace.recheck)
        return Stream(self._matches, scope, after, right, self._pace, self._match_heartbeat)

    def executions(self, ids: Collection[ExecutionId] | None, *, allowed: Allowed) -> AsyncGenerator[Execution, None]:
        """The named executions, or all live ones now and later: each as it is, then each change.

        It completes when all the named ones are over.

        Raises, when iterated:
            NotFound: one of the named ones does not exist.
            Unauthenticated, Forbidden: the client may not see them, or no longer.
        """
        return self._executions.follow(ids, Right(allowed, self._pace.recheck))

    def operations(self, *, allowed: Allowed) -> AsyncGenerator[OperationsStatus, None]:
        """The state of operations now, then whenever it has changed, at most once a second.

        Raises, when iterated:
            Unavailable: it cannot be read at the moment.
            Unauthenticated, Forbidden: the client may not see it, or no longer.
        """
        return self._operations.follow(Right(allowed, self._pace.recheck))

    def tick(self, kind: str, entity_id: UUID, version: int | None) -> None:
        """From the tick source: something moved, perhaps to a version."""
        self.heard()
        if kind == TickKind.EXECUTION:
            self._executions.tick(ExecutionId(entity_id))
            self._operations.tick()
        elif kind == TickKind.MATCHES:
            self._matches.tick(kind, entity_id)
        else:
            self._boards.tick(kind, entity_id, version)

    def subscribed(self) -> None:
        """From the tick source: it listens, at first or again after a lost connection."""
        self.heard()
        if self.is_subscribed:
            self._boards.restore()
            self._matches.restore()
            self._executions.look()
            self._operations.tick()
        self.is_subscribed = True

    def heard(self) -> None:
        """From the tick source: its server answered."""
        self._ticks_heard_at = monotonic()

    def _board_heartbeat(self, epoch: str, version: int, fails_since: float | None) -> Heartbeat:
        return Heartbeat(epoch, version, self._clock(), self._staleness_ms(self._boards.heard_at, fails_since))

    def _match_heartbeat(self, epoch: str, version: int, fails_since: float | None) -> Heartbeat:
        return Heartbeat(epoch, version, self._clock(), self._staleness_ms(self._matches.heard_at, fails_since))

    def _staleness_ms(self, database_heard_at: float, fails_since: float | None) -> int:
        heard_at = min(database_heard_at, self._ticks_heard_at, monotonic() if fails_since is None else fails_since)
        return round((monotonic() - heard_at) * 1000)
