"""Boards over HTTP: what an API process computes for one answer, beside a bare ASGI app and beside plain strawberry."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import psutil
from sqlalchemy import text

from bench.asof import GUESSES
from bench.report import Figure
from domain.ids import MemberId
from domain.leaderboard.projector import project
from domain.match.model import MatchStatus
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from runtime.database import PostgresDatabase
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.valkey import EmbeddedValkey
from runtime.migrate import upgrade
from runtime.ports import free_port
from tests.support.api_world import make_session
from tests.support.football import MadeTournament, make_members, make_tournament, pass_lock, set_match
from tests.support.graphql_client import id_of, read_operation
from tests.support.palpite import RunningPalpite, started_palpite, started_program
from tests.support.servers import temporary_data
from tests.support.settlement import play

MEMBERS, MATCHES, SETTLED, LIVE = 1_000, 20, 6, 3
VIEWERS = 64
LINES, SLOW_LINES = 16, 2
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class _World:
    addresses: dict[str, str]
    made: MadeTournament
    tokens: list[str]

    @property
    def tournament_id(self) -> str:
        return id_of("Tournament", self.made.id)


@dataclass(slots=True)
class _Server:
    """A process under measurement, and what each of its answers took, in microseconds of its processor."""

    port: int
    process: psutil.Process
    took: list[float] = field(default_factory=list)
    width: int = LINES
    """How many connections ask at once."""

    @property
    def us(self) -> float:
        return median(self.took)

    def detail(self) -> str:
        return f"{self.us:,.0f} us [{min(self.took):,.0f}-{max(self.took):,.0f}]"


def measure() -> Sequence[Figure]:
    with temporary_data() as data:
        postgres, valkey = EmbeddedPostgres(data), EmbeddedValkey(data)
        try:
            addresses = {"DATABASE_URL": postgres.start(), "REDIS_URL": valkey.start(), "PALPITE_DATA": str(data)}
            world = asyncio.run(_make_world(addresses))
            return _compare(world, data)
        finally:
            valkey.stop()
            postgres.stop()


def _compare(world: _World, data: Path) -> Sequence[Figure]:
    live, board = _live_scoreboard(world), _board(world)
    with _palpite(world) as ours, _plain(world) as plain:
        body = asyncio.run(_one(ours.port, _request(live, world.tokens[0])))
        (data / "answer.json").write_bytes(body)
        with _bare(data / "answer.json") as bare:
            servers = {"bare": bare, "ours": ours, "plain": plain}
            return asyncio.run(_figures(world, servers, live, board, len(body)))


async def _figures(
    world: _World, servers: dict[str, _Server], live: dict[str, Any], board: dict[str, Any], size: int
) -> Sequence[Figure]:
    bare, ours, plain = servers["bare"], servers["ours"], servers["plain"]
    same = [_request(live, world.tokens[0])]
    new = [_request(live | {"variables": live["variables"] | more}, world.tokens[0]) for more in _ways_to_ask()]
    each = len(new) // ROUNDS
    viewers = [_request(board, token) for token in world.tokens]
    first, personal = _twin(ours), _twin(ours)
    plain_first, plain_personal = _twin(plain), _twin(plain)
    for number in range(ROUNDS):
        await _run(bare, same, 3_000)
        await _run(ours, same, 3_000)
        await _run(first, new[number * each :], each)
        await _run(plain_first, same, 30)
        await _run(personal, viewers, 100)
        await _run(plain_personal, viewers, 30)
    return [
        _figure("a board that is asked for again, against the bare bytes", ours, bare, 1.6, f"{size:,} bytes"),
        _figure("a board asked for the first time, against plain strawberry", first, plain_first, 0.4, ""),
        _figure("with the viewer's row and neighbours, against plain strawberry", personal, plain_personal, 0.15, ""),
    ]


def _ways_to_ask() -> Sequence[dict[str, Any]]:
    """Variables that make another query each time, and the same answer: no kept one serves two of them."""
    pages = range(LIVE + 1, 101)
    return [{"matches": most} | more for more in ({}, {"round": None}) for most in pages]


def _figure(name: str, ours: _Server, peer: _Server, bound: float, detail: str) -> Figure:
    told = f"{ours.detail()} against {peer.detail()}, session checked {detail}"
    return Figure(name, ours.us / peer.us, bound, detail=told.strip())


def _twin(server: _Server) -> _Server:
    """The same process, for another kind of request."""
    return _Server(server.port, server.process, width=SLOW_LINES)


# ---------------------------------------------------------------- the world


async def _make_world(addresses: dict[str, str], members: int = MEMBERS) -> _World:
    await upgrade(addresses["DATABASE_URL"])
    database = PostgresDatabase.create(addresses["DATABASE_URL"], statement_timeout=600)
    made = await make_tournament(database, matches=MATCHES, rounds=2)
    found = await make_members(database, members, joins=[made])
    async with database.begin() as connection:
        for match_id in made.matches[: SETTLED + LIVE]:
            await connection.execute(GUESSES, {"tournament_id": made.id, "match_id": match_id})
    async with database.read() as connection:
        await connection.execute(text("ANALYZE"))  # what was written a moment ago has no statistics yet
    await pass_lock(database, *made.matches[: SETTLED + LIVE])
    for match_id in made.matches[:SETTLED]:
        await play(database, match_id, 2, 1)
    for match_id in made.matches[SETTLED : SETTLED + LIVE]:
        await set_match(database, match_id, status=MatchStatus.IN_PLAY, home_goals=1, away_goals=0)
    async with connect(addresses["REDIS_URL"]) as client:
        await project(database, ValkeyProjection(client), made.id)
    tokens = [await make_session(database, MemberId(member_id)) for member_id in found[:VIEWERS]]
    await database.close()
    return _World(addresses, made, tokens)


def _live_scoreboard(world: _World) -> dict[str, Any]:
    return {"query": read_operation("liveScoreboard"), "variables": {"id": world.tournament_id}}


def _board(world: _World) -> dict[str, Any]:
    return {"query": read_operation("tournamentLeaderboard"), "variables": {"id": world.tournament_id}}


# ---------------------------------------------------------------- servers


@contextmanager
def _palpite(world: _World) -> Iterator[_Server]:
    port = free_port("127.0.0.1")
    settings = {**world.addresses, "PALPITE_LOG_LEVEL": "warning"}
    with started_palpite("serve", "--port", str(port), **settings) as running:
        yield _server(running, port)


@contextmanager
def _plain(world: _World) -> Iterator[_Server]:
    port = free_port("127.0.0.1")
    with started_program("-m", "bench.http_peers", "strawberry", str(port), **world.addresses) as running:
        yield _server(running, port)


@contextmanager
def _bare(answer: Path) -> Iterator[_Server]:
    port = free_port("127.0.0.1")
    with started_program("-m", "bench.http_peers", "bare", str(port), str(answer)) as running:
        yield _server(running, port)


def _server(running: RunningPalpite, port: int) -> _Server:
    return _Server(port, psutil.Process(running.process.pid))


# ---------------------------------------------------------------- requests


def _request(body: dict[str, Any], token: str) -> bytes:
    content = orjson.dumps(body)
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\naccept: application/json\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def _run(server: _Server, requests: Sequence[bytes], count: int) -> None:
    """Note what each of `count` answers took of the server's processor, on several connections kept open."""
    lines = [await _connect(server.port) for _ in range(server.width)]
    await _ask(lines, requests, server.width)
    before = _computed(server.process)
    await _ask(lines, requests, count)
    server.took.append((_computed(server.process) - before) / count * 1e6)
    for _, writer in lines:
        writer.close()


async def _ask(lines: Sequence[Line], requests: Sequence[bytes], count: int) -> None:
    numbers = iter(range(count))

    async def work(line: Line) -> None:
        for number in numbers:
            await _exchange(line, requests[number % len(requests)])

    await asyncio.gather(*map(work, lines))


async def _exchange(line: Line, request: bytes) -> bytes:
    reader, writer = line
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        sys.exit(head.decode())
    body = await reader.readexactly(int(head.split(b"content-length:")[1].split()[0]))
    assert body.startswith(b'{"data":{"tournament":{"id"'), body[:500]
    return body


async def _one(port: int, request: bytes) -> bytes:
    line = await _connect(port)
    body = await _exchange(line, request)
    line[1].close()
    return body


async def _connect(port: int) -> Line:
    """A connection, once the process is ready."""
    async with asyncio.timeout(180):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)


def _computed(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
