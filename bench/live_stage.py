"""The stage of `bench.live`: servers in processes of their own, the database behind them, and a board that moves."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory

import psutil
from redis.asyncio import Redis
from sqlalchemy import func, insert, update

from bench.live_clients import Crowd
from bench.live_listening import events_of
from domain.ids import MemberId, new_id
from domain.leaderboard.projector import project
from domain.member.tables import members, sessions
from domain.tournament.store import raise_versions
from integrations.valkey.projection import ValkeyProjection
from live.topics import Pace
from runtime.database import PostgresDatabase
from tests.support.football import MadeTournament
from tests.support.graphql_client import id_of, read_operation
from tests.support.node import NODE, with_packages
from tests.support.palpite import environment

ROWS = 50
SELDOM = ("PALPITE_STREAM_HEARTBEAT_SECONDS", "PALPITE_SOCKET_PING_SECONDS")
"""Messages that are no events would be counted as such."""
YOGA = Path(__file__).with_name("yoga")
ALL_FIELDS = read_operation("leaderboardUpdates")
"""22 kB an event."""
FEW_FIELDS = """
subscription Few($board: BoardInput!, $first: Int = 50, $after: StreamPositionInput) {
  leaderboardUpdates(board: $board, first: $first, after: $after) {
    __typename
    ... on StreamEvent { epoch version }
    ... on LeaderboardSnapshot { rows { ...Row } }
    ... on LeaderboardDelta { fromVersion removedRowIds rows { ...Row } }
  }
}

fragment Row on LeaderboardRow { position rank points exactScores member { nickName } }
"""
"""4.4 kB an event, of which the bounds were found."""


@dataclass(frozen=True, slots=True)
class Server:
    """A process and its port."""

    process: psutil.Process
    port: int

    def cpu(self) -> float:
        """Seconds of CPU so far, of all its threads, by the scheduler's own clock."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def kib(self) -> float:
        return float(self.process.memory_info().rss) / 1024


class Stage:
    """The database behind our servers, and hands that move a board."""

    def __init__(
        self,
        database: PostgresDatabase,
        valkey: Redis,
        made: MadeTournament,
        tokens: list[str],
        unwatched: MadeTournament,
    ) -> None:
        """`unwatched`: a tournament of the same size whose board nobody follows."""
        self.made = made
        self.tokens = tokens
        self._unwatched = unwatched
        self._database = database
        self._valkey = valkey
        self._projection = ValkeyProjection(valkey)

    async def move(self) -> None:
        """Every row of the board changes, in one version; it is projected before it is told, as by a worker."""
        await self._move(self.made)

    async def _move(self, made: MadeTournament) -> None:
        async with self._database.begin() as connection:
            name = func.left(func.md5(func.random().cast(members.c.nick_name.type)), 9)
            await connection.execute(update(members).values(nick_name=name))
            await raise_versions(connection, made.id, board=True)
        await project(self._database, self._projection, made.id)

    async def tell(self, kind: str) -> None:
        """Have a server send that knows no boards.

        It is told after the same work of others as a server of boards, and after the pause in which that gathers ticks:
        else its caches would be warmer.
        """
        await self._move(self._unwatched)
        await asyncio.sleep(Pace().coalesce)
        await self._valkey.publish(events_of(kind), b"")

    @property
    def board(self) -> dict[str, object]:
        """What a client subscribes with."""
        return self.asked(ALL_FIELDS)

    def asked(self, document: str) -> dict[str, object]:
        """The same with another document."""
        variables = {"board": {"tournamentId": id_of("Tournament", self.made.id)}, "first": ROWS}
        return {"query": document, "variables": variables}


async def sign_in(database: PostgresDatabase, ids: Sequence[MemberId]) -> list[str]:
    """Ten sessions a member; the answer is their tokens."""
    tokens = [token_urlsafe(32) for _ in range(10 * len(ids))]
    rows = [
        {"id": new_id(), "member_id": ids[place % len(ids)], "token_hash": sha256(token.encode()).digest()}
        for place, token in enumerate(tokens)
    ]
    async with database.begin() as connection:
        await connection.execute(insert(sessions).values(expires_at=datetime(2100, 1, 1, tzinfo=UTC)), rows)
    return tokens


async def event(crowd: Crowd, move: Callable[[], Awaitable[None]]) -> list[float]:
    """One event, and the moments at which it came."""
    waiting = asyncio.ensure_future(crowd.events(1))
    await asyncio.sleep(0)
    await move()
    return await waiting


async def measured(server: Server, crowd: Crowd, move: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """CPU of one event, and from the first socket to 99 % of them, in milliseconds."""
    began = server.cpu()
    times = sorted(await event(crowd, move))
    return (server.cpu() - began) * 1000, (times[int(len(times) * 0.99) - 1] - times[0]) * 1000


@contextmanager
def serving(kind: str, settings: dict[str, str]) -> Iterator[Server]:
    """A server of `bench.live_servers`, or `yoga`."""
    quiet = {"PALPITE_LOG_LEVEL": "error", **dict.fromkeys(SELDOM, "600")}
    given = environment({**settings, **quiet})
    with TemporaryDirectory() as folder:
        command = _yoga(Path(folder)) if kind == "yoga" else [sys.executable, "-m", "bench.live_servers", kind]
        with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield Server(psutil.Process(process.pid), int(process.stdout.readline()))
            finally:
                process.kill()


def _yoga(folder: Path) -> list[str]:
    script = with_packages(folder, YOGA) / "server.mjs"
    script.write_bytes((YOGA / "server.mjs").read_bytes())
    return [NODE, str(script)]
