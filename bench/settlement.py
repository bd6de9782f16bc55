"""Settling one match against bare UPDATEs on the same database: of all its guesses, and of as many rows as change.

All three take turns, and of each the run that computed least counts: what else the machine does only adds to it.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median

from sqlalchemy import text

from bench import crowd
from bench.report import Figure
from domain.ids import MatchId
from domain.settlement.service import settle
from runtime.database import PostgresDatabase
from tests.support.football import MadeTournament, make_tournament, pass_lock
from tests.support.servers import TestPostgres, running_postgres
from tests.support.settlement import accept

SIZES, FULL_SIZES = {10_000: 15, 100_000: 7}, {100_000: 3, 1_000_000: 2}
"""Guesses of the match, and how often it is settled."""
SEASON, FULL_SEASON = (100, 10_000, 9), (380, 10_000, 6)
"""Matches, guesses of each, and how often one is settled."""
A_ROUND = 10
"""Matches that members guess in one go."""
# Of the guesses in `crowd`, the first result changes what 73 of 100 have, its correction what 68 of 100 have.
FIRST, CORRECTED = (2, 1), (2, 2)


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the server's computing, and of waiting, for so many rows that were written."""

    cpu: float
    wall: float
    rows: int = 0
    hot_rows: int = 0


@dataclass(slots=True)
class Costs:
    """All runs on one database."""

    label: str
    guesses: int
    settled: list[Cost] = field(default_factory=list)
    corrected: list[Cost] = field(default_factory=list)
    replayed: list[Cost] = field(default_factory=list)
    all_guesses: list[Cost] = field(default_factory=list)
    as_many_rows: list[Cost] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        both = (*self.settled, *self.corrected)
        return [
            Figure(
                f"{self.label}: settled, against a bare UPDATE of all its guesses",
                _cpu(self.settled) / _cpu(self.all_guesses),
                0.4,
                detail=f"{_told(self.settled)} against {_told(self.all_guesses)}",
            ),
            Figure(
                "  against a bare heap-only UPDATE of as many rows as change",
                _cpu(self.settled) / _cpu(self.as_many_rows),
                2.5,
                detail=f"{self.settled[0].rows:,} rows, {_told(self.as_many_rows)}",
            ),
            Figure(
                "  rows written in place, of settlements and corrections",
                min(cost.hot_rows / cost.rows for cost in both),
                0.95,
                at_least=True,
            ),
            Figure(
                "  a correction, each changed row against the settlement's",
                (_cpu(self.corrected) / self.corrected[0].rows) / (_cpu(self.settled) / self.settled[0].rows),
                1.3,
                detail=f"{self.corrected[0].rows:,} rows, {_told(self.corrected)}",
            ),
            Figure(
                "  rows of scores that replays write",
                sum(cost.rows for cost in self.replayed),
                0,
                unit="rows",
                detail=_told(self.replayed),
            ),
        ]


def measure(*, full: bool = False) -> Iterator[Figure]:
    """`full`: with a million guesses, and with a whole season of them in the table: some ten minutes."""
    with running_postgres() as server:
        costs = []
        for size, repeats in (FULL_SIZES if full else SIZES).items():
            costs.append(asyncio.run(_of_match(server, size, repeats)))
            yield from costs[-1].figures()
        yield _growth(*costs[-2:])
        yield from asyncio.run(_in_season(server, *(FULL_SEASON if full else SEASON))).figures()


def _growth(small: Costs, large: Costs) -> Figure:
    each = [_cpu(costs.settled) / costs.guesses for costs in (small, large)]
    detail = " and ".join(f"{seconds * 1e6:.2f} us" for seconds in each)
    name = f"a guess among {large.guesses:,} against one among {small.guesses:,}"
    return Figure(name, each[1] / each[0], 1.5, detail=detail)


async def _of_match(server: TestPostgres, size: int, repeats: int) -> Costs:
    """One match in the tables, its guesses new before every run."""
    async with _crowd(server, size, matches=1 + 3 * repeats) as (database, made):

        async def prepare(match_id: MatchId) -> None:
            await crowd.guess(database, made.id, [match_id])

        return await _costs(database, made, made.matches, Costs(f"{size:,} guesses", size), prepare, repeats)


async def _in_season(server: TestPostgres, matches: int, size: int, repeats: int) -> Costs:
    """A season of guesses in the table, each run on a match of another round than the one before."""
    async with _crowd(server, size, matches=matches) as (database, made):
        rounds = [list(made.matches[first : first + A_ROUND]) for first in range(0, matches, A_ROUND)]
        await crowd.guess(database, made.id, *rounds)

        async def prepare(_: MatchId) -> None:
            await crowd.run_alone(database, f"VACUUM {await crowd.partition(database, 'guesses')}")

        costs = Costs(f"{size:,} of {matches * size:,} guesses", size)
        in_turn = [match_id for number in range(A_ROUND) for match_id in made.matches[number::A_ROUND]]
        return await _costs(database, made, in_turn, costs, prepare, repeats)


@asynccontextmanager
async def _crowd(
    server: TestPostgres, size: int, *, matches: int
) -> AsyncIterator[tuple[PostgresDatabase, MadeTournament]]:
    url = await server.create_database()
    database = PostgresDatabase.create(url, pool_size=1, statement_timeout=0)
    try:
        made = await make_tournament(database, matches=matches)
        await pass_lock(database, *made.matches)
        await crowd.gather(database, made.id, size)
        yield database, made
    finally:
        await database.close()
        await server.drop_database(url)


async def _costs(
    database: PostgresDatabase,
    made: MadeTournament,
    matches: Sequence[MatchId],
    costs: Costs,
    prepare: Callable[[MatchId], Awaitable[None]],
    repeats: int,
) -> Costs:
    """Every run on a match of its own, beginning with fresh scores that have been read; in rounds, ordered by lot."""
    await prepare(matches[0])
    first, *_ = await _settle(database, matches[0])

    async def settled(match_id: MatchId) -> None:
        for found, kept in zip(await _settle(database, match_id), _kept(costs), strict=True):
            kept.append(found)

    async def all_guesses(match_id: MatchId) -> None:
        costs.all_guesses.append(await _update_guesses(database, made, match_id))

    async def as_many_rows(_: MatchId) -> None:
        costs.as_many_rows.append(await _update_rows(database, first.rows))

    runs = (settled, all_guesses, as_many_rows)
    scores = await crowd.partition(database, "member_scores")
    turns = [run for _ in range(repeats) for run in random.sample(runs, len(runs))]
    for match_id, run in zip(matches[1:], turns, strict=False):
        await prepare(match_id)
        await crowd.fresh_scores(database, made.id)
        await crowd.run_alone(database, "CHECKPOINT")
        await crowd.run_alone(database, f"SELECT count(outcome) FROM {scores}")
        await run(match_id)
    return costs


def _kept(costs: Costs) -> tuple[list[Cost], list[Cost], list[Cost]]:
    return costs.settled, costs.corrected, costs.replayed


async def _settle(database: PostgresDatabase, match_id: MatchId) -> tuple[Cost, Cost, Cost]:
    """Settle a match, correct it, and deliver the correction once more."""
    scores = await crowd.partition(database, "member_scores")

    async def once() -> None:
        async with database.begin() as connection:
            await settle(connection, match_id, None)

    await accept(database, match_id, *FIRST)
    settled = await _cost(database, scores, once)
    await accept(database, match_id, *CORRECTED, cause="CORRECTION")
    corrected = await _cost(database, scores, once)
    return settled, corrected, await _cost(database, scores, once)


async def _update_guesses(database: PostgresDatabase, made: MadeTournament, match_id: MatchId) -> Cost:
    statement = text(
        "UPDATE guesses SET revision = revision + 1 WHERE tournament_id = :tournament_id AND match_id = :match_id"
    )

    async def once() -> None:
        async with crowd.unchecked(database) as connection:
            await connection.execute(statement, {"tournament_id": made.id, "match_id": match_id})

    return await _cost(database, await crowd.partition(database, "guesses"), once)


async def _update_rows(database: PostgresDatabase, rows: int) -> Cost:
    """The first rows of the table, page after page, each of which stays on its page."""
    scores = await crowd.partition(database, "member_scores")
    async with database.read() as connection:
        last = text(f"SELECT ctid::text AS place FROM {scores} ORDER BY ctid OFFSET {rows - 1} LIMIT 1")
        end = (await connection.execute(last)).scalar_one()

    async def once() -> None:
        async with crowd.unchecked(database) as connection:
            await connection.execute(text(f"UPDATE {scores} SET outcome = outcome + 1 WHERE ctid <= '{end}'"))

    cost = await _cost(database, scores, once)
    assert cost.hot_rows == cost.rows == rows, cost
    return cost


async def _cost(database: PostgresDatabase, table: str, run: Callable[[], Awaitable[None]]) -> Cost:
    clock = await crowd.ServerClock.of(database)
    before = await crowd.written(database, table)
    began, computed = time.perf_counter(), clock()
    await run()
    wall, cpu = time.perf_counter() - began, clock() - computed
    rows, hot_rows = (after - value for after, value in zip(await crowd.written(database, table), before, strict=True))
    return Cost(cpu, wall, rows, hot_rows)


def _cpu(costs: Sequence[Cost]) -> float:
    return min(cost.cpu for cost in costs)


def _told(costs: Sequence[Cost]) -> str:
    values = sorted(cost.cpu * 1000 for cost in costs)
    wall = median(cost.wall for cost in costs) * 1000
    return f"{values[0]:.0f} ms computed [-{values[-1]:.0f}], {wall:.0f} ms waited"
