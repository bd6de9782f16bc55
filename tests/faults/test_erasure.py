"""Workers killed while they take a member off boards: each tournament loses the member once, and nothing is left."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.execution.model import ExecutionState
from domain.execution.service import read_executions
from domain.ids import ExecutionId, MemberId, TournamentId
from domain.settlement.store import lock_tournament
from tests.support.corrections import assert_proven
from tests.support.erasure import REMOVE, delete
from tests.support.executions import until
from tests.support.football import make_league, make_members, make_tournament, pass_lock, put_guess
from tests.support.plant import plant
from tests.support.settlement import play
from tests.support.statements import waiting
from tests.support.workers import REAL, Workers, all_over

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(600)
TABLES = ("guesses", "guess_revisions", "member_scores", "tournament_members")


async def test_f1_workers_killed_while_they_erase_a_member_leave_what_one_would(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    made = sorted([await make_tournament(database, matches=2) for _ in range(6)], key=lambda one: one.id)
    ana, bob = await make_members(database, 2, joins=made)
    await make_league(database, "Office", ana, members=[bob], plays=made)
    for one in made:
        for match_id in one.matches:
            await put_guess(database, one, match_id, ana, 1, 0)
            await put_guess(database, one, match_id, bob, 2, 1)
        await pass_lock(database, *one.matches)
        await play(database, one.matches[0], 2, 1)
    execution_id = await delete(database, bob, REMOVE)

    async with plant(crew, database, valkey_url, tmp_path, size=2, place=REAL):
        async with _held(database, made[4].id):
            async with _held(database, made[2].id):
                await _kill_after(database, crew, execution_id, removals=2)
            await _kill_after(database, crew, execution_id, removals=4)
        await all_over(database)

    execution = (await read_executions(database, [execution_id]))[execution_id]
    assert (execution.state, execution.losses) == (ExecutionState.COMPLETED, 2)
    assert await _versions(database) == [(1, 2)] * 6
    assert await _rows(database, bob) == [0] * len(TABLES)
    assert await _rows(database, ana) == [12, 12, 6, 6]
    await assert_proven(database, *(one.id for one in made))


@asynccontextmanager
async def _held(database: "PostgresDatabase", tournament_id: TournamentId) -> AsyncIterator[None]:
    """Whoever erases in the tournament waits until the end of the block."""
    async with database.begin() as connection:
        await lock_tournament(connection, tournament_id)
        yield


async def _kill_after(database: "PostgresDatabase", crew: Workers, execution_id: ExecutionId, removals: int) -> None:
    """Kill the worker that has come as far, and waits."""

    async def waits() -> bool:
        async with database.read() as connection:
            return sum(count for count, _ in await _versions(database)) == removals and await waiting(connection) > 0

    await until(waits, within=60)
    async with database.read() as connection:
        owner = text("SELECT lease_owner FROM executions WHERE id = :id")
        pid = int((await connection.execute(owner, {"id": execution_id})).scalar_one().split(":")[1])
    worker = crew.running[pid]
    worker.send(signal.SIGKILL)
    assert await worker.wait() == -signal.SIGKILL


async def _versions(database: "PostgresDatabase") -> list[tuple[int, int]]:
    """Removals and settled versions of all tournaments."""
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT removals, settled_version FROM tournaments ORDER BY id"))
        return [tuple(row) for row in rows]


async def _rows(database: "PostgresDatabase", member_id: MemberId) -> list[int]:
    async with database.read() as connection:
        return [
            (
                await connection.execute(
                    text(f"SELECT count(*) FROM {table} WHERE member_id = :id"),
                    {"id": member_id},
                )
            ).scalar_one()
            for table in TABLES
        ]
