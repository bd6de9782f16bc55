"""The queue flushed or away, the database restarted or cut off at any byte: what was accepted is done, once."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.ids import ExecutionId, MemberId
from domain.match.model import Goals
from runtime.database import PostgresDatabase
from runtime.embedded.valkey import EmbeddedValkey
from tests.support.campaign import seeded, times
from tests.support.corrections import assert_proven
from tests.support.cut_proxy import CutProxy, postgres_through_proxy
from tests.support.executions import ended, moving, read_one, until
from tests.support.football import MadeTournament, make_members, make_tournament, pass_lock, put_guess
from tests.support.oracles import assert_effects_once, assert_none_lost, assert_settled_once, states
from tests.support.servers import TestPostgres, running_postgres, temporary_data
from tests.support.settlement import accept, expected_facts
from tests.support.workers import REAL, Workers, all_over, queue_acts, workers

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.ids import MatchId

pytestmark = pytest.mark.timeout(3600)

QUEUED = 100
SLOW = ["slow", "slow", "slow", "write"]


@pytest.fixture
def own_postgres() -> Iterator[TestPostgres]:
    """A server that only this test uses."""
    with running_postgres(durable=True) as server:
        yield server


async def test_a_flushed_queue_loses_none_of_a_hundred_executions(
    database: PostgresDatabase, valkey: "Redis", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    rng, flushes = seeded("FLUSHALL"), times(4, 20)
    made = await make_tournament(database, matches=QUEUED)
    sent = await queue_acts(database, made.matches, ["slow", "write"], tries=2)
    async with moving(database, valkey_url, tmp_path, resend_after=2):
        for _ in range(2):
            await crew.start()
        for _ in range(flushes):
            await asyncio.sleep(rng.uniform(0, 1))
            await valkey.flushall()
        await all_over(database, within=120)

    await assert_none_lost(database, sent)
    await assert_effects_once(database, 2)
    assert {(await read_one(database, one)).attempt for one in sent} == {1}  # no worker was lost, so no try was


async def test_the_queue_may_be_away_for_twenty_seconds(
    database: PostgresDatabase, database_url: str, tmp_path: Path
) -> None:
    away = times(8, 20)
    made = await make_tournament(database, matches=24)
    with temporary_data() as folder:
        server = EmbeddedValkey(folder, durable=False)
        url = server.start()
        try:
            async with workers(database, database_url, url, tmp_path) as crew, moving(database, url, tmp_path):
                await crew.start()
                before = await queue_acts(database, made.matches[:12], SLOW)
                await until(lambda: _is_running(database), within=60)
                server.stop()
                began = monotonic()
                during: list[ExecutionId] = []
                for match in made.matches[12:]:
                    asked = monotonic()
                    during += await queue_acts(database, [match], SLOW)
                    assert monotonic() - asked < 5
                await asyncio.sleep(max(0, began + away - monotonic()))
                server.start()
                await all_over(database, within=60)
        finally:
            server.stop()

    await assert_none_lost(database, [*before, *during])
    await assert_effects_once(database, len(SLOW))
    assert set((await states(database)).values()) == {"COMPLETED"}


async def test_the_database_may_be_restarted_in_the_middle_of_steps(
    own_postgres: TestPostgres, valkey_url: str, tmp_path: Path
) -> None:
    rng, restarts = seeded("Postgres restart"), times(2, 10)
    url = await own_postgres.create_database()
    database = PostgresDatabase.create(url)
    try:
        made = await make_tournament(database, matches=6 * restarts)
        sent: list[ExecutionId] = []
        async with (
            workers(database, url, valkey_url, tmp_path) as crew,
            moving(database, valkey_url, tmp_path, resend_after=2),
        ):
            await crew.start()
            for turn in range(restarts):
                sent += await queue_acts(database, made.matches[6 * turn :][:6], SLOW)
                await until(lambda: _is_running(database), within=60)
                await asyncio.sleep(rng.uniform(0, 1))
                own_postgres.restart_at_once()
                await until(lambda: _answers(database), within=60)
            await all_over(database, within=120)
        await assert_none_lost(database, sent)
        await assert_effects_once(database, len(SLOW))
        assert set((await states(database)).values()) == {"COMPLETED"}
    finally:
        await database.close()


async def test_f2_a_connection_cut_at_any_byte_settles_each_match_once(
    database: PostgresDatabase, database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    everywhere = range(200, 40_001, 200)
    rng = seeded("F2")
    positions = rng.sample(everywhere, times(10, len(everywhere)))
    made = await make_tournament(database, matches=20 * len(positions))
    members = await make_members(database, 2, joins=[made])
    used: list[MatchId] = []
    with temporary_data() as folder:
        async with (
            postgres_through_proxy(database_url, folder) as (proxy, cut_url),
            workers(database, cut_url, valkey_url, tmp_path) as crew,
            moving(database, valkey_url, tmp_path, resend_after=1),
        ):
            await crew.start(REAL)
            for cuts, position in enumerate(positions):
                proxy.cut_after(position)
                while proxy.cuts == cuts:  # a settlement is some thousand bytes
                    used.append(made.matches[len(used)])
                    await _end_match(database, made, used[-1], members)
                    await ended(database, await _settlement_of(database, used[-1]), within=60)
            await all_over(database)

    assert set((await states(database)).values()) == {"COMPLETED"}
    await assert_none_lost(database, await states(database))
    await assert_settled_once(database, len(used))
    await assert_proven(database, made.id)
    assert await _scores(database) == await expected_facts(database, dict.fromkeys(used, Goals(2, 1)), members)


async def test_a_worker_starts_though_its_database_is_cut_off_meanwhile(
    database: PostgresDatabase, database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    everywhere = range(50, 6_001, 50)  # to look for the revision takes some thousand bytes
    positions = [*seeded("start").sample(everywhere, times(8, len(everywhere)))]
    with temporary_data() as folder:
        async with (
            postgres_through_proxy(database_url, folder) as (proxy, cut_url),
            workers(database, cut_url, valkey_url, tmp_path) as crew,
        ):
            for cuts, position in enumerate(positions):
                proxy.cut_after(position)
                worker = await crew.start()
                await until(lambda done=cuts + 1: _were_cut_and_started(proxy, crew, done), within=30)
                worker.send(signal.SIGTERM)
                assert await worker.wait() == 0


async def _were_cut_and_started(proxy: CutProxy, crew: Workers, count: int) -> bool:
    return proxy.cuts >= count and len(crew.lines("worker_ready")) >= count


async def _end_match(
    database: PostgresDatabase, made: MadeTournament, match_id: "MatchId", members: Sequence[MemberId]
) -> None:
    """A match that two members have guessed, one of them right, ends two to one."""
    await put_guess(database, made, match_id, members[0], 2, 1)
    await put_guess(database, made, match_id, members[1], 0, 1)
    await pass_lock(database, match_id)
    await accept(database, match_id, 2, 1)


async def _settlement_of(database: PostgresDatabase, match_id: "MatchId") -> ExecutionId:
    async with database.read() as connection:
        statement = text("SELECT id FROM executions WHERE match_id = :id")
        return ExecutionId((await connection.execute(statement, {"id": match_id})).scalar_one())


async def _scores(database: PostgresDatabase) -> dict[MemberId, tuple[int, ...]]:
    facts = "outcome, goal_difference, home_goals, away_goals, exact"
    statement = text(f"SELECT member_id, {facts} FROM member_scores WHERE basis = 'AFTER_EXTRA_TIME'")
    async with database.read() as connection:
        return {MemberId(row[0]): tuple(row[1:]) for row in await connection.execute(statement)}


async def _answers(database: PostgresDatabase) -> bool:
    with suppress(Exception):
        async with database.read() as connection:
            return bool((await connection.execute(text("SELECT 1"))).scalar_one() == 1)
    return False


async def _is_running(database: PostgresDatabase) -> bool:
    return "IN_PROGRESS" in (await states(database)).values()
