"""The projector among many tournaments: what one of them does or suffers leaves the others as they are."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from domain.member.tables import installation
from domain.outbox.model import Tick, TickKind
from domain.settlement.tables import member_scores
from domain.tournament.model import TournamentStatus
from domain.tournament.store import raise_versions
from domain.tournament.tables import tournaments
from integrations.valkey.layout import key
from integrations.valkey.projection import ValkeyProjection
from integrations.valkey.ticks import publish
from tasks.loops import end
from tests.support.board_faults import Cup, boards_on, make_cup, projecting
from tests.support.executions import until

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase


async def until_shown(valkey: "Redis", cup: Cup, version: int, *, within: float = 10) -> None:
    projection = ValkeyProjection(valkey, timeout=5)

    async def is_shown() -> bool:
        stamp = (await projection.stamps([cup.made.id])).get(cup.made.id)
        return stamp is not None and stamp.board_version == version

    await until(is_shown, within=within)


@asynccontextmanager
async def ticking(valkey: "Redis", cup: Cup) -> AsyncIterator[None]:
    """Ticks of a tournament, much more often than everything is compared."""

    async def tick() -> None:
        while True:
            await publish(valkey, [Tick(TickKind.BOARD, cup.made.id)])
            await asyncio.sleep(0.05)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        await end([task])


async def test_everything_is_compared_while_ticks_of_one_tournament_keep_coming(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str
) -> None:
    busy, quiet = [await make_cup(database, matches=1, members=3) for _ in range(2)]
    version = max(quiet.boards)
    async with projecting(database, valkey_url, poll_seconds=0.5), ticking(valkey, busy):
        await until_shown(valkey, quiet, version)

        async with database.begin() as connection:
            await raise_versions(connection, quiet.made.id, board=True)  # its tick is lost
        await until_shown(valkey, quiet, version + 1)

        await valkey.flushall()
        await until_shown(valkey, quiet, version + 1)

        before = await epoch(database)
        async with database.begin() as connection:
            await connection.execute(update(installation).values(identity="restored/1/1/1"))

        async def is_noticed() -> bool:
            return await epoch(database) != before

        await until(is_noticed, within=10)


async def epoch(database: "PostgresDatabase") -> str:
    async with database.read() as connection:
        return str((await connection.execute(select(installation.c.epoch))).scalar_one())


async def test_many_projectors_write_a_version_once(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str
) -> None:
    cup = await make_cup(database, matches=3, members=3)
    boards = boards_on(database, valkey)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(projecting(database, valkey_url, poll_seconds=0.3))
        await cup.until_projected(boards, within=10)
        before = await writes(valkey)
        for number in (1, 2):
            await cup.move()
            await publish(valkey, [Tick(TickKind.BOARD, cup.made.id)])
            await cup.until_projected(boards, within=10)
            assert await writes(valkey) - before == number
        await valkey.flushall()
        await asyncio.gather(*(boards.open(cup.key) for _ in range(100)))
        await cup.until_projected(boards, within=10)
        await asyncio.sleep(1)  # nothing is to follow
        assert await writes(valkey) - before == 3


async def test_a_projector_that_was_killed_holds_up_the_others_as_long_as_its_claim(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str
) -> None:
    cup = await make_cup(database, matches=1, members=3)
    claim = key(cup.made.id, "claim")
    await valkey.set(claim, b"dead", px=1500)
    async with projecting(database, valkey_url, poll_seconds=30):  # nobody waits for that
        while await valkey.exists(claim):
            assert await ValkeyProjection(valkey).stamps([cup.made.id]) == {} or not await valkey.exists(claim)
            await asyncio.sleep(0.05)
        await until_shown(valkey, cup, max(cup.boards), within=5)


async def test_everything_is_compared_once_ticks_are_heard_again(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str
) -> None:
    cup = await make_cup(database, matches=1, members=3)
    async with projecting(database, valkey_url, poll_seconds=60):
        await until_shown(valkey, cup, max(cup.boards))
        async with database.begin() as connection:  # its tick is lost
            await raise_versions(connection, cup.made.id, board=True)
        assert await valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub") >= 1
        await until_shown(valkey, cup, max(cup.boards) + 1)


async def writes(valkey: "Redis") -> int:
    """How many boards were written: the sorted set of a small one is made by one command."""
    found: int = (await valkey.info("commandstats")).get("cmdstat_zadd", {}).get("calls", 0)
    return found


async def test_boards_that_cannot_be_ranked_hold_up_no_other_and_are_told_once(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    *broken, good = [await make_cup(database, matches=1, members=3) for _ in range(4)]
    async with projecting(database, valkey_url, poll_seconds=30):  # none of them waits for that
        for cup in (*broken, good):
            await until_shown(valkey, cup, max(cup.boards))
        for cup in broken:
            await set_facts(database, cup, 3_000)
        for _ in range(2):
            async with database.begin() as connection:
                for cup in (*broken, good):
                    await raise_versions(connection, cup.made.id, board=True)
            await publish(valkey, [Tick(TickKind.BOARD, cup.made.id) for cup in (*broken, good)])
        await until_shown(valkey, good, max(good.boards) + 2)

    told = [record for record in caplog.records if record.name == "domain.leaderboard.projector"]
    assert sorted(str(record.args[0]) for record in told if record.args) == sorted(str(cup.made.id) for cup in broken)
    assert not any(record.exc_info for record in told)
    assert "cannot be ranked" in told[0].getMessage()


async def test_a_board_that_cannot_be_ranked_is_told_once_though_another_worker_tries_it_too(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    cup, other = await make_cup(database, matches=1, members=3), ValkeyProjection(valkey)
    await set_facts(database, cup, 3_000)
    async with projecting(database, valkey_url, poll_seconds=0.1):
        for _ in range(4):
            async with other.claim(cup.made.id):
                await asyncio.sleep(0.25)
            await asyncio.sleep(0.4)

    told = [record for record in caplog.records if record.name == "domain.leaderboard.projector"]
    assert len(told) == 1


async def test_what_failed_is_tried_again_at_the_next_comparison(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    cup = await make_cup(database, matches=1, members=3)
    over = {"status": TournamentStatus.COMPLETED}  # no comparison finds it
    async with database.begin() as connection:
        await connection.execute(update(tournaments).where(tournaments.c.id == cup.made.id).values(over))
    await set_facts(database, cup, 3_000)
    async with projecting(database, valkey_url):

        async def is_told() -> bool:
            await publish(valkey, [Tick(TickKind.BOARD, cup.made.id)])
            return "cannot be ranked" in caplog.text

        with caplog.at_level(logging.WARNING):
            await until(is_told, within=10)
        await set_facts(database, cup, 0)
        await until_shown(valkey, cup, max(cup.boards))

        caplog.clear()  # what fails anew is told anew
        await set_facts(database, cup, 3_000)
        async with database.begin() as connection:
            await raise_versions(connection, cup.made.id, board=True)
        with caplog.at_level(logging.WARNING):
            await until(is_told, within=10)


async def set_facts(database: "PostgresDatabase", cup: Cup, number: int) -> None:
    """With thousands the board cannot be ranked."""
    facts = dict.fromkeys(("outcome", "goal_difference", "exact"), number)
    async with database.begin() as connection:
        scores = update(member_scores).where(member_scores.c.tournament_id == cup.made.id)
        await connection.execute(scores.values(facts))
