"""A Valkey cluster of three servers in place of one: the same code, boards, ticks and limits."""

import asyncio
import gc
import os
import signal
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.asyncio import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from domain.clock import utc_now
from domain.ids import TournamentId, new_id
from domain.leaderboard.loading import load
from domain.leaderboard.model import BoardKey, BoardSource
from domain.leaderboard.ports import ProjectionUnavailable
from domain.leaderboard.projector import project, rewrite, run_projector
from domain.leaderboard.service import Boards
from domain.outbox.model import Tick, TickKind
from integrations.valkey.client import Cluster, connect, connection_for, server_of
from integrations.valkey.layout import key
from integrations.valkey.projection import ValkeyProjection
from integrations.valkey.ticks import TICKS, ProjectorTicks, TickReader, publish
from runtime.errors import SetupError
from runtime.outage import is_outage
from runtime.preflight import require_valkey
from tasks.loops import end
from tests.support.api import running_api
from tests.support.board_faults import Cup, boards_on, make_cup, projecting
from tests.support.boards import places, ranked_by_sql, walk
from tests.support.executions import until
from tests.support.football import join, make_league, make_members, make_tournament, pass_lock, put_guesses
from tests.support.settlement import in_play, play
from tests.support.valkey_cluster import NODES

if TYPE_CHECKING:
    from uuid import UUID

    from redis.asyncio import Redis

    from domain.ids import LeagueId, MemberId
    from runtime.database import PostgresDatabase
    from tests.support.football import MadeTournament


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """redis-py forgets servers of a cluster that it has looked for anew, some without closing their connections."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from tests.support.valkey_cluster import running_cluster

    with running_cluster() as url:
        yield url


@pytest.fixture
async def cluster_url(cluster: str) -> str:
    """The address of an empty cluster."""
    from tests.support.valkey_cluster import empty

    await asyncio.to_thread(empty, cluster)
    return cluster


@pytest.fixture
async def client(cluster_url: str) -> "AsyncIterator[Redis]":
    async with connect(cluster_url) as found:
        yield found


async def played(database: "PostgresDatabase", members: "list[MemberId]", number: int) -> "MadeTournament":
    made = await make_tournament(database, matches=2, label=f"Cup {number}")
    await join(database, made.id, members)
    given = [(made.matches[0], member_id, (n + number) % 3, n % 2) for n, member_id in enumerate(members)]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches)
    await play(database, made.matches[0], 2, 1)
    return made


class Heard:
    """Notes ticks."""

    def __init__(self) -> None:
        self.ticks: list[tuple[str, UUID]] = []
        self.is_subscribed = False

    def tick(self, kind: str, entity_id: "UUID", version: int | None) -> None:  # noqa: ARG002
        self.ticks.append((kind, entity_id))

    def subscribed(self) -> None:
        self.is_subscribed = True

    def heard(self) -> None:
        pass


async def test_boards_stand_on_all_servers_and_read_as_the_database_does(
    database: "PostgresDatabase", client: "Redis"
) -> None:
    members = await make_members(database, 9)
    cups = [await played(database, members, number) for number in range(8)]
    league_id: LeagueId = await make_league(database, "Friends", members[0], members=members[1:6], plays=cups)
    projection = ValkeyProjection(client)
    for cup in cups:
        assert await project(database, projection, cup.id) is not None
    boards = Boards(database, projection, utc_now)

    assert len(await projection.stamps([cup.id for cup in cups])) == len(cups)
    for cup in cups:
        board = await boards.open(BoardKey(tournament_id=cup.id))
        assert board is not None
        assert board.head.source is BoardSource.PROJECTION
        assert places(await walk(board, 2)) == await ranked_by_sql(database, tournament_id=cup.id)
        row = await board.row_of(members[4])
        assert row is not None
        assert (await board.around(members[4], 20))[row.position - 1] == row
        loaded = await load(database, cup.id)
        assert loaded is not None
        assert await projection.differences(cup.id, *loaded[1:]) == []
    await in_play(database, cups[0].id, cups[0].matches[1], 1, 0)
    assert await project(database, projection, cups[0].id) is not None
    stamp = (await projection.stamps([cups[0].id]))[cups[0].id]
    assert stamp.live == 1
    rows = await projection.rows(cups[0].id, stamp, 0, len(members))
    assert rows
    for row in rows:
        assert await projection.rows_around(cups[0].id, stamp, row.member_id, 0) == [row]
    total = await boards.open(BoardKey(league_id=league_id))
    assert total is not None
    assert total.head.source is BoardSource.PROJECTION
    assert places(await walk(total, 4)) == await ranked_by_sql(database, league_id=league_id)
    assert isinstance(client, RedisCluster)
    counts = await asyncio.gather(
        *(client.execute_command("DBSIZE", target_nodes=node) for node in client.get_primaries())
    )
    # Which server holds a tournament follows from its id: that one of three has none is not rare.
    assert sum(count > 0 for count in counts) > 1


async def test_a_board_of_a_later_version_than_there_is_is_rebuilt(
    database: "PostgresDatabase", client: "Redis"
) -> None:
    cup, projection = await played(database, await make_members(database, 5), 1), ValkeyProjection(client)
    version = await project(database, projection, cup.id)
    assert version is not None
    stamp = await client.get(key(cup.id, "stamp"))
    await client.set(key(cup.id, "stamp"), stamp.replace(b" %d " % version, b" %d " % (version + 100), 1))

    assert await rewrite(database, projection, cup.id) == version + 1

    assert (await projection.stamps([cup.id]))[cup.id].board_version == version + 1
    await projection.forget(cup.id)
    assert await projection.stamps([cup.id]) == {}


async def test_ticks_reach_every_process_and_a_flush_heals(
    database: "PostgresDatabase", cluster_url: str, client: "Redis"
) -> None:
    from tests.support.valkey_cluster import empty

    cup = await played(database, await make_members(database, 5), 0)
    heard, projection = Heard(), ValkeyProjection(client)
    async with AsyncExitStack() as stack:
        listening = await stack.enter_async_context(connect(cluster_url))
        working = await stack.enter_async_context(connect(cluster_url))
        ticks = ProjectorTicks(working)
        projector = run_projector(database, ValkeyProjection(working), ticks, is_outage, poll_seconds=1)
        tasks = [asyncio.create_task(one) for one in (TickReader(listening).listen(heard), ticks.run(), projector)]
        try:
            await until(lambda: _holds(projection, cup.id), within=20)
            await until(_answer(lambda: (TickKind.BOARD, cup.id) in heard.ticks), within=20)
            league = TournamentId(new_id())
            await publish(client, [Tick(TickKind.LEAGUE, league), Tick(TickKind.MATCHES, cup.id)])
            await until(_answer(lambda: (TickKind.LEAGUE, league) in heard.ticks), within=20)
            assert (TickKind.MATCHES, cup.id) in heard.ticks

            await asyncio.to_thread(empty, cluster_url)
            boards = Boards(database, projection, utc_now)
            found = await asyncio.gather(*(boards.open(BoardKey(tournament_id=cup.id)) for _ in range(20)))
            assert all(found)  # from the database, until the projector has been there
            await until(lambda: _holds(projection, cup.id), within=20)
        finally:
            await end(tasks)


async def test_a_cluster_that_is_away_is_said_to_be_so() -> None:
    nowhere = "redis+cluster://127.0.0.1:1"
    with pytest.raises(SetupError, match=r"^Valkey \(REDIS_URL\) cannot be used \(Redis Cluster cannot be connected"):
        await require_valkey(nowhere)
    client = connect(nowhere)
    with pytest.raises(ProjectionUnavailable):
        await ValkeyProjection(client).stamps([TournamentId(new_id())])
    with pytest.raises(RedisClusterException) as away:
        await client.info()
    await client.aclose()
    assert is_outage(away.value)


async def test_ticks_are_heard_again_after_a_failover() -> None:
    from tests.support.valkey_cluster import failing_cluster

    with failing_cluster(TICKS) as (url, kill):
        async with connect(url) as listening, connect(url) as telling:
            heard, tick = Heard(), Tick(TickKind.LEAGUE, new_id())

            async def is_heard() -> bool:
                with suppress(RedisError):  # for as long as nobody has taken over
                    await publish(telling, [tick])
                return (tick.kind, tick.id) in heard.ticks

            reader = asyncio.create_task(TickReader(listening).listen(heard))
            try:
                await until(is_heard, within=20)
                kill()
                heard.ticks.clear()
                await until(is_heard, within=40)
            finally:
                await end([reader])


async def test_who_begins_to_listen_cuts_off_nobody_of_the_same_process(client: "Redis") -> None:
    heard = Heard()
    async with connection_for(client, "any") as connection:
        await connection.send_command("PING")
        reader = asyncio.create_task(TickReader(client).listen(heard))
        try:
            await until(_answer(lambda: heard.is_subscribed), within=20)
            assert await connection.read_response() == b"PONG"
        finally:
            await end([reader])


async def test_an_api_on_a_cluster_is_ready_and_counts_attempts(
    database_url: str, cluster_url: str, tmp_path: Path
) -> None:
    await require_valkey(cluster_url)
    async with running_api(database_url, cluster_url, tmp_path, sign_in_limit=2) as api:

        async def is_ready() -> bool:
            return (await api.client().http.get("/readyz")).status_code == 200

        await until(is_ready, within=20)
        answers = [await api.client().run('{ leagueInvite(code: "x") { leagueName } }') for _ in range(3)]

    assert ["errors" in answer.body for answer in answers] == [False, False, True]
    assert answers[2].codes == ["RATE_LIMITED"]
    async with connect(cluster_url) as client:
        kept: list[Any] = [name async for name in client.scan_iter("palpite:limits:*")]
    assert len(kept) == 1


@pytest.fixture
def own_cluster() -> Iterator[str]:
    """One of which a server may go: the others serve what they have."""
    from tests.support.valkey_cluster import running_cluster

    with running_cluster() as url:
        with redis.RedisCluster.from_url(url.replace("+cluster", "")) as client:
            client.config_set("cluster-require-full-coverage", "no", target_nodes=redis.RedisCluster.PRIMARIES)
        yield url


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_a_server_that_is_away_keeps_no_board_of_the_others_behind(
    database: "PostgresDatabase", own_cluster: str, how: signal.Signals
) -> None:
    async with connect(own_cluster) as client, AsyncExitStack() as stack:
        await client.initialize()
        cups: dict[str, Cup] = {}
        while len(cups) < NODES:
            cup = await make_cup(database, matches=1, members=3)
            cups[server_of(client, key(cup.made.id, "stamp"))] = cup
        await stack.enter_async_context(projecting(database, own_cluster))  # not of cups that are made only in part
        boards = boards_on(database, client)
        for cup in cups.values():
            await cup.until_projected(boards, within=20)
        away, *others = cups
        pid = (await client.info("server", target_nodes=client.get_node(node_name=away)))["process_id"]  # type: ignore[attr-defined, call-arg]

        os.kill(pid, how)
        for cup in cups.values():
            await cup.move()

        for name in others:
            await cups[name].until_projected(boards, within=60)
        assert await cups[away].assert_true(boards) is BoardSource.DATABASE
        projection = ValkeyProjection(client, timeout=5, pause=0)
        ids, healthy = [cup.made.id for cup in cups.values()], {cups[name].made.id for name in others}

        async def is_told() -> bool:  # while the servers are looked for anew another one may be missed too
            with suppress(ProjectionUnavailable):
                return set(await projection.stamps(ids)) == healthy
            return False

        await until(is_told, within=20)


async def test_no_reader_waits_until_the_servers_of_a_cluster_that_hangs_are_looked_for(own_cluster: str) -> None:
    others = asyncio.all_tasks()
    async with connect(own_cluster) as client:
        assert isinstance(client, Cluster)
        projection, ids = ValkeyProjection(client, pause=0), [TournamentId(new_id()) for _ in range(6)]
        assert await projection.stamps(ids) == {}
        servers = client.get_primaries()
        pids = [(await client.info("server", target_nodes=node))["process_id"] for node in servers]  # type: ignore[call-arg]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            for tournament_id in ids:
                began = monotonic()
                with pytest.raises(ProjectionUnavailable):
                    await projection.stamps([tournament_id])
                assert monotonic() - began < 1  # a reader waits for half a second; the look takes a whole one
            looks = asyncio.all_tasks() - others
            assert 1 <= len(looks) <= NODES
            began = monotonic()
            await client.aclose()
            assert monotonic() - began < 0.5
            assert all(look.done() for look in looks)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

        assert await projection.stamps(ids) == {}


async def _holds(projection: ValkeyProjection, tournament_id: TournamentId) -> bool:
    try:
        return tournament_id in await projection.stamps([tournament_id])
    except ProjectionUnavailable:  # a busy machine
        return False


def _answer(condition: Any) -> Any:
    async def answer() -> bool:
        return bool(condition())

    return answer
