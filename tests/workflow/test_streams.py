"""From a settlement to every stream, through relay, projector and pub/sub, while the servers between fail.

Each client keeps a mirror of its board by the contract's rules. Whatever happens, in the end every mirror equals the
board, and no gap went unannounced.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from domain.clock import utc_now
from domain.leaderboard.model import BoardKey, BoardSource, RankedRow
from domain.leaderboard.projector import run_projector
from domain.leaderboard.service import Boards
from domain.match.rules import MatchScope
from domain.outbox.model import Tick
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from integrations.valkey.ticks import ProjectorTicks, publish
from live.events import Delta, Heartbeat, MatchDelta, MatchSnapshot, ResyncReason
from live.topics import Pace
from runtime.database import PostgresDatabase
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.valkey import EmbeddedValkey
from runtime.migrate import upgrade
from runtime.outage import is_outage
from tasks.loops import end
from tasks.relay import relay_once
from tests.support.football import MadeTournament, make_league, make_members, make_tournament, put_guess
from tests.support.live import QUICK, TICKS_ONLY, Process, api_process, finish, until
from tests.support.mirrors import Mirror, anyone
from tests.support.servers import temporary_data


class World:
    """A tournament with guesses, the worker's side of live updates, and two API processes."""

    def __init__(self, database: PostgresDatabase, valkey: Redis, cup: MadeTournament, boards: Boards) -> None:
        self.database = database
        self.valkey = valkey
        self.cup = cup
        self.boards = boards
        self.mirrors: list[Mirror] = []

    async def relay(self) -> None:
        await relay_once(self.database, self)

    async def jobs(self, jobs: Collection[dict[str, Any]]) -> None:
        """The queue is not what is tested here."""

    async def ticks(self, ticks: Collection[Tick]) -> None:
        await publish(self.valkey, ticks)

    async def settled(self) -> None:
        """Wait until every mirror shows what the database says."""
        for mirror in self.mirrors:
            await self.mirror_is_current(mirror)

    async def mirror_is_current(self, mirror: Mirror) -> None:
        async with asyncio.timeout(20):
            while mirror.board != await self.board():
                mirror.fail_if_broken()
                await asyncio.sleep(0.02)

    async def board(self) -> tuple[RankedRow, ...]:
        board = await self.boards.open(BoardKey(tournament_id=self.cup.id))
        assert board is not None
        return tuple(await board.window(50))


async def make_cup(database: PostgresDatabase) -> MadeTournament:
    cup = await make_tournament(database, matches=12, ruleset="kicktipp")
    for number, member_id in enumerate(await make_members(database, 8, joins=[cup])):
        for match, match_id in enumerate(cup.matches):
            await put_guess(database, cup, match_id, member_id, (number + match) % 4, number % 3)
    return cup


@asynccontextmanager
async def world_on(
    database: PostgresDatabase, valkey_url: str, pace: Pace = QUICK
) -> AsyncIterator[tuple[World, Process, Process]]:
    cup = await make_cup(database)
    async with connect(valkey_url) as valkey, connect(valkey_url) as listening:
        projection, ticks = ValkeyProjection(valkey, pause=0.2), ProjectorTicks(listening)
        worker = [
            asyncio.create_task(ticks.run()),
            asyncio.create_task(run_projector(database, projection, ticks, is_outage, poll_seconds=0.3)),
        ]
        world = World(database, valkey, cup, Boards(database, None, utc_now))
        try:
            async with (
                api_process(database, valkey_url, pace, projection) as one,
                api_process(database, valkey_url, pace, projection) as other,
            ):
                try:
                    yield world, one, other
                finally:
                    for mirror in world.mirrors:
                        await mirror.close()
        finally:
            await end(worker)


async def test_a_settlement_reaches_every_client_from_the_projection(
    database: PostgresDatabase, valkey_url: str
) -> None:
    async with world_on(database, valkey_url, TICKS_ONLY) as (world, one, other):
        key = BoardKey(tournament_id=world.cup.id)
        world.mirrors = [Mirror(one, key), Mirror(other, key)]
        await until(lambda: all(mirror.version == 0 for mirror in world.mirrors))
        await finish(database, world.cup.matches[0], 2, 1)
        await world.relay()
        await world.settled()
        for mirror in world.mirrors:
            deltas = [event for event in mirror.events if isinstance(event, Delta)]
            assert [(delta.from_version, delta.version) for delta in deltas] == [(0, 1)]
            assert deltas[0].head.source is BoardSource.PROJECTION
            assert deltas[0].head.settled_matches == 1


async def test_a_match_and_its_board_move_together(database: PostgresDatabase, valkey_url: str) -> None:
    async with world_on(database, valkey_url) as (world, one, _):
        stream = one.hub.matches(MatchScope(round_id=world.cup.rounds[0]), None, allowed=anyone).events()
        first = await anext(stream)
        assert isinstance(first, MatchSnapshot)
        await finish(database, world.cup.matches[5], 0, 0)
        await world.relay()
        event = await anext(stream)
        while isinstance(event, Heartbeat):
            event = await anext(stream)
        assert isinstance(event, MatchDelta)
        assert [(match.id, match.is_settled, match.result_revision) for match in event.matches] == [
            (world.cup.matches[5], True, 1)
        ]
        await stream.aclose()


@pytest.mark.parametrize("seed", range(3))
async def test_mirrors_stay_true_while_valkey_is_emptied_and_connections_are_cut(
    database: PostgresDatabase, valkey_url: str, seed: int
) -> None:
    async with world_on(database, valkey_url) as (world, one, other):
        league = await make_league(database, "Friends", (await world.board())[0].member_id, plays=[world.cup])
        key = BoardKey(tournament_id=world.cup.id)
        world.mirrors = [Mirror(process, key) for process in (one, other) for _ in range(5)]
        watcher = Mirror(one, BoardKey(league_id=league))
        faults: list[Callable[[], Any]] = [
            world.valkey.flushall,
            lambda: world.valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub"),
            world.relay,
            lambda: asyncio.sleep(0),  # the tick waits in the outbox: as good as lost for now
        ]
        for number, match_id in enumerate(world.cup.matches):
            await finish(database, match_id, number % 3, (number + seed) % 2)
            await world.relay()
            await faults[(number * (seed + 1) + seed) % len(faults)]()
        await world.settled()
        await until(lambda: watcher.version >= len(world.cup.matches))
        await watcher.close()
        for mirror in world.mirrors:
            mirror.fail_if_broken()
            assert mirror.version == len(world.cup.matches)
            assert set(mirror.resyncs()) <= {ResyncReason.SOURCE_RESTORED, ResyncReason.SLOW_CLIENT}


async def test_while_valkey_is_away_boards_move_and_heartbeats_tell_and_its_return_is_a_fresh_snapshot(
    database: PostgresDatabase,
) -> None:
    with temporary_data() as folder:
        server = EmbeddedValkey(folder, durable=False)
        url = await asyncio.to_thread(server.start)
        try:
            async with world_on(database, url) as (world, one, other):
                key = BoardKey(tournament_id=world.cup.id)
                world.mirrors = [Mirror(one, key), Mirror(other, key)]
                await until(lambda: all(mirror.events for mirror in world.mirrors))
                await asyncio.to_thread(server.stop)
                await finish(database, world.cup.matches[0], 1, 1)
                await world.settled()
                for mirror in world.mirrors:
                    await until(lambda: _latest_staleness(mirror) > 1_500)  # noqa: B023 awaited at once
                    assert mirror.resyncs() == []
                await asyncio.to_thread(server.start)
                await until(lambda: all(mirror.resyncs() for mirror in world.mirrors))
                await finish(database, world.cup.matches[1], 1, 1)
                await world.relay()
                await world.settled()
                for mirror in world.mirrors:
                    assert set(mirror.resyncs()) == {ResyncReason.SOURCE_RESTORED}
                    await until(lambda: _latest_staleness(mirror) < 1_500)  # noqa: B023
        finally:
            await asyncio.to_thread(server.stop)


async def test_while_postgres_is_away_streams_wait_and_its_return_is_a_fresh_snapshot(valkey_url: str) -> None:
    with temporary_data() as folder:
        server = EmbeddedPostgres(folder, durable=False)
        url = await asyncio.to_thread(server.start)
        await upgrade(url)
        database = PostgresDatabase.create(url, application_name="palpite-test")
        try:
            async with world_on(database, valkey_url) as (world, one, other):
                key = BoardKey(tournament_id=world.cup.id)
                world.mirrors = [Mirror(one, key), Mirror(other, key)]
                await until(lambda: all(mirror.events for mirror in world.mirrors))
                await asyncio.to_thread(server.stop)
                for mirror in world.mirrors:
                    await until(lambda: _latest_staleness(mirror) > 1_500)  # noqa: B023 awaited at once
                    mirror.fail_if_broken()
                await asyncio.to_thread(server.start)
                await until(lambda: all(mirror.resyncs() for mirror in world.mirrors))
                await finish(database, world.cup.matches[0], 1, 1)
                await world.settled()
                for mirror in world.mirrors:
                    assert set(mirror.resyncs()) == {ResyncReason.SOURCE_RESTORED}
        finally:
            await database.close()
            await asyncio.to_thread(server.stop)


def _latest_staleness(mirror: Mirror) -> int:
    beats = [event for event in mirror.events if isinstance(event, Heartbeat)]
    return beats[-1].staleness_ms if beats else 0
