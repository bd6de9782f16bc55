"""Boards in Valkey: pages and ranks, a cold rebuild, memory, league boards, and how long a commit takes to a board."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from statistics import median
from subprocess import PIPE
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import numpy as np
from sqlalchemy import text

from bench.replay import Line, recorder
from bench.report import Figure, spread
from domain.ids import TournamentId, new_id
from domain.leaderboard.facts import pack_facts
from domain.leaderboard.leagues import RankedMembers
from domain.leaderboard.loading import Loaded, load
from domain.leaderboard.projector import project
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.score_table import ScoreTable
from domain.scoring.model import ScoreBasis, Weights
from domain.tournament.store import raise_versions
from integrations.valkey.client import connect, connection_for
from integrations.valkey.packing import zadd_blocks
from integrations.valkey.projection import ValkeyProjection
from runtime.database import PostgresDatabase
from tests.support.football import make_tournament
from tests.support.servers import running_postgres, running_valkey

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from tests.support.football import MadeTournament

MANY, FEWER = 1_000_000, 100_000
WEIGHTS = Weights(2, 1, 0, 0, 1)
ROUNDS, CALLS = 40, 200
REBUILDS, WATCHED = 13, 7
BARE_COMMANDS = 100
"""So many go out at once when sorted writes alone are measured."""
SLOW_COMMANDS = 10_000
BUFFER_SECONDS = 4
"""Valkey keeps the buffer of a connection that received a large value for two seconds and more."""
_PING = b"*1\r\n$4\r\nPING\r\n"
LEAGUE, LEAGUES, JOINERS = 200, 300, 20
# Half a season of somebody who is right now and then; only the rows matter, so no guess stands behind them.
SCORES = text(
    """
WITH member AS (
    INSERT INTO members (id, nick_name) SELECT gen_random_uuid(), 'Member ' || n FROM generate_series(1, :count) AS n
    RETURNING id
), joined AS (
    INSERT INTO tournament_members (tournament_id, member_id) SELECT :tournament_id, id FROM member
)
INSERT INTO member_scores (tournament_id, basis, member_id, outcome, goal_difference, home_goals, away_goals, exact)
SELECT :tournament_id, 'AFTER_EXTRA_TIME', id, exact + more + most, exact + more, exact + most, exact + most, exact
FROM (SELECT id, (random() * 17 + random() * 17)::int AS exact, (random() * 12 + random() * 7)::int AS more,
        (random() * 30 + random() * 17)::int AS most FROM member) AS member
"""
)


def measure() -> Sequence[Figure]:
    with running_postgres() as postgres, running_valkey() as url:
        return asyncio.run(_measure(asyncio.run(postgres.create_database()), url))


async def _measure(database_url: str, url: str) -> Sequence[Figure]:
    database = PostgresDatabase.create(database_url, statement_timeout=600)
    try:
        async with connect(url, timeout=60) as valkey:
            await valkey.ping()
            bench = _Bench(database, valkey, url, int((await valkey.info("server"))["process_id"]))
            fewer, _ = await bench.tournament(FEWER)
            many, written = await bench.tournament(MANY)
            return [
                *await bench.reads(many),
                *await bench.rebuild(many),
                *written,
                *bench.league(await load(database, many)),
                await bench.commit_to_board(fewer, 0.3),
                await bench.commit_to_board(many, 2.5),
            ]
    finally:
        await database.close()


class _Bench:
    def __init__(self, database: PostgresDatabase, valkey: "Redis", url: str, pid: int) -> None:
        self._database = database
        self._valkey = valkey
        self._url = url
        self._cpu = Path(f"/proc/{pid}/schedstat")
        self._projection = ValkeyProjection(valkey, timeout=60)

    def cpu(self) -> float:
        """Seconds that Valkey's main thread has computed."""
        return int(self._cpu.read_text().split()[0]) / 1e9

    async def tournament(self, members: int) -> tuple[TournamentId, list[Figure]]:
        """A projected tournament, and how much memory its projection takes against the bare sorted set with facts."""
        made: MadeTournament = await make_tournament(self._database, matches=1)
        async with self._database.begin() as connection:
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
            await connection.execute(SCORES, {"count": members, "tournament_id": made.id})
        async with self._database.read() as connection:
            await connection.execute(text("VACUUM ANALYZE"))
        loaded = await load(self._database, made.id)
        assert loaded is not None
        _, table, ranking = loaded
        await self._valkey.flushall()  # an earlier tournament's board
        empty = await self._memory()
        await self._bare(ranking)
        bare = await self._memory() - empty
        await self._valkey.flushall()
        await self._projection.write(made.id, table, ranking)
        whole = await self._memory() - empty
        await self._valkey.flushall()
        await project(self._database, self._projection, made.id)
        limit = bare + 10 * members
        detail = f"{whole / members:.0f} bytes a member, the bare sorted set {bare / members:.0f}, facts 10"
        return made.id, [Figure(f"memory of the projection of {members:,} members", whole / limit, 1.3, detail=detail)]

    async def reads(self, tournament_id: TournamentId) -> list[Figure]:
        """CPU of Valkey for a page with its ranks and for a member's row, against `PING`, in turns."""
        stamp = (await self._projection.stamps([tournament_id]))[tournament_id]
        middle = stamp.members // 2
        rows = await self._projection.rows(tournament_id, stamp, middle, 50)
        assert rows is not None
        member, path = rows[0].member_id, unquote(urlsplit(self._url).path)
        async with recorder(path) as (place, beside), connect(f"unix://{beside}") as client:
            projection = ValkeyProjection(client)
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "page": lambda: projection.rows(tournament_id, stamp, middle, 50),
                "row": lambda: projection.rows_around(tournament_id, stamp, member, 0),
            }
            found = {name: await place.requests_of(call) for name, call in calls.items()}
        assert all(turns == 1 for _, turns in found.values()), "one round trip each"
        requests = {"PING": _PING} | {name: request for name, (request, _) in found.items()}
        costs = await asyncio.to_thread(self._costs, path, requests)
        detail = ", ".join(f"{name} {cost * 1e6:.0f} us" for name, cost in costs.items())
        return [
            Figure(
                f"CPU of Valkey for {words}, {stamp.members:,} members", costs[name] / costs["PING"], 1.5, "", detail
            )
            for name, words in (("page", "50 rows with ranks in one round trip"), ("row", "a member's row with rank"))
        ]

    def _costs(self, path: str, requests: Mapping[str, bytes]) -> dict[str, float]:
        """Seconds that each request costs, the least of many rounds: what else the machine does only adds to it."""
        line = Line(path)
        spent: dict[str, list[float]] = {name: [] for name in requests}
        for request in requests.values():
            line.learn(request)
        for _ in range(ROUNDS):
            for name, request in requests.items():
                began = self.cpu()
                for _ in range(CALLS):
                    line.ask(request)
                spent[name].append((self.cpu() - began) / CALLS)
        line.close()
        return {name: min(found) for name, found in spent.items()}

    async def rebuild(self, tournament_id: TournamentId) -> list[Figure]:
        """From the database to a board in place, against the sorted writes of its members alone.

        In turn. Of times the best counts, for what else the machine does only adds to it. What keeps Valkey busy is
        looked at in runs of their own, beside another client that asks all the time, which takes a part of one of two
        cores and keeps them awake: the longest of a run, the median of the runs, for any turn may be one that waited
        for a processor. The last board is written over, as it is when its version moves.
        """
        loaded = await load(self._database, tournament_id)
        assert loaded is not None
        ranking = loaded[2]
        write, write_bare = partial(self._put_in_place, tournament_id), partial(self._bare, ranking)
        bare, whole = [], []
        for _ in range(REBUILDS):
            bare.append(await self._timed(write_bare))
            whole.append(await self._timed(write))
        runs: dict[str, list[_Run]] = {"cold": [], "over a board": [], "bare writes": []}
        for _ in range(WATCHED):
            runs["bare writes"].append(await self._watched(write_bare))
            runs["cold"].append(await self._watched(write))
            runs["over a board"].append(await self._watched(write, cold=False))
        blocked = max(median(run.blocked for run in runs[name]) for name in ("cold", "over a board"))
        longest = "; ".join(f"{name}: {_longest(found)}" for name, found in runs.items())
        ratio, took = min(whole) / min(bare), f"{spread(whole)} against {spread(bare)}"
        beside, beside_bare = (min(run.took for run in runs[name]) for name in ("cold", "bare writes"))
        took += f"; beside a client that asks all the time {beside / beside_bare:.2f} x"
        return [
            Figure(f"cold rebuild, {len(ranking):,} members", ratio, 1.5, detail=took),
            Figure("longest that Valkey serves nobody else meanwhile", blocked * 1000, 10.0, "ms", longest),
        ]

    async def _put_in_place(self, tournament_id: TournamentId) -> None:
        """What `project` does before it tells of the board."""
        loaded = await load(self._database, tournament_id)
        assert loaded is not None
        await self._projection.write(tournament_id, loaded.table, loaded.ranking)

    async def _timed(self, write: Callable[[], Awaitable[object]]) -> float:
        """Seconds, into an empty Valkey."""
        await self._valkey.flushall()
        began = time.perf_counter()
        await write()
        return time.perf_counter() - began

    async def _watched(self, write: Callable[[], Awaitable[object]], *, cold: bool = True) -> "_Run":
        if cold:
            await self._valkey.flushall()
        await self._valkey.config_set("slowlog-log-slower-than", 1_000)
        await self._valkey.config_set("slowlog-max-len", SLOW_COMMANDS)
        await self._valkey.slowlog_reset()
        await self._valkey.config_resetstat()
        async with _Pinging(self._url) as pinging:
            began = time.perf_counter()
            await write()
            took = time.perf_counter() - began
        turns = await self._valkey.info("debug")
        slow = [command["duration"] for command in await self._valkey.slowlog_get(SLOW_COMMANDS)]
        await self._valkey.slowlog_reset()  # it holds megabytes, which are no board's
        return _Run(turns["eventloop_duration_max"] / 1e6, max(slow, default=0) / 1e6, max(pinging.waits), took)

    def league(self, loaded: Loaded | None) -> list[Figure]:
        """Ranking some members from the facts that a process holds: on a new version, with joiners, and at first."""
        assert loaded is not None
        tournament_id, joined = TournamentId(new_id()), loaded[1]
        rng = np.random.default_rng(1)
        stays = np.ones(len(joined), dtype=np.bool_)
        stays[rng.choice(len(joined), JOINERS, replace=False)] = False
        table = ScoreTable(joined.stamp, joined.ids[stays], {basis: one[stays] for basis, one in joined.facts.items()})
        ids = [np.sort(rng.choice(table.ids, LEAGUE, replace=False)) for _ in range(LEAGUES)]
        found: tuple[list[float], ...] = ([], [], [])
        for members in [RankedMembers(one, 1) for one in ids]:
            for took, of in zip(found, (table, table, joined.with_ids_of(table)), strict=True):
                began = time.perf_counter()
                facts = of.pick(ScoreBasis.AFTER_EXTRA_TIME, members.places(tournament_id, of))
                Ranking(members.ids, pack_facts(len(members.ids), [(facts, WEIGHTS)]))
                took.append(time.perf_counter() - began)
        name = f"a league's board of {LEAGUE} from the facts of {len(table):,}"
        first, again, then = (median(took) * 1000 for took in found)
        detail = f"{LEAGUES} leagues; {first:.2f} ms when its members must be found first"
        return [
            Figure(name, again, 0.1, "ms", detail),
            Figure(f"the same when {JOINERS} have joined the tournament", then, 0.1, "ms"),
        ]

    async def commit_to_board(self, tournament_id: TournamentId, bound: float) -> Figure:
        """From the commit of a version to its board in place, by the projector's own function."""
        found = []
        for _ in range(5):
            async with self._database.begin() as connection:
                await raise_versions(connection, tournament_id, board=True)
            began = time.perf_counter()
            await project(self._database, self._projection, tournament_id)
            found.append(time.perf_counter() - began)
        stamp = (await self._projection.stamps([tournament_id]))[tournament_id]
        return Figure(f"commit to board, {stamp.members:,} members", median(found), bound, "s", spread(found))

    async def _bare(self, ranking: Ranking) -> None:
        """The sorted writes of a board's members, pipelined, and nothing else."""
        async with connection_for(self._valkey, "bare") as connection:
            commands = chain.from_iterable(zadd_blocks("bare", ranking.ids, ranking.packed, 600))
            while block := list(islice(commands, BARE_COMMANDS)):
                await connection.send_packed_command(b"".join(command.data for command in block))
                for _ in range(sum(command.answers for command in block)):
                    await connection.read_response()

    async def _memory(self) -> int:
        """Bytes in use once what was removed has been freed, and what a connection took large values in."""
        await asyncio.sleep(BUFFER_SECONDS)
        while (await self._valkey.info("memory"))["lazyfree_pending_objects"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        found: int = (await self._valkey.info("memory"))["used_memory_dataset"]
        return found


class _Run(NamedTuple):
    """What was measured of one run, in seconds."""

    blocked: float
    """The longest turn of Valkey's event loop, by its own clock: all that it does before it looks at clients again."""
    command: float
    """The longest command, by the same clock; 0 when none took a millisecond."""
    wait: float
    """The longest that another client waited: what Valkey did, and until both of them had a processor."""
    took: float


def _longest(runs: Sequence[_Run]) -> str:
    """Of some runs, the median and the most of each, but for what they took."""
    found = zip(("turn", "command", "wait of a client"), list(zip(*runs, strict=True))[:3], strict=True)
    return ", ".join(f"{name} {median(each) * 1000:.1f} [{max(each) * 1000:.1f}]" for name, each in found)


class _Pinging:
    """Another client that asks every two milliseconds while a block runs, from a process of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.waits: list[float] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.pinger", self._url, stdin=PIPE, stdout=PIPE
        )
        assert self._process.stdout is not None
        await self._process.stdout.readline()
        return self

    async def __aexit__(self, *_: object) -> None:
        output = (await self._process.communicate(b"\n"))[0]
        self.waits = [float(word) for word in output.split()]
