"""The state of operations as admins read and follow it: by query, by stream, with and without ticks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from time import monotonic
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis
from sqlalchemy import text, update

from domain.errors import Forbidden, Unavailable
from domain.execution.model import Operation
from domain.execution.status.model import OperationsStatus, ProcessKind
from domain.ids import new_id
from domain.member.model import PlatformRole
from domain.member.tables import members
from domain.outbox.model import TickKind
from domain.tournament.model import Provider
from live.topics import Pace
from runtime.database import PostgresDatabase
from runtime.database_url import parse_database_url
from tests.support.api import Api, Stream, open_stream, served
from tests.support.api_world import begin_session, make_world
from tests.support.executions import queue
from tests.support.graphql_client import read_operation
from tests.support.live import QUICK, TICKS_ONLY, Process, api_process, relay, until
from tests.support.operations import of, put_dead_letter, put_process, put_queued
from tests.support.statements import recorded_statements, until_one_waits

PATIENCE = 30.0
"""Seconds that a slow machine may take for what takes moments."""


async def anyone() -> str | None:
    return None


def follow(process: Process) -> AsyncIterator[OperationsStatus]:
    return process.hub.operations(allowed=anyone)


async def event(stream: AsyncIterator[OperationsStatus]) -> OperationsStatus:
    """The next event."""
    return await asyncio.wait_for(anext(stream), PATIENCE)


def readings(statements: list[str]) -> int:
    """How often the status was read."""
    return sum("FROM dead_letters" in statement for statement in statements)


# ---------------------------------------------------------------- the hub


async def test_the_present_state_comes_first_and_a_tick_brings_the_next(
    database: PostgresDatabase, valkey: Redis, valkey_url: str
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process)
        assert of(await event(stream), Operation.SETTLE_PENDING).queued == 0

        await queue(database, operation=Operation.SETTLE_PENDING)
        await relay(database, valkey)
        changed = await event(stream)

    assert of(changed, Operation.SETTLE_PENDING).queued == 1


async def test_a_change_without_any_tick_shows_with_the_next_poll(database: PostgresDatabase, valkey_url: str) -> None:
    async with api_process(database, valkey_url, Pace()) as process:
        stream = follow(process)
        await event(stream)
        await put_process(database, ProcessKind.WORKER, silent=0)
        began = monotonic()
        assert (await event(stream)).workers == 1
        took = monotonic() - began

    assert took < 10  # about two seconds on a machine that is not busy


async def test_a_change_without_any_tick_shows_when_ticks_are_heard_again(
    database: PostgresDatabase, valkey: Redis, valkey_url: str
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process)
        await event(stream)
        await put_process(database, ProcessKind.WORKER, silent=0)
        assert await valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
        assert (await event(stream)).workers == 1


async def test_what_does_not_change_sends_nothing(database: PostgresDatabase, valkey_url: str) -> None:
    async with api_process(database, valkey_url, QUICK) as process:
        stream = follow(process)
        first = await event(stream)
        with recorded_statements(database) as statements:
            next_one = asyncio.ensure_future(event(stream))
            await until(lambda: readings(statements) >= 5)
            assert not next_one.done()
            await put_dead_letter(database, Operation.INGEST_TEAMS)
            second = await next_one

    assert of(first, Operation.INGEST_TEAMS).dead_letters == 0
    assert of(second, Operation.INGEST_TEAMS).dead_letters == 1
    assert second.at > first.at


async def test_however_fast_things_change_there_is_one_event_a_second(
    database: PostgresDatabase, valkey_url: str
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process)
        moments = [(await event(stream)).at]
        for _ in range(3):
            for _ in range(20):
                await put_process(database, ProcessKind.WORKER, silent=0)
                process.hub.tick(TickKind.EXECUTION, new_id(), None)
            moments.append((await event(stream)).at)

    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    assert min(gaps) >= 0.99  # the server's clock and this process's may be apart by milliseconds


async def test_a_reading_that_takes_long_brings_the_next_event_no_nearer(
    database: PostgresDatabase, valkey_url: str
) -> None:
    moments = []
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process)
        await event(stream)
        async with database.begin() as other:
            await other.execute(text("LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE"))
            await put_process(database, ProcessKind.WORKER, silent=0)
            process.hub.tick(TickKind.EXECUTION, new_id(), None)
            await until_one_waits(database)
            await asyncio.sleep(0.5)
        for _ in range(2):
            await event(stream)
            moments.append(monotonic())
            await put_process(database, ProcessKind.WORKER, silent=0)
            process.hub.tick(TickKind.EXECUTION, new_id(), None)

    assert moments[1] - moments[0] >= 0.9  # from the end of the slow one, which this process may hear of late


async def test_one_reading_serves_all_who_watch(database: PostgresDatabase, valkey_url: str) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        streams = [follow(process) for _ in range(50)]
        with recorded_statements(database) as statements:
            firsts = await asyncio.gather(*map(event, streams))
            began = readings(statements)
            await put_process(database, ProcessKind.WORKER, silent=0)
            process.hub.tick(TickKind.EXECUTION, new_id(), None)
            seconds = await asyncio.gather(*map(event, streams))

    assert {first.workers for first in firsts} == {0}
    assert {second.workers for second in seconds} == {1}
    assert 1 <= began <= 2  # those that came during the first reading may have had a second one made
    assert readings(statements) == began + 1


async def test_nobody_reads_while_nobody_watches(
    database: PostgresDatabase, database_url: str, valkey_url: str
) -> None:
    """The other process, which is watched, tells how often this one would have read."""
    other = PostgresDatabase.create(database_url)
    async with (
        api_process(database, valkey_url, QUICK) as idle,
        api_process(other, valkey_url, QUICK) as watched,
    ):
        left = follow(idle)
        await event(left)
        await left.aclose()  # type: ignore[attr-defined]
        stream = follow(watched)
        await event(stream)
        with recorded_statements(other) as theirs:
            await until(lambda: readings(theirs) >= 1)
            with recorded_statements(database) as ours:
                await until(lambda: readings(theirs) >= 6)
    await other.close()

    assert readings(ours) == 0


async def test_a_database_that_is_away_ends_no_stream(
    database: PostgresDatabase, database_url: str, valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = parse_database_url(database_url)
    name = address.url.database
    admin = await asyncpg.connect(**address.with_database("postgres").raw_arguments())
    try:
        async with api_process(database, valkey_url, QUICK) as process:
            stream = follow(process)
            await event(stream)
            next_one = asyncio.ensure_future(event(stream))
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1"
            assert await admin.fetchval(ended, name) > 0
            await until(lambda: caplog.messages.count("live_operations_failed") >= 2)
            assert not next_one.done()
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await put_process(database, ProcessKind.WORKER, silent=0)
            assert (await next_one).workers == 1
    finally:
        await admin.close()


async def test_a_state_that_cannot_be_read_in_time_is_refused(database: PostgresDatabase, valkey_url: str) -> None:
    async with api_process(database, valkey_url, replace(TICKS_ONLY, start=0.3)) as process, database.begin() as other:
        await other.execute(text("LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(Unavailable):
            await asyncio.wait_for(anext(follow(process)), 8)


async def test_a_reading_that_takes_too_long_is_given_up_and_made_good(
    database: PostgresDatabase, valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with api_process(database, valkey_url, replace(QUICK, patience=0.2)) as process:
        stream = follow(process)
        await event(stream)
        async with database.begin() as other:
            await other.execute(text("LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE"))
            await until(lambda: caplog.messages.count("live_operations_failed") >= 2)
        await put_process(database, ProcessKind.WORKER, silent=0)
        assert (await event(stream)).workers == 1


async def test_who_loses_the_right_sees_nothing_more(database: PostgresDatabase, valkey_url: str) -> None:
    codes: list[str | None] = [None]

    async def allowed() -> str | None:
        return codes[-1]

    async with api_process(database, valkey_url, QUICK) as process:
        quiet, told = (process.hub.operations(allowed=allowed) for _ in range(2))
        await event(quiet)
        await event(told)
        codes.append("FORBIDDEN")
        with pytest.raises(Forbidden):
            await event(quiet)  # by the clock alone
        await put_process(database, ProcessKind.WORKER, silent=0)
        with pytest.raises(Forbidden):
            await event(told)
        with pytest.raises(Forbidden):
            await event(process.hub.operations(allowed=allowed))


async def test_what_was_left_out_while_nobody_could_tell_the_right_comes_later(
    database: PostgresDatabase, valkey_url: str
) -> None:
    asked: list[bool] = []
    is_away = False

    async def allowed() -> str | None:
        asked.append(is_away)
        if is_away:
            raise OSError("away")
        return None

    async with api_process(database, valkey_url, QUICK) as process:
        stream = process.hub.operations(allowed=allowed)
        await event(stream)
        is_away = True
        await put_process(database, ProcessKind.WORKER, silent=0)
        next_one = asyncio.ensure_future(event(stream))
        await until(lambda: asked.count(True) >= 4)
        is_away = False
        assert (await next_one).workers == 1


async def test_a_hub_that_stops_ends_the_streams(database: PostgresDatabase, valkey_url: str) -> None:
    async with api_process(database, valkey_url, QUICK) as process:
        stream = follow(process)
        await event(stream)
    with pytest.raises(StopAsyncIteration):
        await event(stream)


# ---------------------------------------------------------------- the API


async def test_the_query_shows_every_operation_and_every_provider(api: Api) -> None:
    world = await make_world(api)
    client = await world.client(world.root)
    await put_queued(api.database, Operation.SYNC_CURRENT_ROUND, due=-600)
    await put_dead_letter(api.database, Operation.INGEST_TEAMS)
    await put_process(api.database, ProcessKind.WORKER, silent=0)

    with recorded_statements(api.database) as statements:
        answer = await client.operation("adminOperationsStatus")

    status = answer.data["admin"]["operationsStatus"]
    queues = {found["operation"]: found for found in status["queues"]}
    assert set(queues) == set(Operation)
    assert queues["SYNC_CURRENT_ROUND"] == {
        "operation": "SYNC_CURRENT_ROUND",
        "queued": 0,
        "waiting": 1,
        "inProgress": 0,
        "oldestSeconds": None,
        "deadLetters": 0,
    }
    assert queues["INGEST_TEAMS"]["deadLetters"] == 1
    assert [found["provider"] for found in status["providers"]] == list(Provider)
    assert {found["breaker"] for found in status["providers"]} == {"CLOSED"}
    assert (status["workers"], status["schedulerSeenAt"]) == (1, None)
    assert len(statements) == 5  # session, and the four of the status


async def test_others_may_neither_read_nor_follow(api: Api) -> None:
    world = await make_world(api)
    async with served(api) as address:
        for member_id, code in ((None, "UNAUTHENTICATED"), (world.ana, "FORBIDDEN")):
            client = await world.client(member_id)
            assert (await client.operation("adminOperationsStatus")).codes == [code]
            async with open_stream(address, client.token) as stream:
                await stream.subscribe("1", read_operation("operationsUpdates"))
                refusal = await stream.receive(PATIENCE)
            assert (refusal["type"], refusal["payload"][0]["extensions"]["code"]) == ("error", code)


async def test_an_admin_follows_over_a_socket_until_the_role_is_lost(api: Api) -> None:
    world = await make_world(api)
    async with served(api) as address, open_stream(address, await begin_session(api, world.root)) as stream:
        await stream.subscribe("1", read_operation("operationsUpdates"))
        assert (await stream.data(PATIENCE))["operationsUpdates"]["workers"] == 0

        await put_process(api.database, ProcessKind.WORKER, silent=0)
        assert await _until_workers(stream, 1)

        await _demote(api, world.root)
        began = monotonic()
        last = await stream.receive(PATIENCE)
        while last["type"] == "next":
            last = await stream.receive(PATIENCE)
        took = monotonic() - began

    assert (last["type"], last["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")
    assert took < 15  # five seconds on a machine that is not busy


async def _until_workers(stream: Stream, number: int) -> bool:
    """The world's settlement may move other figures meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found: dict[str, Any] = (await stream.data(PATIENCE))["operationsUpdates"]
            if found["workers"] == number:
                return True


async def _demote(api: Api, member_id: Any) -> None:
    async with api.database.begin() as connection:
        await connection.execute(
            update(members).where(members.c.id == member_id).values(platform_role=PlatformRole.MEMBER)
        )
