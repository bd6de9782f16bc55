"""From a committed command to its end through relay, queue and worker, with processes that are killed for real.

What each broker must do is asked of both; what breaks in ways of its own has a part of its own.
"""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import pytest
from sqlalchemy import text
from taskiq.message import TaskiqMessage

from domain.execution.dead_letter import service as dead_letters
from domain.execution.model import Command, ExecutionErrorCode, ExecutionState, Operation, Target
from domain.execution.run import Run
from domain.execution.service import accept_many, live_executions
from domain.ids import ExecutionId
from runtime.embedded.valkey import EmbeddedValkey
from tasks.broker import create_broker, send
from tests.support import worker_process
from tests.support.dead_letters import letter_of
from tests.support.executions import ended, moving, queue, read_one, running, until
from tests.support.football import make_tournament
from tests.support.forked import Child, nursery
from tests.support.queues import STREAM, NatsQueue, NatsServer, Queue
from tests.support.servers import temporary_data

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase

QUICK = Operation.SYNC_CURRENT_ROUND
WORKER = "tests.support.worker_process:run"
MANY = (Operation.SETTLE_PENDING, Operation.SYNC_CURRENT_ROUND, Operation.REBUILD_PROJECTION)


async def nothing(run: Run) -> None:
    async with run.step("nothing") as step:
        step.unchanged += 1


async def queue_matches(database: "PostgresDatabase", count: int) -> list[ExecutionId]:
    """One SETTLE_MATCH for each match of a new tournament."""
    made = await make_tournament(database, matches=count)
    commands = [Command(Operation.SETTLE_MATCH, Target(made.id, None, match), {}) for match in made.matches]
    async with database.begin() as connection:
        return [one.execution.id for one in await accept_many(connection, commands, request_id="r")]


async def all_ended(database: "PostgresDatabase", *, within: float = 30) -> None:
    async def is_quiet() -> bool:
        return not await live_executions(database)

    await until(is_quiet, within=within)


# ---------------------------------------------------------------- one process


async def test_a_command_is_done_within_moments(
    database: "PostgresDatabase", valkey_url: str, jobs: Queue, tmp_path: Path
) -> None:
    async with running(database, valkey_url, tmp_path, nothing, broker_url=jobs.url):
        await ended(database, (await queue(database, operation=QUICK)).execution.id)  # warm
        started = monotonic()
        accepted = await queue(database, operation=QUICK)
        execution = await ended(database, accepted.execution.id)
        took = monotonic() - started

    assert execution.state is ExecutionState.COMPLETED
    assert took < 2  # bench/ measures it; without the wake-up it would take as long as a poll


async def test_many_commands_are_each_done_once(
    database: "PostgresDatabase", valkey_url: str, jobs: Queue, tmp_path: Path
) -> None:
    done: Counter[ExecutionId] = Counter()

    async def work(run: Run) -> None:
        async with run.step("one"):
            done[run.execution.id] += 1

    ids = await queue_matches(database, 60)
    async with running(database, valkey_url, tmp_path, work, broker_url=jobs.url):
        await all_ended(database)
        await until(lambda: _has(jobs, 0))  # what is acknowledged is gone

    assert done == Counter(ids)


async def test_a_job_delivered_a_hundred_times_by_four_workers_has_one_effect(
    database: "PostgresDatabase", valkey_url: str, jobs: Queue, tmp_path: Path
) -> None:
    done: Counter[ExecutionId] = Counter()

    async def work(run: Run) -> None:
        async with run.step("one"):
            done[run.execution.id] += 1

    ids = await queue_matches(database, 5)
    broker = create_broker(jobs.url)
    messages = [
        {"jobId": str(n), "executionId": str(ids[n % 5]), "requestId": "r", "jobType": "SETTLE_MATCH"}
        for n in range(500)
    ]
    await send(broker, messages)
    await broker.shutdown()
    async with (
        running(database, valkey_url, tmp_path, work, broker_url=jobs.url),
        running(database, valkey_url, tmp_path, work, broker_url=jobs.url),
        running(database, valkey_url, tmp_path, work, broker_url=jobs.url),
        running(database, valkey_url, tmp_path, work, broker_url=jobs.url),
    ):
        await all_ended(database)
        await until(lambda: _has(jobs, 0))

    assert done == Counter(ids)


async def test_a_queue_lost_between_accept_and_claim_loses_nothing(
    database: "PostgresDatabase", valkey_url: str, jobs: Queue, tmp_path: Path
) -> None:
    """The sweeper alone brings them back: no worker was there to see that the queue vanished."""
    ids = await queue_matches(database, 100)
    async with moving(database, valkey_url, tmp_path, resend_after=1, broker_url=jobs.url):
        await until(lambda: _has(jobs, 100))
        await jobs.lose()
        async with running(database, valkey_url, tmp_path, nothing, broker_url=jobs.url):
            await all_ended(database)

    assert {(await read_one(database, one)).state for one in ids} == {ExecutionState.COMPLETED}


async def test_a_worker_that_finds_its_queue_gone_has_what_waits_sent_again(
    database: "PostgresDatabase", valkey_url: str, jobs: Queue, tmp_path: Path
) -> None:
    go_on = asyncio.Event()

    async def work(run: Run) -> None:
        await go_on.wait()
        await nothing(run)

    ids = await queue_matches(database, 30)
    async with running(database, valkey_url, tmp_path, work, concurrency=2, resend_after=3600, broker_url=jobs.url):
        await until(lambda: _is_taken(database, 2))
        await jobs.lose()
        go_on.set()
        await all_ended(database)

    assert {(await read_one(database, one)).attempt for one in ids} == {1}


@pytest.mark.parametrize("kind", ["valkey", "nats"])
async def test_commands_are_accepted_without_a_queue_and_done_when_it_is_back(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, kind: str
) -> None:
    with temporary_data() as folder:
        server = EmbeddedValkey(folder, durable=False) if kind == "valkey" else NatsServer(folder)
        url = server.start()
        try:
            async with running(database, valkey_url, tmp_path, nothing, resend_after=3600, broker_url=url):
                await ended(database, (await queue(database, operation=QUICK)).execution.id)
                server.stop()
                started = monotonic()
                ids = [(await queue(database, operation=operation)).execution.id for operation in MANY]
                assert monotonic() - started < 5
                await until(lambda: _is_postponed(database))
                server.start()
                await all_ended(database)
        finally:
            server.stop()

    assert {(await read_one(database, one)).state for one in ids} == {ExecutionState.COMPLETED}


async def test_a_worker_outlives_its_connections(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, tmp_path: Path
) -> None:
    async with running(database, valkey_url, tmp_path, nothing):
        for _ in range(4):
            await valkey.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            accepted = await queue(database, operation=QUICK)
            assert (await ended(database, accepted.execution.id)).state is ExecutionState.COMPLETED


async def test_what_waits_in_nats_outlives_its_server(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path
) -> None:
    """Killed in the middle of a hundred jobs: nobody sends one again, for it has them on disk."""
    go_on = asyncio.Event()

    async def work(run: Run) -> None:
        await go_on.wait()
        await nothing(run)

    ids = await queue_matches(database, 100)
    with temporary_data() as folder:
        server = NatsServer(folder)
        jobs = NatsQueue(server.start())
        try:
            async with running(
                database, valkey_url, tmp_path, work, concurrency=2, resend_after=3600, broker_url=jobs.url
            ):
                await until(lambda: _is_taken(database, 2))
                await until(lambda: _has_at_least(jobs, 98))
                server.stop()
                go_on.set()
                server.start()
                await all_ended(database, within=60)
        finally:
            server.stop()

    assert {(await read_one(database, one)).attempt for one in ids} == {1}


async def test_a_worker_may_be_there_before_nats(database: "PostgresDatabase", valkey_url: str, tmp_path: Path) -> None:
    accepted = await queue(database, operation=QUICK)
    with temporary_data() as folder:
        server = NatsServer(folder)
        try:
            async with running(database, valkey_url, tmp_path, nothing, broker_url=server.url):
                await until(lambda: _is_postponed(database, 1))
                server.start()
                assert (await ended(database, accepted.execution.id)).state is ExecutionState.COMPLETED
        finally:
            server.stop()


async def test_what_a_worker_cannot_read_or_does_not_know_does_not_stop_it(
    database: "PostgresDatabase", valkey_url: str, jobs: Queue, tmp_path: Path
) -> None:
    broker = create_broker(jobs.url)
    unknown = TaskiqMessage(task_id="1", task_name="of_tomorrow", labels={}, args=[{}], kwargs={})
    await broker.kick(broker.formatter.dumps(unknown))
    await jobs.put(b"not json")
    await jobs.put(b"")
    await send(broker, [{"jobId": "2", "jobType": "OF_TOMORROW", "executionId": "x"}])
    await send(broker, [{"jobId": "3", "jobType": "SETTLE_MATCH", "executionId": "not an id"}])
    await send(broker, [{"jobId": "4", "jobType": "SETTLE_MATCH", "executionId": str(UUID(int=5))}])
    await broker.shutdown()
    async with running(database, valkey_url, tmp_path, nothing, broker_url=jobs.url):
        accepted = await queue(database, operation=QUICK)
        assert (await ended(database, accepted.execution.id)).state is ExecutionState.COMPLETED
        await until(lambda: _has(jobs, 0))


async def test_an_entry_without_a_job_does_not_stop_a_worker(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, tmp_path: Path
) -> None:
    await valkey.xadd(STREAM, {"other": "field"})
    async with running(database, valkey_url, tmp_path, nothing):
        accepted = await queue(database, operation=QUICK)
        assert (await ended(database, accepted.execution.id)).state is ExecutionState.COMPLETED
        await until(lambda: _is_empty(valkey))


async def test_an_operation_that_a_worker_does_not_know_waits_for_one_that_does(
    database: "PostgresDatabase", valkey_url: str, jobs: Queue, tmp_path: Path
) -> None:
    accepted = await queue(database, operation=QUICK)
    async with running(database, valkey_url, tmp_path, {Operation.SETTLE_MATCH: nothing}, broker_url=jobs.url):
        known = await queue_matches(database, 1)
        await ended(database, known[0])
        await until(lambda: _has(jobs, 0))
    before = await read_one(database, accepted.execution.id)
    async with running(database, valkey_url, tmp_path, nothing, resend_after=0.2, broker_url=jobs.url):
        after = await ended(database, accepted.execution.id)

    assert (before.state, before.attempt) == (ExecutionState.QUEUED, 0)
    assert (after.state, after.attempt) == (ExecutionState.COMPLETED, 1)


async def test_a_failing_try_is_repeated_through_the_queue(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path
) -> None:
    tries = 0

    async def work(run: Run) -> None:
        nonlocal tries
        async with run.step("one"):
            tries += 1
            if tries < 3:
                raise RuntimeError("not yet")

    accepted = await queue(database, operation=Operation.SETTLE_PENDING)  # waits half a second, then one and a half
    async with running(database, valkey_url, tmp_path, work):
        execution = await ended(database, accepted.execution.id)

    assert (execution.state, execution.attempt, tries) == (ExecutionState.COMPLETED, 3, 3)
    assert execution.error_code is None


async def test_a_stopping_worker_hands_back_what_it_had_fetched(
    database: "PostgresDatabase", valkey_url: str, jobs: Queue, tmp_path: Path
) -> None:
    began = asyncio.Event()

    async def stuck(_: Run) -> None:
        began.set()
        await asyncio.Event().wait()

    ids = await queue_matches(database, 9)
    async with moving(database, valkey_url, tmp_path, resend_after=3600, broker_url=jobs.url):
        async with running(
            database, valkey_url, tmp_path, stuck, concurrency=1, resend_after=3600, broker_url=jobs.url
        ):
            await began.wait()
        started = monotonic()
        async with running(database, valkey_url, tmp_path, nothing, resend_after=3600, broker_url=jobs.url):
            await all_ended(database)
        took = monotonic() - started

    assert {(await read_one(database, one)).attempt for one in ids} == {1}
    assert took < 20  # NATS would deliver them once more by itself, after half a minute


async def test_what_nobody_has_taken_of_a_fetch_is_handed_back(jobs: Queue) -> None:
    brokers = [create_broker(jobs.url, stop=asyncio.Event()) for _ in range(2)]
    for broker in brokers:
        broker.is_worker_process = True
        await broker.startup()
    await send(brokers[0], [{"jobId": str(number)} for number in range(3)])
    taken, handed_back = [cast("AsyncGenerator[Any, None]", broker.listen()) for broker in brokers]
    await anext(taken)
    await brokers[0].shutdown()
    async with asyncio.timeout(15):  # NATS would deliver them once more by itself, after half a minute
        for _ in range(3):
            await (await anext(handed_back)).ack()
    await brokers[1].shutdown()
    assert await jobs.length() == 0


async def test_a_stopped_worker_leaves_its_group(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, tmp_path: Path
) -> None:
    async with running(database, valkey_url, tmp_path, nothing):
        await ended(database, (await queue(database, operation=QUICK)).execution.id)

    assert await valkey.xinfo_consumers(STREAM, "workers") == []


# ---------------------------------------------------------------- real processes


Start = Callable[..., Any]


@pytest.fixture
async def start_worker(
    database: "PostgresDatabase", database_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[Start]:
    """Starts worker processes of `tests.support.worker_process`, and ends those that are left."""
    async with database.begin() as connection:
        for table in worker_process.TABLES:
            await connection.execute(text(table))
    children: list[Child] = []
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "PALPITE_DATA": str(tmp_path / "data"),
        "PALPITE_LEASE_SECONDS": "1",
        "PALPITE_HEARTBEAT_SECONDS": "0.2",
        "PALPITE_LOG_FORMAT": "json",
    }

    async def start(broker_url: str | None = None) -> Child:
        given = {**settings, "PALPITE_BROKER_URL": broker_url or valkey_url}
        with (tmp_path / "workers.log").open("ab") as log:
            children.append(await nursery().fork(WORKER, settings=given, output=log))
        return children[-1]

    yield start
    for child in children:
        child.send(signal.SIGKILL)
        await child.wait()
    sys.stderr.write((tmp_path / "workers.log").read_text()[-20_000:])  # shown when the test fails


async def effects(database: "PostgresDatabase") -> list[tuple[str, int]]:
    """What handlers committed: name and fence, in order."""
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT name, fence FROM effects ORDER BY fence, name"))
        return [(row.name, row.fence) for row in rows]


async def open_gate(database: "PostgresDatabase") -> None:
    async with database.begin() as connection:
        await connection.execute(text("INSERT INTO gate VALUES (true)"))


async def test_what_a_killed_worker_had_begun_another_one_finishes(
    database: "PostgresDatabase", valkey_url: str, jobs: Queue, tmp_path: Path, start_worker: Start
) -> None:
    accepted = await queue(database, operation=Operation.SETTLE_PENDING)
    async with moving(database, valkey_url, tmp_path, broker_url=jobs.url):
        first = await start_worker(jobs.url)
        await until(lambda: _has_effects(database, 1), within=40)
        first.send(signal.SIGKILL)
        await first.wait()
        await open_gate(database)
        await start_worker(jobs.url)
        execution = await ended(database, accepted.execution.id, within=40)

    assert (execution.state, execution.attempt, execution.counts.created) == (ExecutionState.COMPLETED, 2, 2)
    # Fences: 1 the first claim, 2 the sweeper that took it away, 3 the second claim.
    assert await effects(database) == [("first", 1), ("first", 3), ("second", 3)]


async def test_a_worker_that_was_stopped_and_goes_on_cannot_write(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, start_worker: Start
) -> None:
    accepted = await queue(database, operation=Operation.SETTLE_PENDING)
    async with moving(database, valkey_url, tmp_path, resend_after=1):  # the stopped one may be given its own job again
        sleeper = await start_worker()
        await until(lambda: _has_effects(database, 1), within=40)
        sleeper.send(signal.SIGSTOP)
        await start_worker()
        await until(lambda: _has_effects(database, 2), within=40)
        await open_gate(database)
        execution = await ended(database, accepted.execution.id, within=40)
        sleeper.send(signal.SIGCONT)
        again = await queue(database, operation=QUICK)  # both workers live
        await ended(database, again.execution.id)
        sleeper.send(signal.SIGTERM)
        assert await sleeper.wait() == 0

    assert (execution.state, execution.attempt) == (ExecutionState.COMPLETED, 2)
    assert [effect for effect in await effects(database) if effect[0] != "only"] == [
        ("first", 1),
        ("first", 3),
        ("second", 3),
    ]
    assert await read_one(database, execution.id) == execution


async def test_a_job_that_kills_its_process_each_time_is_a_dead_letter_while_others_go_on(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, start_worker: Start
) -> None:
    poison = await queue(database, operation=Operation.REBUILD_PROJECTION)
    others = await queue_matches(database, 20)

    async def respawn() -> None:
        while True:
            process = await start_worker()
            assert await process.wait() == 9

    async with moving(database, valkey_url, tmp_path, resend_after=1):
        keeper = asyncio.create_task(respawn())
        execution = await ended(database, poison.execution.id, within=100)
        # What ran beside it lost a try or two, never all: after the first each of them ran alone.
        for one in others:
            assert (await ended(database, one, within=60)).state is ExecutionState.COMPLETED
        letter = await letter_of(database, execution.id)
        await open_gate(database)  # its cure
        _, again = await dead_letters.replay(
            database, letter.id, actor_id=None, reason="the worker has more memory", request_id="r"
        )
        replayed = await ended(database, again.id, within=60)
        keeper.cancel()

    assert (execution.state, execution.error_code) == (ExecutionState.FAILED, ExecutionErrorCode.WORKER_LOST)
    assert (execution.attempt, execution.losses, execution.max_attempts) == (3, 3, 5)
    assert execution.report_key is not None
    assert (letter.attempts, letter.trace, letter.message["attempt"]) == (3, None, 3)
    assert (replayed.state, replayed.retry_of, replayed.attempt) == (ExecutionState.COMPLETED, execution.id, 1)


async def test_a_stopped_worker_leaves_at_once_and_gives_back(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, start_worker: Start
) -> None:
    accepted = await queue(database, operation=Operation.SETTLE_PENDING)
    async with moving(database, valkey_url, tmp_path, sweep_every=3600):
        process = await start_worker()
        await until(lambda: _has_effects(database, 1), within=40)
        started = monotonic()
        process.send(signal.SIGTERM)
        assert await process.wait() == 0
        took = monotonic() - started
    execution = await read_one(database, accepted.execution.id)

    assert (execution.state, execution.attempt) == (ExecutionState.QUEUED, 0)
    assert took < 5


async def _is_postponed(database: "PostgresDatabase", count: int = len(MANY)) -> bool:
    async with database.read() as connection:
        found = await connection.execute(text("SELECT count(*) FROM outbox WHERE topic = 'JOB' AND attempts > 0"))
        return found.scalar_one() == count


async def _has_effects(database: "PostgresDatabase", count: int) -> bool:
    return len(await effects(database)) >= count


async def _is_taken(database: "PostgresDatabase", count: int) -> bool:
    live = await live_executions(database)
    return sum(one.state is ExecutionState.IN_PROGRESS for one in live) == count


async def _is_empty(valkey: "Redis") -> bool:
    return await valkey.xlen(STREAM) == 0


async def _has(jobs: Queue, count: int) -> bool:
    return await jobs.length() == count


async def _has_at_least(jobs: Queue, count: int) -> bool:
    return await jobs.length() >= count
