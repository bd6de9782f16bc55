"""Boards of 50 rows to 1,000 and 4,000 sockets: CPU a message by the least that Python can do, memory, connecting."""

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
from statistics import median

import orjson
import psutil
from redis.asyncio import Redis
from sqlalchemy import func, insert, update

from bench.live_clients import Crowd
from bench.report import Figure
from domain.ids import MemberId, new_id
from domain.leaderboard.projector import project
from domain.member.tables import members, sessions
from domain.tournament.store import raise_versions
from integrations.valkey.projection import ValkeyProjection
from runtime.database import PostgresDatabase
from runtime.embedded.valkey import EmbeddedValkey
from tests.support.football import MadeTournament, make_members, make_tournament
from tests.support.graphql_client import id_of, read_operation
from tests.support.live import relay
from tests.support.palpite import environment
from tests.support.servers import running_postgres, temporary_data

ROWS = 50
SELDOM = ("PALPITE_STREAM_HEARTBEAT_SECONDS", "PALPITE_SOCKET_PING_SECONDS")
"""Messages that are no events would be counted as such."""
SIZES = (1_000, 4_000)
EVENTS = 10
ROUNDS = 5
CONNECTING = 400
PLAIN = 1_000
PLAIN_EVENTS = 3
PLAIN_DOCUMENT = """subscription { rows { id version position rank denseRank settledRank tied points settledPoints
provisionalPoints exactScores goalDifferences outcomes guessedMatches member { id nickName } } }"""


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


@dataclass(frozen=True, slots=True)
class Batch:
    """CPU a message in microseconds, and milliseconds from the first socket to 99 % of them; medians of the rounds."""

    micros: float
    lowest: float
    highest: float
    spread: float

    @classmethod
    def of(cls, rounds: "Sequence[tuple[float, float]]") -> "Batch":
        cpu = [micros for micros, _ in rounds]
        return cls(median(cpu), min(cpu), max(cpu), median(spread for _, spread in rounds))

    def __str__(self) -> str:
        return f"{self.micros:.1f} us [{self.lowest:.1f}-{self.highest:.1f}]"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A server of ours beside the floor; its memory a socket, and what that grew by under load, in KiB.

    `alone` is its CPU an event in milliseconds with one socket: what does not depend on their number.
    """

    ours: Batch
    floor: Batch
    size: int
    alone: float
    kib: float
    growth: float

    @property
    def ratio(self) -> float:
        return self.ours.micros / self.floor.micros

    def __str__(self) -> str:
        further = (self.ours.micros - self.alone * 1000 / self.size) / self.floor.micros
        parts = f"{self.alone:.0f} ms an event for one socket, {further:.1f} floors for each further one"
        return f"{self.ours}, floor {self.floor}; {parts}"


class Stage:
    """The database behind our servers, and hands that move a board."""

    def __init__(self, database: PostgresDatabase, valkey: Redis, made: MadeTournament, tokens: list[str]) -> None:
        self.made = made
        self.tokens = tokens
        self._database = database
        self._valkey = valkey
        self._projection = ValkeyProjection(valkey)

    async def move(self) -> None:
        """Every row of the board changes, in one version; it is projected before it is told, as by a worker."""
        async with self._database.begin() as connection:
            name = func.left(func.md5(func.random().cast(members.c.nick_name.type)), 9)
            await connection.execute(update(members).values(nick_name=name))
            await raise_versions(connection, self.made.id, board=True)
        await project(self._database, self._projection, self.made.id)
        await relay(self._database, self._valkey)


def measure() -> Sequence[Figure]:
    with running_postgres() as postgres, temporary_data() as data:
        valkey = EmbeddedValkey(data)
        try:
            url = valkey.start()
            return asyncio.run(_measure(asyncio.run(postgres.create_database()), url, data))
        finally:
            valkey.stop()


async def _measure(database_url: str, valkey_url: str, data: Path) -> Sequence[Figure]:
    database, valkey = PostgresDatabase.create(database_url), Redis.from_url(valkey_url)
    try:
        made = await make_tournament(database, matches=4)
        ids = await make_members(database, ROWS + 50, joins=[made])
        tokens = await _sign_in(database, ids)
        stage = Stage(database, valkey, made, tokens)
        settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "PALPITE_DATA": str(data)}
        figures = [figure for size in SIZES for figure in await _fan_out(stage, size, settings)]
        return [*figures, *await _connecting(stage, settings)]
    finally:
        await valkey.aclose()
        await database.close()


async def _sign_in(database: PostgresDatabase, ids: Sequence[MemberId]) -> list[str]:
    """Ten sessions a member; the answer is their tokens."""
    tokens = [token_urlsafe(32) for _ in range(10 * len(ids))]
    rows = [
        {"id": new_id(), "member_id": ids[place % len(ids)], "token_hash": sha256(token.encode()).digest()}
        for place, token in enumerate(tokens)
    ]
    async with database.begin() as connection:
        await connection.execute(insert(sessions).values(expires_at=datetime(2100, 1, 1, tzinfo=UTC)), rows)
    return tokens


async def _fan_out(stage: Stage, size: int, settings: dict[str, str]) -> Sequence[Figure]:
    plain = await _plain() if size == PLAIN else None
    ours = await _beside_the_floor("ours", stage, size, settings)
    asgi = await _beside_the_floor("asgi", stage, size, settings)
    return _figures(size, ours, asgi, plain)


async def _beside_the_floor(kind: str, stage: Stage, size: int, settings: dict[str, str]) -> Comparison:
    with _serving(kind, settings) as server, _serving("floor", {}) as floor:
        crowd, floor_crowd = (Crowd(one.port, "/graphql", _board(stage)) for one in (server, floor))
        await crowd.join(1)
        await _event(crowd, stage.move)
        alone = median([(await _measured(server, crowd, stage.move))[0] for _ in range(EVENTS)])
        before = server.kib()
        await crowd.join(size - 1)
        await floor_crowd.join(size)
        subscribed = server.kib()
        await _event(crowd, stage.move)
        floor_crowd.clients[0].send(b"event " + orjson.dumps(orjson.loads(crowd.sample)["payload"]))
        rounds, floor_rounds = [], []
        for _ in range(ROUNDS):
            events, floor_events = [], []
            for _ in range(EVENTS):  # one of each in turn: the same machine, and caches as cold
                events.append(await _measured(server, crowd, stage.move))
                floor_events.append(await _measured(floor, floor_crowd, _teller(floor_crowd)))
            rounds.append(_round(events, size))
            floor_rounds.append(_round(floor_events, size))
        after = server.kib()
        assert crowd.wrong == 0
        crowd.leave()
        floor_crowd.leave()
    kib = (subscribed - before) / size
    growth = (after - subscribed) / size
    return Comparison(Batch.of(rounds), Batch.of(floor_rounds), size, alone, kib, growth)


async def _measured(server: Server, crowd: Crowd, move: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """CPU of one event, and from the first socket to 99 % of them, in milliseconds."""
    began = server.cpu()
    times = sorted(await _event(crowd, move))
    return (server.cpu() - began) * 1000, (times[int(len(times) * 0.99) - 1] - times[0]) * 1000


def _round(events: Sequence[tuple[float, float]], size: int) -> tuple[float, float]:
    """CPU a message in microseconds, and the median from the first socket to 99 % of them, in milliseconds."""
    return sum(cpu for cpu, _ in events) / len(events) / size * 1000, median(spread for _, spread in events)


async def _event(crowd: Crowd, move: Callable[[], Awaitable[None]]) -> list[float]:
    """One event, and the moments at which it came."""
    waiting = asyncio.ensure_future(crowd.events(1))
    await asyncio.sleep(0)
    await move()
    return await waiting


def _teller(crowd: Crowd) -> Callable[[], Awaitable[None]]:
    async def tell() -> None:
        crowd.clients[0].send(b"send 1")

    return tell


async def _plain() -> float:
    """CPU a message of strawberry alone, in microseconds."""
    with _serving("plain", {}) as server:
        crowd = Crowd(server.port, "/", {"query": PLAIN_DOCUMENT})
        await crowd.join(PLAIN)
        began = server.cpu()
        for _ in range(PLAIN_EVENTS):
            asking = Crowd(server.port, "/", {"query": "{ send(times: 1) }"})
            await _event(crowd, lambda: asking.join(1))  # noqa: B023 awaited at once
        spent = server.cpu() - began
        crowd.leave()
    return spent / PLAIN_EVENTS / PLAIN * 1e6


async def _connecting(stage: Stage, settings: dict[str, str]) -> Sequence[Figure]:
    """A token each, a document seen before."""
    with _serving("ours", settings) as server:
        crowd = Crowd(server.port, "/graphql", _board(stage), stage.tokens)
        await crowd.join(100)
        began = server.cpu()
        await crowd.join(CONNECTING)
        each = (server.cpu() - began) / CONNECTING * 1000
        crowd.leave()
    return [Figure("connect, authenticate and subscribe", each, 0.8, "ms of CPU")]


def _board(stage: Stage) -> dict[str, object]:
    variables = {"board": {"tournamentId": id_of("Tournament", stage.made.id)}, "first": ROWS}
    return {"query": read_operation("leaderboardUpdates"), "variables": variables}


def _figures(size: int, ours: Comparison, asgi: Comparison, plain: float | None) -> Sequence[Figure]:
    spreads = f"{ours.ours.spread:.0f} ms, floor {ours.floor.spread:.0f} ms"
    figures = [
        Figure(f"CPU a message, {size:,} sockets", ours.ratio, 1.3, " floors", detail=str(ours)),
        Figure("the same by plain ASGI", asgi.ratio, 1.7, " floors", detail=str(asgi)),
        Figure(f"first to 99 % of {size:,}", ours.ours.spread / ours.floor.spread, 1.3, " floors", detail=spreads),
        Figure(f"memory of a subscribed socket, {size:,}", ours.kib, 32, "KiB"),
        Figure(f"its growth in {EVENTS * ROUNDS} events", ours.growth, 1, "KiB"),
    ]
    if plain is not None:
        told = f"{plain:.0f} us"
        figures.append(Figure("strawberry alone by ours", plain / ours.ours.micros, 80, at_least=True, detail=told))
    return figures


@contextmanager
def _serving(kind: str, settings: dict[str, str]) -> Iterator[Server]:
    command = [sys.executable, "-m", "bench.live_servers", kind]
    quiet = {
        "PALPITE_LOG_LEVEL": "error",
        "PALPITE_STREAM_HEARTBEAT_SECONDS": "600",
        "PALPITE_SOCKET_PING_SECONDS": "600",
    }
    given = environment({**settings, **quiet})
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(psutil.Process(process.pid), int(process.stdout.readline()))
        finally:
            process.kill()
