"""Boards of 50 rows to 1,000 and 4,000 sockets: CPU a message by the least that Python can do, memory, connecting.

The bounds of a message were found with frames of 4.4 kB; those with all fields, of 22 kB, are held to them too.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import orjson
from redis.asyncio import Redis

from bench.live_clients import Crowd
from bench.live_stage import ALL_FIELDS, FEW_FIELDS, ROWS, Stage, event, measured, serving, sign_in
from bench.live_stalled import beside_stalled
from bench.report import Figure
from runtime.database import PostgresDatabase
from runtime.embedded.valkey import EmbeddedValkey
from tests.support.football import make_members, make_tournament
from tests.support.servers import running_postgres, temporary_data

SIZES = (1_000, 4_000)
EVENTS = 10
ROUNDS = 9
CONNECTING = 400
PEERS = {"plain": ("strawberry alone by ours", 80), "yoga": ("graphql-yoga by ours", 15)}
"""By how much they are to be dearer."""
PEERS_SIZE = 1_000
PEERS_EVENTS = 3
PEERS_DOCUMENT = """subscription { rows { id version position rank denseRank settledRank tied points settledPoints
provisionalPoints exactScores goalDifferences outcomes guessedMatches member { id nickName } } }"""


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

    `ratio` is the median of those of the rounds, in each of which the machine was the same to both. `alone` is its CPU
    an event in milliseconds with one socket: what does not depend on their number. `sample` is a message that was sent.
    """

    ours: Batch
    floor: Batch
    ratio: float
    size: int
    alone: float
    kib: float
    growth: float
    sample: bytes

    def __str__(self) -> str:
        further = (self.ours.micros - self.alone * 1000 / self.size) / self.floor.micros
        parts = f"{self.alone:.0f} ms an event for one socket, {further:.1f} floors for each further one"
        return f"{self.ours}, floor {self.floor}; {parts}"


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
        unwatched = await make_tournament(database, matches=4)
        ids = await make_members(database, ROWS + 50, joins=[made, unwatched])
        tokens = await sign_in(database, ids)
        stage = Stage(database, valkey, made, tokens, unwatched)
        settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "PALPITE_DATA": str(data)}
        figures = [figure for size in SIZES for figure in await _fan_out(stage, size, settings)]
        figures += await beside_stalled(stage, settings)
        return [*figures, *await _connecting(stage, settings)]
    finally:
        await valkey.aclose()
        await database.close()


async def _fan_out(stage: Stage, size: int, settings: dict[str, str]) -> Sequence[Figure]:
    peers = {kind: await _peer(kind) for kind in PEERS} if size == PEERS_SIZE else {}
    figures: list[Figure] = []
    for document in (FEW_FIELDS, ALL_FIELDS):
        asked = stage.asked(document)
        ours = await _beside_the_floor("ours", stage, size, asked, settings)
        asgi = await _beside_the_floor("asgi", stage, size, asked, settings)
        bare = await _beside_the_floor("bare", stage, size, asked, settings, ours.sample)
        figures += _figures_of_messages(ours, asgi, bare)
    return [*figures, *_figures(ours, peers)]


async def _beside_the_floor(
    kind: str, stage: Stage, size: int, asked: dict[str, object], settings: dict[str, str], sample: bytes = b""
) -> Comparison:
    """`sample` is what a server is to send that knows no boards."""
    with serving(kind, settings) as server, serving("floor", settings) as floor:
        crowd, floor_crowd = (Crowd(one.port, "/graphql", asked) for one in (server, floor))
        await crowd.join(1)
        if sample:
            _give(crowd, sample)
        move = partial(stage.tell, kind) if sample else stage.move
        await event(crowd, move)
        alone = median([(await measured(server, crowd, move))[0] for _ in range(EVENTS)])
        before = server.kib()
        await crowd.join(size - 1)
        await floor_crowd.join(size)
        await event(crowd, move)
        subscribed = server.kib()
        _give(floor_crowd, crowd.sample)
        rounds, floor_rounds = [], []
        for _ in range(ROUNDS):
            events, floor_events = [], []
            # One of each in turn, after the same work and the same pause: the same machine, and caches as cold.
            for _ in range(EVENTS):
                events.append(await measured(server, crowd, move))
                floor_events.append(await measured(floor, floor_crowd, partial(stage.tell, "floor")))
            rounds.append(_round(events, size))
            floor_rounds.append(_round(floor_events, size))
        after = server.kib()
        assert crowd.wrong == 0
        crowd.leave()
        floor_crowd.leave()
    kib = (subscribed - before) / size
    growth = (after - subscribed) / size
    ratio = median(ours / theirs for (ours, _), (theirs, _) in zip(rounds, floor_rounds, strict=True))
    return Comparison(Batch.of(rounds), Batch.of(floor_rounds), ratio, size, alone, kib, growth, crowd.sample)


def _give(crowd: Crowd, sample: bytes) -> None:
    """Have a server send the payload of a message."""
    crowd.clients[0].send(b"event " + orjson.dumps(orjson.loads(sample)["payload"]))


def _round(events: Sequence[tuple[float, float]], size: int) -> tuple[float, float]:
    """CPU a message in microseconds, and the median from the first socket to 99 % of them, in milliseconds."""
    return sum(cpu for cpu, _ in events) / len(events) / size * 1000, median(spread for _, spread in events)


async def _peer(kind: str) -> float:
    """CPU a message of others that serve as many rows from memory, in microseconds."""
    with serving(kind, {}) as server:
        crowd = Crowd(server.port, "/", {"query": PEERS_DOCUMENT})
        await crowd.join(PEERS_SIZE)
        for number in range(2 * PEERS_EVENTS):
            if number == PEERS_EVENTS:  # what is compiled while it runs has had its time
                began = server.cpu()
            asking = Crowd(server.port, "/", {"query": "{ send(times: 1) }"})
            await event(crowd, lambda: asking.join(1))  # noqa: B023 awaited at once
        spent = server.cpu() - began
        crowd.leave()
    return spent / PEERS_EVENTS / PEERS_SIZE * 1e6


async def _connecting(stage: Stage, settings: dict[str, str]) -> Sequence[Figure]:
    """A token each, a document seen before."""
    with serving("ours", settings) as server:
        crowd = Crowd(server.port, "/graphql", stage.board, stage.tokens)
        await crowd.join(100)
        began = server.cpu()
        await crowd.join(CONNECTING)
        each = (server.cpu() - began) / CONNECTING * 1000
        crowd.leave()
    return [Figure("connect, authenticate and subscribe", each, 0.8, "ms of CPU")]


def _figures_of_messages(ours: Comparison, asgi: Comparison, bare: Comparison) -> Sequence[Figure]:
    spreads = f"{ours.ours.spread:.0f} ms, floor {ours.floor.spread:.0f} ms"
    name = f"CPU a message of {len(ours.sample) / 1000:.1f} kB, {ours.size:,} sockets"
    by_asgi = f"{asgi}; an application that sends ready text: {bare.ratio:.2f} floors, {bare.ours}"
    return [
        Figure(name, ours.ratio, 1.3, " floors", detail=str(ours)),
        Figure("the same by plain ASGI", asgi.ratio, 1.7, " floors", detail=by_asgi),
        Figure("first to 99 % of them", ours.ours.spread / ours.floor.spread, 1.3, " floors", detail=spreads),
    ]


def _figures(ours: Comparison, peers: dict[str, float]) -> Sequence[Figure]:
    figures = [
        Figure(f"memory of a subscribed socket, {ours.size:,}", ours.kib, 32, "KiB"),
        Figure(f"its growth in {EVENTS * ROUNDS} events", ours.growth, 1, "KiB"),
    ]
    for kind, micros in peers.items():
        name, bound = PEERS[kind]
        figures.append(Figure(name, micros / ours.ours.micros, bound, at_least=True, detail=f"{micros:.0f} us"))
    return figures
