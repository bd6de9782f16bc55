"""Fifty admins who start something at once: the time until each has his answer, with the queue there and away."""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import orjson
import psutil

from bench.report import Figure
from domain.ids import MatchId
from domain.member.model import PlatformRole
from runtime.database import PostgresDatabase
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.valkey import EmbeddedValkey
from runtime.migrate import upgrade
from runtime.ports import free_port
from tests.support.api_world import make_session
from tests.support.football import make_member, make_tournament
from tests.support.graphql_client import id_of, read_operation
from tests.support.palpite import started_palpite
from tests.support.servers import temporary_data

ADMINS = 50
ROUNDS = 6
BOUND_MS = 500.0


@dataclass(frozen=True, slots=True)
class _Api:
    """A process that serves, the database behind it, and its Valkey."""

    process: psutil.Process
    port: int
    database_url: str
    valkey: EmbeddedValkey


def measure() -> Sequence[Figure]:
    with _serving() as api:
        up = _figure("with the queue", api)
        api.valkey.stop()
        return [up, _figure("without Valkey", api)]


def _figure(case: str, api: _Api) -> Figure:
    took, cpu = asyncio.run(_measure(api))
    p99 = sorted(took)[math.ceil(0.99 * len(took)) - 1]
    detail = (
        f"p50 {median(took) * 1000:.0f} ms, {len(took)} answers in bursts of {ADMINS}; "
        f"the one API process computed {cpu * 1000:.1f} ms for each"
    )
    return Figure(f"p99 of a command's answer {case}", p99 * 1000, BOUND_MS, unit="ms", detail=detail)


@contextmanager
def _serving() -> Iterator[_Api]:
    """An API process on servers that keep their data as those of `palpite up` do."""
    with temporary_data() as data:
        postgres, valkey = EmbeddedPostgres(data), EmbeddedValkey(data)
        try:
            addresses = {"DATABASE_URL": postgres.start(), "REDIS_URL": valkey.start()}
            asyncio.run(upgrade(addresses["DATABASE_URL"]))
            port = free_port("127.0.0.1")
            settings = {**addresses, "PALPITE_DATA": str(data), "PALPITE_LOG_LEVEL": "warning"}
            with started_palpite("serve", "--port", str(port), **settings) as serving:
                yield _Api(psutil.Process(serving.process.pid), port, addresses["DATABASE_URL"], valkey)
        finally:
            valkey.stop()
            postgres.stop()


async def _measure(api: _Api) -> tuple[list[float], float]:
    """Seconds of each answer, and of the server's processor for one; every admin keeps a connection open."""
    database = PostgresDatabase.create(api.database_url)
    made = await make_tournament(database, matches=ADMINS * (ROUNDS + 1))
    admins = [await make_member(database, f"Admin {number}", role=PlatformRole.ADMIN) for number in range(ADMINS)]
    tokens = [await make_session(database, admin) for admin in admins]
    await database.close()
    lines = [await _connect(api.port) for _ in tokens]
    bursts = [made.matches[start : start + ADMINS] for start in range(0, len(made.matches), ADMINS)]
    await asyncio.gather(*map(_run, lines, tokens, bursts[0]))  # to warm up
    before = _computed(api.process)
    took = [one for burst in bursts[1:] for one in await asyncio.gather(*map(_run, lines, tokens, burst))]
    cpu = (_computed(api.process) - before) / len(took)
    for _, writer in lines:
        writer.close()
    return took, cpu


def _computed(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, once the process is ready."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)


async def _run(line: tuple[asyncio.StreamReader, asyncio.StreamWriter], token: str, match_id: MatchId) -> float:
    """Start something on one match. Plain HTTP by hand, so that little of what is measured is the client."""
    reader, writer = line
    wanted = {"operation": {"settleMatch": id_of("Match", match_id)}, "reason": "all at once"}
    body = orjson.dumps({"query": read_operation("runOperation"), "variables": {"input": wanted}})
    began = time.perf_counter()
    writer.write(
        f"POST /graphql HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    )
    writer.write(body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split()[0])
    answer = orjson.loads(await reader.readexactly(length))
    took = time.perf_counter() - began
    payload = answer["data"]["runOperation"]
    assert payload["errors"] == []
    assert not payload["alreadyLive"]
    return took
