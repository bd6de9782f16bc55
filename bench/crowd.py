"""Members, scores and guesses by the hundred thousand, put in by the server itself, and what writing them costs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import MatchId, TournamentId
from runtime.database import PostgresDatabase

# Thirty scores a side, as often as people guess them: home 0 to 5, away 0 to 5, 36 scorelines.
_HOME = "(ARRAY[0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,2,2,2,2,2,2,2,3,3,3,4,4,5])"
_AWAY = "(ARRAY[0,0,0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,2,2,2,2,2,3,3,4,5])"
_MEMBERS = "INSERT INTO members (id, nick_name) SELECT uuidv7(), 'Member ' || n FROM generate_series(1, :count) AS n"
_JOINED = """
INSERT INTO tournament_members (tournament_id, member_id)
SELECT :tournament_id, id FROM members ORDER BY id LIMIT :count
"""
_SCORES = """
INSERT INTO member_scores (tournament_id, basis, member_id)
SELECT tournament_id, 'AFTER_EXTRA_TIME', member_id FROM tournament_members
WHERE tournament_id = :tournament_id ORDER BY member_id
"""
# In the order in which a round is guessed: member after member, each their matches.
_GUESSES = f"""
INSERT INTO guesses (tournament_id, match_id, member_id, home, away, revision, saved_at)
SELECT :tournament_id, match_id, member_id, {_HOME}[1 + n % 30], {_AWAY}[1 + n / 30 % 30], 1, now() - interval '1 year'
FROM (
    SELECT match_id, member_id, abs(hashtext(concat(member_id, match_id))) AS n
    FROM tournament_members, unnest(CAST(:match_ids AS uuid[])) AS match_id
    WHERE tournament_id = :tournament_id
) AS guessed ORDER BY member_id, match_id
"""


@asynccontextmanager
async def unchecked(database: PostgresDatabase) -> AsyncIterator[AsyncConnection]:
    """A transaction without triggers, and so without foreign keys: what a bulk load is, and what a bare UPDATE is."""
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection


async def gather(database: PostgresDatabase, tournament_id: TournamentId, count: int) -> None:
    """So many new members who have joined, with zeros on the board. The tables of members must be empty."""
    async with unchecked(database) as connection:
        await connection.execute(text(_MEMBERS), {"count": count})
        await connection.execute(text(_JOINED), {"tournament_id": tournament_id, "count": count})
    await fresh_scores(database, tournament_id)
    await run_alone(database, "VACUUM ANALYZE members, tournament_members")


async def fresh_scores(database: PostgresDatabase, tournament_id: TournamentId) -> None:
    """Everybody at zero again, in tables that are new."""
    async with unchecked(database) as connection:
        await connection.execute(text("TRUNCATE member_scores"))
        await connection.execute(text(_SCORES), {"tournament_id": tournament_id})
    await run_alone(database, "VACUUM ANALYZE member_scores")


async def guess(database: PostgresDatabase, tournament_id: TournamentId, *rounds: list[MatchId]) -> None:
    """Everybody guesses every match, round after round, in tables that are new."""
    async with unchecked(database) as connection:
        await connection.execute(text("TRUNCATE guesses"))
        for match_ids in rounds:
            await connection.execute(text(_GUESSES), {"tournament_id": tournament_id, "match_ids": match_ids})
    await run_alone(database, "VACUUM ANALYZE guesses")


async def run_alone(database: PostgresDatabase, statement: str) -> None:
    """A statement outside any transaction."""
    async with database.read() as connection:
        await connection.execute(text(statement))


async def partition(database: PostgresDatabase, table: str) -> str:
    """Where the rows of a table are that holds one tournament."""
    async with database.read() as connection:
        return str((await connection.execute(text(f"SELECT tableoid::regclass FROM {table} LIMIT 1"))).scalar_one())


class ServerClock:
    """Computing time of the one connection of a database, with that of the parallel workers that helped it."""

    def __init__(self, pid: int) -> None:
        self._backend = Path(f"/proc/{pid}/schedstat")
        self._server = psutil.Process(psutil.Process(pid).ppid())

    @classmethod
    async def of(cls, database: PostgresDatabase) -> "ServerClock":
        async with database.read() as connection:
            return cls((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())

    def __call__(self) -> float:
        """Seconds."""
        ended = self._server.cpu_times()
        return int(self._backend.read_text().split()[0]) / 1e9 + ended.children_user + ended.children_system


async def written(database: PostgresDatabase, table: str) -> tuple[int, int]:
    """Rows of a partition that were ever updated, and how many stayed on their page, so that no index moved."""
    async with database.read() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
        await connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables WHERE relid = CAST(:name AS regclass)"
        row: Any = (await connection.execute(text(counts), {"name": table})).one()
    return row.n_tup_upd, row.n_tup_hot_upd
