"""F4: twenty matches of one tournament end at once, while its members guess, admins correct and readings come in."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text

from domain.correction.model import StalePreview
from domain.execution.model import Execution, ExecutionState, Operation, Target
from domain.guess import service as guesses
from domain.guess.model import Guess, GuessInput
from domain.ids import MatchId, MemberId, TournamentId
from domain.match.model import Goals
from domain.match.tables import matches
from tests.support.campaign import seeded, times
from tests.support.corrections import make_admin, order, result
from tests.support.executions import ended, queue, until
from tests.support.football import join, make_members
from tests.support.ingester import OPEN
from tests.support.openfootball import a_match, write_season
from tests.support.oracles import assert_none_lost, assert_settled_once, states
from tests.support.plant import plant
from tests.support.settled import assert_settled, guess_everything
from tests.support.workers import REAL, Workers, all_over

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(1800)

CORRECTED, ENDING, OPEN_ONES = 4, 20, 8
SECONDS = 30


class Season:
    """A season in a file, which workers read: matches that are corrected, that end at once, and that stay open."""

    tournament_id: TournamentId
    matches: list[MatchId]
    """In this order."""

    def __init__(self, database: "PostgresDatabase", folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._listed = [
            a_match(date="2027-06-01", team1=f"Home {n:02} FC", team2=f"Away {n:02} FC", **OPEN)
            for n in range(CORRECTED + ENDING + OPEN_ONES)
        ]

    async def begin(self) -> None:
        self._write()
        params = {"provider": "OPENFOOTBALL", "competition": "en.1", "season": "2026-27"}
        made = await self._run(Operation.INGEST_TOURNAMENT, params=params)
        assert made.target.tournament_id is not None
        self.tournament_id = made.target.tournament_id
        for operation in (Operation.INGEST_ROUNDS, Operation.INGEST_TEAMS, Operation.INGEST_MATCHES):
            await self._run(operation, Target(self.tournament_id))
        async with self._database.read() as connection:
            rows = await connection.execute(select(matches.c.id).order_by(matches.c.home_label))
            self.matches = [MatchId(row.id) for row in rows]

    async def end(self, first: int, last: int, scores: Sequence[Goals]) -> None:
        """One reading in which these matches have ended."""
        for n in range(first, last):
            self._listed[n] |= {"score": {"ft": list(scores[n])}}
        await self.read()

    async def change(self, ground: str) -> None:
        """A reading that tells something new of every match."""
        for match in self._listed:
            match["ground"] = ground
        await self.read()

    async def read(self) -> None:
        self._write()
        await self._run(Operation.INGEST_MATCHES, Target(self.tournament_id))

    def _write(self) -> None:
        write_season(self._folder, "en.1", "2026-27", {"name": "Busy", "matches": self._listed})

    async def _run(
        self, operation: Operation, target: Target | None = None, params: dict[str, Any] | None = None
    ) -> Execution:
        accepted = await queue(self._database, operation=operation, target=target, params=params)
        over = await ended(self._database, accepted.execution.id, within=60)
        assert (over.state, over.attempt) == (ExecutionState.COMPLETED, 1)
        return over


async def test_f4_twenty_matches_end_at_once_among_guesses_corrections_and_readings(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    rng = seeded("F4")
    season = Season(database, tmp_path / "seasons")
    scores = [Goals(rng.randrange(4), rng.randrange(4)) for _ in range(CORRECTED + ENDING)]
    others = [Goals(rng.randrange(4), rng.randrange(4)) for _ in range(CORRECTED)]
    admin = await make_admin(database)
    members = await make_members(database, times(200, 2000))
    over = asyncio.Event()
    crew.settings["PALPITE_OPENFOOTBALL_DIR"] = str(tmp_path / "seasons")
    # No worker is killed: the sweeper comes as often as it is shipped, and does not send again what only waits.
    async with plant(crew, database, valkey_url, tmp_path, place=REAL, sweep_every=5, resend_after=10):
        await season.begin()
        await join(database, season.tournament_id, members)
        await guess_everything(database, season.tournament_id)
        await season.end(0, CORRECTED, scores)
        await all_over(database)
        open_ones = season.matches[CORRECTED + ENDING :]
        guessing = [asyncio.create_task(_guess(database, one, open_ones, over)) for one in members[:5]]
        began = monotonic()
        await season.end(CORRECTED, CORRECTED + ENDING, scores)
        reading = asyncio.create_task(_read(season, over))
        await asyncio.gather(
            *(
                _correct(database, admin, match_id, goals)
                for match_id, goals in zip(season.matches, others, strict=False)
            )
        )
        await until(partial(_are_settled, database, 2 * CORRECTED + ENDING), within=120)
        took = monotonic() - began
        over.set()
        saved = sum(await asyncio.gather(*guessing))
        readings = await reading
        paid = dict(zip(season.matches, [*others, *scores[CORRECTED : CORRECTED + ENDING]], strict=False))
        await assert_settled(database, valkey, season.tournament_id, paid, members)

    settled = await _settled_within(database)
    words = f"settled in {settled:.1f} s, corrected too in {took:.1f} s"
    sys.stderr.write(f"F4: {words}, beside {saved} guesses and {readings} readings\n")
    # Whatever is settled or corrected meanwhile makes what a dry run showed stale, so corrections take the longest.
    assert settled < took <= SECONDS
    assert saved
    assert await _deadlocks(database) == 0
    await assert_settled_once(database, 2 * CORRECTED + ENDING)
    await assert_none_lost(database, await states(database))
    assert await _tries_of_settlements(database) == [("COMPLETED", 1)]


async def _guess(
    database: "PostgresDatabase", member: MemberId, open_ones: Sequence[MatchId], over: asyncio.Event
) -> int:
    """Guess all open matches in one request, again and again; how many guesses were taken."""
    saved = 0
    while not over.is_set():
        given = [GuessInput(match_id, saved % 50, 50 + n) for n, match_id in enumerate(reversed(open_ones))]
        results = await guesses.save_many(database, member, given, "busy")
        assert all(isinstance(one, Guess) for one in results)
        saved += len(results)
        await asyncio.sleep(0.05)
    return saved


async def _read(season: Season, over: asyncio.Event) -> int:
    """Readings, each with news; how many."""
    number = 0
    while not over.is_set():
        number += 1
        await season.change(f"Ground {number}")
    return number


async def _correct(database: "PostgresDatabase", admin: MemberId, match_id: MatchId, goals: Goals) -> None:
    """A dry run and the correction with its digest, anew until nothing moved in between."""
    while True:
        shown = await ended(database, (await order(database, result(admin, match_id, goals))).execution.id, within=60)
        assert shown.effect is not None
        with suppress(StalePreview):
            accepted = await order(database, result(admin, match_id, goals), shown.effect.digest)
            made: Any = await ended(database, accepted.execution.id, within=60)
            if made.state is ExecutionState.COMPLETED:
                return
            assert made.error_code == StalePreview.code


async def _are_settled(database: "PostgresDatabase", count: int) -> bool:
    async with database.read() as connection:
        return bool((await connection.execute(text("SELECT count(*) FROM settlements"))).scalar_one() == count)


async def _settled_within(database: "PostgresDatabase") -> float:
    """Seconds from the reading in which the matches ended to the last of their settlements."""
    statement = text(
        "SELECT extract(epoch FROM max(s.applied_at) - min(r.status_at)) FROM settlements s"
        " JOIN match_results r ON r.match_id = s.match_id AND r.revision = s.revision"
        " WHERE r.source = 'CONFIRMED' AND r.status_at = (SELECT max(status_at) FROM match_results"
        " WHERE source = 'CONFIRMED')"
    )
    async with database.read() as connection:
        return float((await connection.execute(statement)).scalar_one())


async def _deadlocks(database: "PostgresDatabase") -> int:
    statement = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    async with database.read() as connection:
        count: int = (await connection.execute(statement)).scalar_one()
        return count


async def _tries_of_settlements(database: "PostgresDatabase") -> list[tuple[str, int]]:
    """How settlements ended and in which try, each once."""
    statement = text("SELECT DISTINCT state, attempt FROM executions WHERE operation = 'SETTLE_MATCH'")
    async with database.read() as connection:
        return [(row.state, row.attempt) for row in await connection.execute(statement)]
