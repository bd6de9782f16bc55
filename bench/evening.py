"""Ten matches that end one after another: from each result's commit to every watched board that shows it settled."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

from sqlalchemy import insert, text

from bench import crowd
from bench.report import Figure
from domain.errors import Unavailable
from domain.ids import LeagueId
from domain.leaderboard.model import BoardKey
from domain.league.model import LeagueRole
from domain.league.tables import league_members
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from live.events import Delta, Snapshot
from live.hub import Hub
from live.topics import Pace
from runtime.database import PostgresDatabase
from tests.support.football import MadeTournament, make_league, make_tournament, pass_lock
from tests.support.live import api_process
from tests.support.palpite import environment
from tests.support.servers import running_postgres, running_valkey, temporary_data
from tests.support.settlement import accept

MEMBERS, MATCHES, SPACING = 100_000, 10, 3.0
LEAGUES, LEAGUE = 20, 200
BOUND = 5.0
# Every league of other members, spread over all of them.
_OF_LEAGUE = text("SELECT id FROM members ORDER BY id OFFSET :first LIMIT :count")


class Watched:
    """Boards with streams of one process, and when each has shown so many matches as settled."""

    def __init__(self, hub: Hub, keys: Sequence[BoardKey]) -> None:
        self._hub = hub
        self._keys = keys
        self._seen: list[int] = [-1] * len(keys)
        self.at: dict[int, float] = {}
        """When the last board showed it, by the number of settled matches."""
        self._changed = asyncio.Event()

    async def follow(self, number: int) -> None:
        """As a client does, which comes back when it was refused."""
        while True:
            with suppress(Unavailable):
                await self._read(number)

    async def _read(self, number: int) -> None:
        async for event in self._hub.leaderboard(self._keys[number], 50, None, allowed=_anyone).events():
            if isinstance(event, Snapshot | Delta):
                self._seen[number] = event.head.settled_matches
                for settled in range(min(self._seen) + 1):
                    self.at.setdefault(settled, time.perf_counter())
                self._changed.set()

    async def until_all_show(self, settled: int) -> None:
        async with asyncio.timeout(240):
            while settled not in self.at:
                self._changed.clear()
                await self._changed.wait()


def measure() -> Sequence[Figure]:
    with running_postgres(durable=True) as server, running_valkey() as valkey_url:
        url = asyncio.run(server.create_database())
        made = asyncio.run(_prepare(url))
        with _processes(url, valkey_url):
            waits = asyncio.run(_play(url, valkey_url, made))
    name = f"{MATCHES} results, {SPACING:g} s apart, {MEMBERS:,} members, {LEAGUES + 1} boards watched: the slowest"
    detail = f"median {median(waits):.2f} s, {', '.join(f'{wait:.2f}' for wait in waits)}"
    return [Figure(name, max(waits), BOUND, "s", detail)]


async def _prepare(url: str) -> MadeTournament:
    database = PostgresDatabase.create(url, statement_timeout=0)
    try:
        made = await make_tournament(database, matches=MATCHES)
        await pass_lock(database, *made.matches)
        await crowd.gather(database, made.id, MEMBERS)
        await crowd.guess(database, made.id, list(made.matches))
    finally:
        await database.close()
    return made


@contextmanager
def _processes(url: str, valkey_url: str) -> Iterator[None]:
    """A worker and a scheduler as they are shipped."""
    with temporary_data() as data, ExitStack() as stack:
        settings = {"DATABASE_URL": url, "REDIS_URL": valkey_url, "PALPITE_DATA": str(data)}
        log = stack.enter_context(Path(data / "log").open("wb"))
        for name in ("worker", "scheduler"):
            command = [sys.executable, "-m", "runtime.cli", name]
            process = stack.enter_context(
                subprocess.Popen(command, env=environment(settings), stdout=log, stderr=subprocess.STDOUT)
            )
            stack.callback(process.terminate)
        yield


async def _play(url: str, valkey_url: str, made: MadeTournament) -> list[float]:
    """Seconds from the commit of each result to the last board that shows it."""
    async with AsyncExitStack() as stack:
        database = PostgresDatabase.create(url)
        stack.push_async_callback(database.close)
        leagues = [await _league(database, made, number) for number in range(LEAGUES)]
        keys = [BoardKey(league_id=league_id, tournament_id=made.id) for league_id in (None, *leagues)]
        valkey = await stack.enter_async_context(connect(valkey_url))
        api = await stack.enter_async_context(api_process(database, valkey_url, Pace(), ValkeyProjection(valkey)))
        watched = Watched(api.hub, keys)
        streams = [asyncio.create_task(watched.follow(number)) for number in range(len(keys))]
        await watched.until_all_show(0)
        commits = []
        for number, match_id in enumerate(made.matches):
            began = time.perf_counter()
            await accept(database, match_id, 2 + number % 2, number % 3)
            commits.append(time.perf_counter())
            await asyncio.sleep(max(0.0, began + SPACING - time.perf_counter()))
        await watched.until_all_show(len(commits))
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    return [watched.at[settled] - commit for settled, commit in enumerate(commits, start=1)]


async def _league(database: PostgresDatabase, made: MadeTournament, number: int) -> LeagueId:
    async with database.read() as connection:
        found = await connection.execute(_OF_LEAGUE, {"first": number * (MEMBERS // LEAGUES), "count": LEAGUE})
        founder, *others = found.scalars()
    league_id = await make_league(database, f"League {number}", founder, plays=[made])
    rows = [{"id": member, "league_id": league_id, "member_id": member, "role": LeagueRole.MEMBER} for member in others]
    async with database.begin() as connection:
        await connection.execute(insert(league_members), rows)
    return league_id


async def _anyone() -> None:
    """A right that all have."""
