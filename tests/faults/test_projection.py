"""Boards while Valkey is killed, flushed, stopped, full or older than the database, and the database than Valkey."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from domain.leaderboard.model import BoardSource
from domain.leaderboard.projector import project
from domain.leaderboard.service import Boards
from domain.member.model import PlatformRole
from domain.tournament.store import raise_versions
from integrations.valkey.client import connect
from integrations.valkey.layout import PARTS, key
from integrations.valkey.projection import ValkeyProjection
from live.events import ResyncReason, StreamPosition
from runtime.database import PostgresDatabase
from tests.support.api import running_api
from tests.support.api_world import begin_session
from tests.support.board_faults import (
    CommandCount,
    Cup,
    OwnValkey,
    attempt,
    boards_on,
    make_cup,
    own_valkey,
    projecting,
)
from tests.support.boards import Places, places
from tests.support.campaign import is_campaign, seeded, times
from tests.support.executions import running, until
from tests.support.football import make_member
from tests.support.graphql_client import id_of
from tests.support.live import QUICK, api_process
from tests.support.mirrors import Mirror
from tests.support.oracles import states
from tests.support.servers import TestPostgres, running_postgres
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from domain.execution.run import Run
    from tests.support.api import Api

pytestmark = pytest.mark.timeout(3600)


# ---------------------------------------------------------------- Valkey at every command of the projector


async def test_valkey_may_be_killed_before_any_command_of_the_projector(database: PostgresDatabase) -> None:
    """It comes back with what was on its disk: the old board, the new one, or the new one half staged."""
    cup = await make_cup(database, matches=40, members=300 if is_campaign() else 4)
    with own_valkey(durable=True) as server:
        async with connect(server.url) as client:
            boards = boards_on(database, client)
            write = partial(_write, database, client, cup)
            await write()
            await cup.move()
            with CommandCount(None, server.kill) as counted:
                await write()
            assert counted.sent > 8
            for position in range(counted.sent):
                await cup.move()
                with CommandCount(position, server.kill):
                    assert not await attempt(write())
                assert await cup.assert_true(boards) is BoardSource.DATABASE
                server.start_again()
                await _until_written(write)
                assert await cup.assert_true(boards_on(database, client)) is BoardSource.PROJECTION
            await _assert_nothing_stays(client, cup)


async def _write(database: PostgresDatabase, client: Any, cup: Cup) -> None:
    """What the projector does for a board that moved."""
    projection = ValkeyProjection(client, pause=0)
    await projection.stamps([cup.made.id])
    assert await project(database, projection, cup.made.id) is not None


async def _until_written(write: Callable[[], Awaitable[None]]) -> None:
    async def is_written() -> bool:
        return await attempt(write())

    await until(is_written, within=20)


async def _assert_nothing_stays(client: Any, cup: Cup) -> None:
    """Whatever is no part of the board goes by itself."""
    kept = {key(cup.made.id, name).encode() for name in ("stamp", "salt", *PARTS)}
    for name in await client.keys("*"):
        assert name in kept or await client.ttl(name) > 0, name


# ---------------------------------------------------------------- flushed while it is read


async def test_f5_flushed_in_the_middle_of_reads_and_streams(database: PostgresDatabase, valkey_url: str) -> None:
    rng, flushes, streams = seeded("F5"), times(4, 20), times(20, 200)
    cup = await make_cup(database, matches=3 * flushes)
    done = asyncio.Event()
    reads: list[tuple[BoardSource, int, Places]] = []
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(valkey_url))
        await stack.enter_async_context(projecting(database, valkey_url))
        projection = ValkeyProjection(client, pause=0.2)
        one = await stack.enter_async_context(api_process(database, valkey_url, QUICK, projection))
        mirrors = [Mirror(one, cup.key) for _ in range(streams)]
        boards = boards_on(database, client)
        await cup.until_projected(boards, within=20)

        async def read() -> None:
            while not done.is_set():
                board = await cup.read(boards)
                rows = (await board.page(first=4)).rows
                reads.append((board.head.source, board.head.version, places(rows)))

        readers = [asyncio.create_task(read()) for _ in range(3)]
        for _ in range(flushes):
            await asyncio.sleep(rng.uniform(0, 0.3))
            await cup.move()
            await client.flushall()
            await cup.move()
            await cup.move()
            await cup.until_projected(boards, within=5)
        done.set()
        await asyncio.gather(*readers)
        async with asyncio.timeout(5):
            while {mirror.version for mirror in mirrors} != {max(cup.boards)}:
                for mirror in mirrors:
                    mirror.fail_if_broken()
                await asyncio.sleep(0.02)
        rows = await (await cup.read(boards)).window(50)
        assert all(mirror.board == tuple(rows) for mirror in mirrors)
        for mirror in mirrors:
            await mirror.close()
    assert {source for source, _, _ in reads} == {BoardSource.PROJECTION, BoardSource.DATABASE}
    noted = [(cup.boards[version][:4], rows) for _, version, rows in reads if version in cup.boards]
    assert len(noted) > flushes
    assert [one for one in noted if one[0] != one[1]] == []


# ---------------------------------------------------------------- restored from an old dump


async def test_a_valkey_restored_from_an_old_dump_is_brought_up_to_date(database: PostgresDatabase) -> None:
    cup = await make_cup(database, matches=4)
    with own_valkey() as server:
        async with connect(server.url) as client:
            await cup.move()
            await _write(database, client, cup)
            await client.save()
            for _ in range(3):
                await cup.move()
            await _write(database, client, cup)
            server.kill()
            server.start_again()

            stamp = (await ValkeyProjection(client, pause=0).stamps([cup.made.id]))[cup.made.id]
            assert stamp.board_version < max(cup.boards)
            boards = boards_on(database, client)
            assert await cup.assert_true(boards) is BoardSource.DATABASE
            async with projecting(database, server.url):
                await cup.until_projected(boards, within=20)


# ---------------------------------------------------------------- the database restored


@pytest.fixture
def own_postgres() -> Any:
    with running_postgres(durable=True) as server:
        yield server


@pytest.mark.parametrize("how", ["dump", "files"])
async def test_f22_a_database_restored_to_an_earlier_time_begins_a_new_epoch(
    own_postgres: TestPostgres, valkey_url: str, tmp_path: Path, how: str
) -> None:
    """A dump is noticed by the identity of the database; files by the versions that Valkey has seen, or the log."""
    url = await own_postgres.create_database()
    database = PostgresDatabase.create(url)
    try:
        cup = await make_cup(database, matches=6)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(connect(valkey_url))
            boards = boards_on(database, client)
            process = await stack.enter_async_context(
                api_process(database, valkey_url, QUICK, ValkeyProjection(client, pause=0.2))
            )
            await stack.enter_async_context(projecting(database, valkey_url))
            early = await cup.move()
            await cup.until_projected(boards, within=20)
            copy = await _copy(own_postgres, url, tmp_path, how)
            for _ in range(3):
                late = await cup.move()
            await cup.until_projected(boards, within=20)
            epoch = (await cup.read(boards)).head.epoch
            watching = Mirror(process, cup.key)
            await until(_answer(lambda: watching.version == late), within=20)

            await _restore(own_postgres, url, copy, how)
            cup.boards = {early: cup.boards[early]}
            cup.played = 1

            await until(partial(_is_new_epoch, cup, boards, epoch), within=20)
            await cup.until_projected(boards, within=20)
            await until(_answer(lambda: watching.version == early), within=20)
            assert ResyncReason.UNKNOWN_EPOCH in watching.resyncs()
            returning = Mirror(process, cup.key, StreamPosition(epoch, late))
            await until(_answer(lambda: len(returning.events) > 1), within=20)
            assert returning.resyncs() == [ResyncReason.UNKNOWN_EPOCH]
            assert await cup.move() > early
            await cup.until_projected(boards, within=20)
            await until(_answer(lambda: watching.version == returning.version == max(cup.boards)), within=20)
            for mirror in (watching, returning):
                assert mirror.board == tuple(await (await cup.read(boards)).window(50))
                await mirror.close()
        async with database.read() as connection:
            acts = (await connection.execute(text("SELECT action FROM audit_log"))).scalars().all()
        assert list(acts) == ["newEpoch"]
    finally:
        await database.close()


async def _is_new_epoch(cup: Cup, boards: Boards, epoch: str) -> bool:
    try:
        return (await cup.read(boards)).head.epoch != epoch
    except Exception:  # noqa: BLE001 - the database is on its way back
        return False


async def _copy(server: TestPostgres, url: str, folder: Path, how: str) -> Path:
    if how == "dump":
        await asyncio.to_thread(server.dump, url, folder / "copy.sql")
        return folder / "copy.sql"
    await asyncio.to_thread(server.copy_files, folder / "files")
    return folder / "files"


async def _restore(server: TestPostgres, url: str, copy: Path, how: str) -> None:
    if how == "dump":
        await server.restore(url, copy)
    else:
        await asyncio.to_thread(server.replace_files, copy)


# ---------------------------------------------------------------- Valkey away, hung, full


def _kill(server: OwnValkey) -> Callable[[], None]:
    server.kill()
    return server.start_again


def _stop(server: OwnValkey) -> Callable[[], None]:
    os.kill(server.pid, signal.SIGSTOP)
    return partial(os.kill, server.pid, signal.SIGCONT)


def _fill(server: OwnValkey) -> Callable[[], None]:
    import redis

    def limit(size: str) -> None:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", size)

    limit("1")
    return partial(limit, "0")


@pytest.mark.parametrize(
    ("fault", "away"),
    [(_kill, times(4, 600)), (_stop, times(4, 30)), (_fill, times(4, 30))],
    ids=["killed", "stopped", "full"],
)
async def test_f6_without_valkey_boards_are_read_and_commands_accepted(
    database: PostgresDatabase,
    database_url: str,
    tmp_path: Path,
    fault: Callable[[OwnValkey], Callable[[], None]],
    away: float,
) -> None:
    """Away for `away` seconds."""
    cup = await make_cup(database, matches=4)
    root = await make_member(database, "Root", role=PlatformRole.ADMIN)
    done: list[str] = []

    async def work(run: "Run") -> None:
        done.append(str(run.execution.id))

    with own_valkey() as server:
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(running_api(database_url, server.url, tmp_path / "api"))
            await stack.enter_async_context(projecting(database, server.url))
            await stack.enter_async_context(running(database, server.url, tmp_path, work, resend_after=1))
            admin = api.client(await begin_session(api, root))
            await until(partial(_is_ready, api), within=20)
            await until(partial(_is_read_from, api, cup, BoardSource.PROJECTION), within=20)

            mend = await asyncio.to_thread(fault, server)
            await cup.move()
            slowest, sources = await _read_for(api, cup, away)
            wanted = {"rebuildProjection": {"tournamentId": id_of("Tournament", cup.made.id)}}
            accepted = await admin.operation("runOperation", input={"operation": wanted, "reason": "while away"})
            health = [(await api.client().http.get(path)).status_code for path in ("/healthz", "/readyz")]
            await asyncio.to_thread(mend)

            sys.stderr.write(f"F6: away for {away} s, the slowest read took {slowest:.2f} s\n")
            assert sources == {"DATABASE"}
            assert accepted.data["runOperation"]["execution"]["state"] == "QUEUED"
            assert health == [200, 503]
            async with asyncio.timeout(60):
                await until(partial(_is_ready, api), within=60)
                await until(partial(_is_read_from, api, cup, BoardSource.PROJECTION), within=60)
                await until(partial(_is_all_done, database), within=60)
    assert done
    assert slowest < (1 if is_campaign() else 3)  # beside other tests each turn is waited for


async def test_a_full_valkey_has_no_board_read_that_it_would_not_take(
    database: PostgresDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    cup = await make_cup(database, matches=1)
    with own_valkey() as server:
        async with projecting(database, server.url, poll_seconds=0.1), connect(server.url) as client:
            projection = ValkeyProjection(client)

            async def version() -> int | None:
                stamp = (await projection.stamps([cup.made.id])).get(cup.made.id)
                return None if stamp is None else stamp.board_version

            async def has_been_tried_again() -> bool:
                return "maxmemory" in caplog.text and len(sent) > 20

            first = max(cup.boards)
            await until(lambda: _is(version, first), within=10)
            mend = await asyncio.to_thread(_fill, server)
            with recorded_statements(database) as sent:
                async with database.begin() as connection:
                    await raise_versions(connection, cup.made.id, board=True)
                await until(has_been_tried_again, within=10)
            assert not any("string_agg" in statement for statement in sent)
            assert await version() == first

            await asyncio.to_thread(mend)
            await until(lambda: _is(version, first + 1), within=10)


async def _is(read: Callable[[], Awaitable[object]], wanted: object) -> bool:
    return await read() == wanted


async def _read_for(api: "Api", cup: Cup, seconds: float) -> tuple[float, set[str]]:
    """How long the slowest read took in that time, and what boards came from."""
    began, slowest, sources = monotonic(), 0.0, set()
    while monotonic() - began < seconds:
        asked = monotonic()
        sources.add(await _source(api, cup))
        slowest = max(slowest, monotonic() - asked)
        await asyncio.sleep(0.02)
    return slowest, sources


async def _source(api: "Api", cup: Cup) -> str:
    answer = await api.client().operation("tournamentLeaderboard", id=id_of("Tournament", cup.made.id), first=10)
    assert answer.body.get("errors") is None, answer.body
    board = answer.data["tournament"]["leaderboard"]
    assert len(board["rows"]["edges"]) == 10
    assert board["freshness"]["stalenessMs"] == 0
    return str(board["freshness"]["source"])


async def _is_read_from(api: "Api", cup: Cup, source: BoardSource) -> bool:
    return await _source(api, cup) == source.value


async def _is_ready(api: "Api") -> bool:
    return bool((await api.client().http.get("/readyz")).status_code == 200)


async def _is_all_done(database: PostgresDatabase) -> bool:
    return set((await states(database)).values()) <= {"COMPLETED"}


def _answer(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def answer() -> bool:
        return condition()

    return answer
