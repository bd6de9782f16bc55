"""A thousand league boards on as many screens, 100,000 members: ten goals at once, until every screen shows them."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from statistics import median
from typing import IO

import psutil
from sqlalchemy import text

from bench import crowd
from bench.evening import _processes
from bench.live_clients import Screen
from bench.live_stage import SELDOM, Server, sign_in
from bench.report import Figure
from domain.ids import MatchId, MemberId, TournamentId
from domain.match.model import ResultState
from runtime.api import _config, _Server, open_api
from runtime.database import PostgresDatabase
from runtime.memory import settled_memory
from runtime.process import _runner
from runtime.settings import Settings, load_settings
from tests.support.football import MadeTournament, make_tournament, pass_lock
from tests.support.graphql_client import id_of, read_operation
from tests.support.palpite import environment
from tests.support.servers import running_postgres, running_valkey, temporary_data
from tests.support.settlement import in_play

MEMBERS, LEAGUES, MATCHES, ROUNDS = 100_000, 1_000, 10, 3
PROCESSES = (1, 2)
SECONDS, BLOCKED = 2.0, 20.0
KICKED_OFF_AGO = timedelta(minutes=5)
"""Guesses are read again as long as one that was saved before the lock may still be committed, which is over then."""
_TICK = 0.001
_LEAGUES = text("""
INSERT INTO leagues (id, name, founder_id)
SELECT uuidv7(), 'League ' || n, id FROM (SELECT row_number() OVER (ORDER BY id) - 1 AS n, id FROM members) AS m
WHERE n % :size = 0
RETURNING id, founder_id
""")
# The hundred who come after its founder.
_LEAGUE_MEMBERS = text("""
INSERT INTO league_members (id, league_id, member_id, role)
SELECT uuidv7(), l.id, m.id, CASE WHEN m.id = l.founder_id THEN 'ADMIN' ELSE 'MEMBER' END
FROM (SELECT row_number() OVER (ORDER BY id) - 1 AS n, id FROM members) AS m
JOIN (SELECT row_number() OVER (ORDER BY founder_id) - 1 AS n, id, founder_id FROM leagues) AS l ON m.n / :size = l.n
""")
_LINKS = text("""
INSERT INTO league_tournaments (league_id, tournament_id, ruleset_id, status)
SELECT id, :tournament_id, :ruleset_id, 'ACTIVE' FROM leagues
""")


class LoopClock:
    """The longest that the event loop computed without looking for what has come, in milliseconds of its own CPU."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(_TICK)
            self.longest = max(self.longest, (time.thread_time() - began) * 1000)

    def tell(self) -> None:
        print(self.longest, flush=True)
        self.longest = 0.0


async def _serve(settings: Settings) -> None:
    """The API as it is shipped, with a clock on its loop that tells and begins anew when it is signalled."""
    async with open_api(settings) as app, settled_memory():
        clock = LoopClock()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, clock.tell)
        with socket.create_server(("127.0.0.1", 0), backlog=4_096) as listener:
            print(listener.getsockname()[1], flush=True)
            running = loop.create_task(clock.run())
            await _Server(_config(app, settings)).serve(sockets=[listener])
        running.cancel()


@dataclass(frozen=True, slots=True)
class Watched:
    """An API process whose loop is watched."""

    server: Server
    output: IO[str]

    def longest(self) -> float:
        """The longest block since this was last asked, in milliseconds of CPU."""
        self.server.process.send_signal(signal.SIGUSR1)
        return float(self.output.readline())


@dataclass(frozen=True, slots=True)
class Storm:
    """Ten goals: seconds from the last commit to the last screen, the CPU of the API processes, their longest block."""

    seconds: float
    cpu: float
    blocked: float


def measure() -> Sequence[Figure]:
    with running_postgres(durable=True) as server, running_valkey() as valkey_url, temporary_data() as data:
        url = asyncio.run(server.create_database())
        made, boards = asyncio.run(_prepare(url))
        settings = {"DATABASE_URL": url, "REDIS_URL": valkey_url, "PALPITE_DATA": str(data)}
        with _processes(url, valkey_url):
            return [
                figure for count in PROCESSES for figure in _figures(count, _run(url, made, settings, boards, count))
            ]


def _run(
    url: str, made: MadeTournament, settings: dict[str, str], boards: Sequence[tuple[str, str]], count: int
) -> Sequence[Storm]:
    """Screens that are spread over so many API processes."""
    with ExitStack() as running:
        apis = [running.enter_context(_serving(settings)) for _ in range(count)]
        return asyncio.run(_play(url, made, apis, boards))


def _figures(processes: int, storms: Sequence[Storm]) -> Sequence[Figure]:
    shown = [storm.seconds for storm in storms]
    blocks = [storm.blocked for storm in storms]
    cpu = median(storm.cpu for storm in storms)
    by = "one API process" if processes == 1 else f"{processes} API processes"
    name = f"{MATCHES} goals to the last of {LEAGUES:,} league boards, {by}"
    told = f"{', '.join(f'{seconds:.2f}' for seconds in shown)}; {cpu:.2f} s of computing in them"
    longest = f"longest block of an event loop, {by}"
    return [
        Figure(name, median(shown), SECONDS, "s", told),
        Figure(longest, max(blocks), BLOCKED, "ms of CPU", ", ".join(f"{ms:.0f}" for ms in blocks)),
    ]


async def _prepare(url: str) -> tuple[MadeTournament, list[tuple[str, str]]]:
    """The boards: a league's id and the token of a member."""
    database = PostgresDatabase.create(url, statement_timeout=0)
    try:
        made = await make_tournament(database, matches=MATCHES + ROUNDS)
        await pass_lock(database, *made.matches, ago=KICKED_OFF_AGO)
        await crowd.gather(database, made.id, MEMBERS)
        await crowd.guess(database, made.id, list(made.matches))
        async with crowd.unchecked(database) as connection:
            size = {"size": MEMBERS // LEAGUES}
            leagues = list(await connection.execute(_LEAGUES, size))
            await connection.execute(_LEAGUE_MEMBERS, size)
            linked = {"tournament_id": made.id, "ruleset_id": made.ruleset_id}
            await connection.execute(_LINKS, linked)
        await crowd.run_alone(database, "VACUUM ANALYZE leagues, league_members, league_tournaments")
        tokens = await sign_in(database, [MemberId(founder) for _, founder in leagues])
        return made, [(id_of("League", league), token) for (league, _), token in zip(leagues, tokens, strict=False)]
    finally:
        await database.close()


async def _play(
    url: str, made: MadeTournament, apis: Sequence[Watched], boards: Sequence[tuple[str, str]]
) -> list[Storm]:
    database = PostgresDatabase.create(url)
    try:
        for match_id in made.matches:
            await in_play(database, made.id, match_id, 0, 0)
        screens = [
            Screen(api.server.port, "/graphql", _asked(league), [token])
            for api, (league, token) in zip(cycle(apis), boards, strict=False)
        ]
        for begin in range(0, LEAGUES, 20):
            await asyncio.gather(*(screen.join(1) for screen in screens[begin : begin + 20]))
        await _until_still(screens)
        for api in apis:
            api.longest()
        storms = [await _storm(database, made, apis, screens, goals) for goals in range(1, ROUNDS + 1)]
        for screen in screens:
            screen.leave()
        return storms
    finally:
        await database.close()


async def _storm(
    database: PostgresDatabase, made: MadeTournament, apis: Sequence[Watched], screens: Sequence[Screen], goals: int
) -> Storm:
    versions, began = [screen.version for screen in screens], _computed(apis)
    for match_id in made.matches[:MATCHES]:
        await in_play(database, made.id, match_id, goals, 0)
    await _call_off(database, made.id, made.matches[-goals])
    committed = time.perf_counter()
    async with asyncio.timeout(600):
        # The moments come from sockets, and only the last of them counts.
        while any(screen.version <= version + MATCHES for screen, version in zip(screens, versions, strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    shown = max(screen.at for screen in screens)
    await _until_still(screens)
    return Storm(shown - committed, _computed(apis) - began, max(api.longest() for api in apis))


def _computed(apis: Sequence[Watched]) -> float:
    return sum(api.server.cpu() for api in apis)


async def _call_off(database: PostgresDatabase, tournament_id: TournamentId, match_id: MatchId) -> None:
    """Of this every board tells: by goals alone one of them might show nothing new, and send nothing."""
    await in_play(database, tournament_id, match_id, 0, 0, result_state=ResultState.VOID)


async def _until_still(screens: Sequence[Screen]) -> None:
    """Until nothing has come for two seconds: boards may move on by themselves."""
    while time.perf_counter() - max(screen.at for screen in screens) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.2)


def _asked(league_id: str) -> dict[str, object]:
    return {"query": read_operation("leaderboardUpdates"), "variables": {"board": {"leagueId": league_id}}}


@contextmanager
def _serving(settings: dict[str, str]) -> Iterator[Watched]:
    quiet = dict.fromkeys(SELDOM, "600") | {"PALPITE_LOG_LEVEL": "error"}
    command = [sys.executable, "-m", "bench.leagues_live"]
    with subprocess.Popen(
        command, env=environment({**settings, **quiet}), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Watched(Server(psutil.Process(process.pid), port), process.stdout)
        finally:
            process.kill()


if __name__ == "__main__":
    _runner()(_serve(load_settings()))
