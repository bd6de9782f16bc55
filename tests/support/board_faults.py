"""A tournament whose board moves, one projector, and readers, on servers that a test takes down."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from redis.asyncio.connection import AbstractConnection

from domain.clock import utc_now
from domain.leaderboard.model import BoardKey, BoardSource
from domain.leaderboard.ports import ProjectionUnavailable
from domain.leaderboard.projector import run_projector
from domain.leaderboard.service import Boards
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from integrations.valkey.ticks import ProjectorTicks
from runtime.embedded.valkey import EmbeddedValkey
from runtime.outage import is_outage
from tasks.loops import end
from tests.support.boards import Places, places, ranked_by_sql, walk
from tests.support.football import MadeTournament, make_members, make_tournament, put_guesses
from tests.support.live import finish
from tests.support.servers import temporary_data

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.leaderboard.board import OpenBoard
    from runtime.database import PostgresDatabase


@dataclass(frozen=True)
class OwnValkey:
    """A Valkey that one test stops and starts; the address stays."""

    server: EmbeddedValkey
    url: str
    folder: Path

    @property
    def pid(self) -> int:
        process = self.server._process
        assert process is not None
        return process.pid

    def kill(self) -> None:
        """At once, as a crash does."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.server._process is not None
        self.server._process.wait()

    def start_again(self) -> None:
        self.server.stop()
        self.server.start()


@contextmanager
def own_valkey(*, durable: bool = False) -> Iterator[OwnValkey]:
    """A durable one has after a kill what it had before; another one only what it was told to save."""
    with temporary_data() as folder:
        server = EmbeddedValkey(folder, durable=durable)
        try:
            yield OwnValkey(server, server.start(), folder)
        finally:
            with suppress(ProcessLookupError, AssertionError, AttributeError):
                os.kill(server._process.pid, signal.SIGCONT)  # type: ignore[union-attr]
            server.stop()


@dataclass
class Cup:
    """A tournament, and what its board was at each version."""

    database: "PostgresDatabase"
    made: MadeTournament
    boards: dict[int, Places] = field(default_factory=dict)
    played: int = 0

    @property
    def key(self) -> BoardKey:
        return BoardKey(tournament_id=self.made.id)

    async def move(self) -> int:
        """End one match more and settle it; the answer is the version then."""
        number = self.played
        self.played += 1
        await finish(self.database, self.made.matches[number], number % 3, number % 2)
        return await self.note()

    async def note(self) -> int:
        """Remember the board as it is by SQL, while nothing else moves it."""
        (version,) = (await Boards(self.database, None, utc_now).versions([self.key])).values()
        self.boards[version] = await ranked_by_sql(self.database, tournament_id=self.made.id)
        return version

    async def read(self, boards: Boards) -> "OpenBoard":
        board = await boards.open(self.key)
        assert board is not None
        return board

    async def assert_true(self, boards: Boards) -> BoardSource:
        """Whatever it is read from, the board is the one of its version."""
        board = await self.read(boards)
        rows = await walk(board, 3)
        assert places(rows) == self.boards[board.head.version]
        return board.head.source

    async def until_projected(self, boards: Boards, *, within: float) -> None:
        """Wait until the board comes from the projection again, and see that it is right."""
        async with asyncio.timeout(within):
            while await self.assert_true(boards) is not BoardSource.PROJECTION:  # noqa: ASYNC110 - no event of ours
                await asyncio.sleep(0.05)


async def make_cup(database: "PostgresDatabase", *, matches: int, members: int = 10) -> Cup:
    made = await make_tournament(database, matches=matches, ruleset="kicktipp")
    given = [
        (match_id, member_id, (number + match) % 4, number % 3)
        for number, member_id in enumerate(await make_members(database, members, joins=[made]))
        for match, match_id in enumerate(made.matches)
    ]
    await put_guesses(database, made, given)
    cup = Cup(database, made)
    await cup.note()
    return cup


def boards_on(database: "PostgresDatabase", client: "Redis") -> Boards:
    """Boards of an API process that asks a server again soon after it was away."""
    return Boards(database, ValkeyProjection(client, pause=0.2), utc_now)


@asynccontextmanager
async def projecting(database: "PostgresDatabase", url: str, *, poll_seconds: float = 0.2) -> AsyncIterator[None]:
    """A worker's projector until the end of the block."""
    async with connect(url) as client:
        ticks = ProjectorTicks(client)
        projection = ValkeyProjection(client, pause=0.2)
        tasks = [
            asyncio.create_task(ticks.run()),
            asyncio.create_task(run_projector(database, projection, ticks, is_outage, poll_seconds=poll_seconds)),
        ]
        try:
            yield
        finally:
            await end(tasks)


class CommandCount:
    """Counts what is sent to Valkey in a block, and does something before the one with a number."""

    def __init__(self, at: int | None, then: Callable[[], None]) -> None:
        self.sent = 0
        self._at = at
        self._then = then

    def __enter__(self) -> Self:
        send = self._send = AbstractConnection.send_packed_command
        count = self

        async def counted(connection: AbstractConnection, *arguments: Any, **options: Any) -> None:
            if count.sent == count._at:
                count._then()
            count.sent += 1
            await send(connection, *arguments, **options)

        AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        AbstractConnection.send_packed_command = self._send  # type: ignore[method-assign]


async def attempt(work: Any) -> bool:
    """Whether something that needs the projection succeeded."""
    try:
        await work
    except ProjectionUnavailable:
        return False
    return True
