"""A league's board as of an earlier version, over a season of guesses: nothing kept from an earlier answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.report import Figure, spread
from domain.clock import utc_now
from domain.ids import LeagueId
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import AtVersion, BoardKey
from domain.leaderboard.service import Boards
from domain.league.model import LeagueRole
from domain.league.tables import league_members
from domain.settlement.service import settle
from domain.tournament.tables import rounds, tournaments
from runtime.database import PostgresDatabase
from tests.support.football import MadeTournament, make_league, make_members, make_tournament, pass_lock
from tests.support.servers import running_postgres
from tests.support.settlement import accept

MATCHES, ROUNDS, MEMBERS, LEAGUE = 380, 38, 10_000, 200
TIMES = 11
BOUND_MS = 50.0
# The scores that members guess, and how matches end: a dozen of scorelines, spread alike.
GUESSES = text(
    """
INSERT INTO guesses (tournament_id, match_id, member_id, home, away, revision, saved_at)
SELECT :tournament_id, CAST(:match_id AS uuid), member_id, n % 4, n / 4 % 3, 1, now() - interval '1 year'
FROM (SELECT member_id, abs(hashtext(concat(member_id, CAST(:match_id AS uuid)))) AS n FROM tournament_members
      WHERE tournament_id = :tournament_id) AS member
"""
)


def measure() -> Sequence[Figure]:
    with running_postgres() as server:
        return asyncio.run(_measure(asyncio.run(server.create_database())))


async def _measure(url: str) -> Sequence[Figure]:
    database = PostgresDatabase.create(url)
    try:
        made, league_id = await _season(database)
        key = BoardKey(league_id=league_id, tournament_id=made.id)
        of_round = BoardKey(tournament_id=made.id, round_id=made.rounds[-2])
        league = await _times(lambda version: _open(database, key, version))
        history = await _times(lambda version: _history(database, key, version))
        whole_round = await _times(lambda version: _open(database, of_round, version))
        everyone = await _times(lambda version: _open(database, BoardKey(tournament_id=made.id), version), times=3)
    finally:
        await database.close()
    members = f"{LEAGUE} members, {MATCHES} matches of {MEMBERS:,}"
    return [
        Figure(f"a league's board as of a version, {members}", median(league) * 1000, BOUND_MS, "ms", spread(league)),
        Figure("the same with the history of its rows", median(history) / median(league), 4.0, detail=spread(history)),
        Figure(f"a round's board of {MEMBERS:,}", median(whole_round) * 1000, 150.0, "ms", spread(whole_round)),
        Figure("the whole tournament's", median(everyone) * 1000, 5000.0, "ms", spread(everyone)),
    ]


async def _times(run: Callable[[int], Awaitable[object]], times: int = TIMES) -> list[float]:
    """Seconds of each run but the first two, each at another version of the second half of the season."""
    found = []
    for n in range(times + 2):
        began = time.perf_counter()
        await run(MATCHES - 3 * n)
        found.append(time.perf_counter() - began)
    return found[2:]


async def _open(database: PostgresDatabase, key: BoardKey, version: int) -> OpenBoard:
    """A page of a board, by a process that has computed nothing before."""
    board = await Boards(database, None, utc_now).open(key, as_of=AtVersion(version))
    assert board is not None
    assert await board.window(50)
    return board


async def _history(database: PostgresDatabase, key: BoardKey, version: int) -> None:
    board = await _open(database, key, version)
    rows = await board.window(50)
    found = await board.history([row.member_id for row in rows])
    assert len(found[rows[0].member_id]) >= ROUNDS // 2


async def _season(database: PostgresDatabase) -> tuple[MadeTournament, LeagueId]:
    """A season played and settled, round after round; the league's members are every fiftieth of the tournament's."""
    made = await make_tournament(database, matches=MATCHES, rounds=ROUNDS, ruleset="kicktipp")
    found = await make_members(database, MEMBERS, joins=[made])
    league_id = await make_league(database, "Bench", found[0], plays=[made])
    async with database.begin() as connection:
        rows = [
            {"id": member, "league_id": league_id, "member_id": member, "role": LeagueRole.MEMBER}
            for member in found[MEMBERS // LEAGUE :: MEMBERS // LEAGUE]
        ]
        await connection.execute(insert(league_members), rows)
    for number in range(ROUNDS):
        await _begin(database, made, number)
        for n in range(number, MATCHES, ROUNDS):
            async with database.begin() as connection:
                await _guess(connection, made, n)
            await pass_lock(database, made.matches[n])
            await accept(database, made.matches[n], n % 3, n % 2)
            async with database.begin() as connection:
                await settle(connection, made.matches[n], None)
    async with database.read() as connection:
        await connection.execute(text("VACUUM ANALYZE"))
    return made, league_id


async def _guess(connection: AsyncConnection, made: MadeTournament, number: int) -> None:
    await connection.execute(text("SET LOCAL session_replication_role = replica"))
    await connection.execute(GUESSES, {"tournament_id": made.id, "match_id": made.matches[number]})


async def _begin(database: PostgresDatabase, made: MadeTournament, number: int) -> None:
    version = select(tournaments.c.settled_version).where(tournaments.c.id == made.id).scalar_subquery()
    async with database.begin() as connection:
        begun = update(rounds).where(rounds.c.id == made.rounds[number])
        await connection.execute(begun.values(baseline_version=version, baseline_at=func.clock_timestamp()))
        current = update(tournaments).where(tournaments.c.id == made.id)
        since = {"movement_version": tournaments.c.settled_version, "movement_at": func.clock_timestamp()}
        await connection.execute(current.values(current_round_id=made.rounds[number], **since))
