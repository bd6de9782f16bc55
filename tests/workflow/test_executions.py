"""Executions in the database: accepted once, claimed once, written to by the holder of the lease alone."""

import asyncio
import json
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.tables import audit_log
from domain.clock import utc_now
from domain.errors import InvalidInput, NotFound, WrongState
from domain.execution.desk import CommandDesk
from domain.execution.lease import service as leases
from domain.execution.lease import store as lease_store
from domain.execution.lease.store import Claim, Progress
from domain.execution.model import (
    TRANSITIONS,
    Command,
    Counts,
    Execution,
    ExecutionErrorCode,
    ExecutionFilter,
    ExecutionState,
    ExecutionStep,
    ExecutionTrigger,
    Operation,
    Target,
)
from domain.execution.rules import failure_of, lost_worker
from domain.execution.run import LeaseLost, Run
from domain.execution.service import accept_many, live_executions, page, read_steps
from domain.ids import ExecutionId, MatchId, TournamentId, new_id
from domain.ingestion.errors import ProviderNotFound, ProviderUnavailable
from domain.outbox.tables import outbox
from integrations.object_store.folder import FolderStore
from tests.support.executions import OPERATION, executor_of, job_of, queue, read_one, until
from tests.support.football import make_members, make_tournament

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

NOTHING = Progress(Counts(), ())


async def jobs_in_outbox(database: "PostgresDatabase") -> list[dict[str, Any]]:
    async with database.read() as connection:
        rows = await connection.execute(select(outbox.c.message).where(outbox.c.topic == "JOB").order_by(outbox.c.id))
        return [row.message for row in rows]


async def claimed(database: "PostgresDatabase", execution_id: ExecutionId, *, lease: float = 5) -> Execution:
    execution = await leases.claim(database, execution_id, owner="test", lease_seconds=lease)
    assert execution is not None
    return execution


async def make_due(database: "PostgresDatabase") -> None:
    """Let the waits and leases of all executions be over."""
    async with database.begin() as connection:
        await connection.execute(text("UPDATE executions SET not_before = clock_timestamp() - interval '1 hour'"))
        await connection.execute(text("UPDATE executions SET lease_until = not_before WHERE lease_until IS NOT NULL"))


# ---------------------------------------------------------------- states


_CHANGE = text(
    "UPDATE executions SET state = :state, error_code = 'INTERNAL', attempt = 1,"
    " lease_until = CASE WHEN CAST(:state AS text) = 'IN_PROGRESS' THEN clock_timestamp() END,"
    " finished_at = CASE WHEN CAST(:state AS text) NOT IN ('QUEUED', 'IN_PROGRESS') THEN clock_timestamp() END"
)


async def test_database_and_code_agree_on_every_transition(database: "PostgresDatabase") -> None:
    await queue(database)

    async def change(state: ExecutionState, *, checked: bool) -> None:
        async with database.begin() as connection:
            switch = "ENABLE" if checked else "DISABLE"
            await connection.execute(text(f"ALTER TABLE executions {switch} TRIGGER refuse_transition"))
            await connection.execute(_CHANGE, {"state": state})

    for before, after in product(ExecutionState, ExecutionState):
        await change(before, checked=False)
        if after is before or after in TRANSITIONS[before]:
            await change(after, checked=True)
        else:
            with pytest.raises(DBAPIError, match=f"cannot go from {before} to {after}"):
                await change(after, checked=True)


# ---------------------------------------------------------------- accept


async def test_accept_writes_execution_job_and_tick_in_one_commit(database: "PostgresDatabase") -> None:
    accepted = await queue(database, params={"a": 1}, request_id="r-7")
    execution = await read_one(database, accepted.execution.id)

    assert not accepted.already_live
    assert accepted.execution == execution
    assert (execution.state, execution.attempt, execution.version) == (ExecutionState.QUEUED, 0, 1)
    (job,) = await jobs_in_outbox(database)
    assert set(job) == {"v", "jobId", "executionId", "requestId", "jobType", "entityId", "attempt", "enqueuedAt"}
    assert (job["executionId"], job["requestId"], job["attempt"]) == (str(execution.id), "r-7", 1)
    async with database.read() as connection:
        ticks = (await connection.execute(select(outbox.c.message).where(outbox.c.topic == "TICK"))).scalars().all()
    assert ticks == [{"kind": "execution", "id": str(execution.id)}]


async def test_a_rolled_back_command_leaves_nothing(database: "PostgresDatabase") -> None:
    async def queue_and_fail() -> None:
        async with database.begin() as connection:
            await accept_many(connection, [Command(OPERATION, Target(), {})], request_id="r")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await queue_and_fail()
    assert await live_executions(database) == []
    assert await jobs_in_outbox(database) == []


async def test_an_equal_live_command_is_returned_and_another_one_refused(database: "PostgresDatabase") -> None:
    first = await queue(database, params={"a": 1}, trigger=ExecutionTrigger.ADMIN)
    again = await queue(database, params={"a": 1}, trigger=ExecutionTrigger.ADMIN)
    await claimed(database, first.execution.id)
    while_running = await queue(database, params={"a": 1}, trigger=ExecutionTrigger.SCHEDULE)

    assert (again.execution.id, again.already_live) == (first.execution.id, True)
    assert (while_running.execution.id, while_running.already_live) == (first.execution.id, True)
    with pytest.raises(WrongState, match="other parameters"):
        await queue(database, params={"a": 2}, trigger=ExecutionTrigger.ADMIN)
    assert len(await jobs_in_outbox(database)) == 1


async def test_what_the_system_starts_is_equal_to_a_first_queued_one_only(database: "PostgresDatabase") -> None:
    first = await queue(database)
    same = await queue(database)
    execution = await claimed(database, first.execution.id)
    second = await queue(database)
    await leases.give_back(database, Claim(execution.id, execution.fence))

    assert same == type(same)(first.execution, True)
    assert not second.already_live
    assert {one.state for one in await live_executions(database)} == {ExecutionState.QUEUED}


async def test_a_retry_that_waits_hides_no_newer_command_of_the_system(database: "PostgresDatabase") -> None:
    first = await queue(database)
    execution = await claimed(database, first.execution.id)
    failure = ProviderUnavailable("later")
    await leases.retry_later(
        database, Claim(execution.id, execution.fence), NOTHING, failure=failure_of(failure, "r"), delay=60
    )
    second = await queue(database)

    assert not second.already_live
    assert {one.id for one in await live_executions(database)} == {first.execution.id, second.execution.id}


async def test_the_system_starts_anew_while_an_equal_command_of_an_admin_runs(database: "PostgresDatabase") -> None:
    first = await queue(database, trigger=ExecutionTrigger.ADMIN)
    await claimed(database, first.execution.id)

    assert not (await queue(database)).already_live


async def test_fifty_equal_commands_at_once_are_one_execution(database: "PostgresDatabase") -> None:
    for trigger in (ExecutionTrigger.ADMIN, ExecutionTrigger.SYSTEM):
        operation = Operation.SETTLE_PENDING if trigger is ExecutionTrigger.ADMIN else Operation.REBUILD_PROJECTION
        accepted = await asyncio.gather(*(queue(database, operation=operation, trigger=trigger) for _ in range(50)))
        assert len({one.execution.id for one in accepted}) == 1
        assert sum(not one.already_live for one in accepted) == 1
    assert len(await jobs_in_outbox(database)) == 2


async def test_many_commands_of_the_system_are_accepted_together(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=10)
    commands = [Command(Operation.SETTLE_MATCH, Target(made.id, None, match_id), {}) for match_id in made.matches]
    async with database.begin() as connection:
        first = await accept_many(connection, commands[:4], request_id="r")
    async with database.begin() as connection:
        everything = await accept_many(connection, commands, request_id="r")

    assert [one.already_live for one in first] == [False] * 4
    assert [one.already_live for one in everything] == [True] * 4 + [False] * 6
    assert [one.execution.target.match_id for one in everything] == list(made.matches)
    assert len(await jobs_in_outbox(database)) == 10


async def test_an_equal_queued_one_is_not_claimed_before_the_change_is_committed(
    database: "PostgresDatabase",
) -> None:
    """Else its worker might not see the change, which nothing would bring to a worker again."""
    first = await queue(database)
    async with database.begin() as connection:
        (accepted,) = await accept_many(connection, [Command(OPERATION, Target(), {})], request_id="r")
        assert accepted.already_live
        claim = asyncio.create_task(claimed(database, first.execution.id))
        done, _ = await asyncio.wait({claim}, timeout=0.3)
        assert not done
    assert (await claim).state is ExecutionState.IN_PROGRESS


async def test_the_command_of_an_admin_is_audited_with_its_reason(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=2)
    (admin,) = await make_members(database, 1)
    command = Command(Operation.SETTLE_MATCH, Target(None, None, made.matches[0]), {})
    accepted = await CommandDesk(database).run(command, actor_id=admin, reason="  late result ", request_id="r-9")

    assert accepted.execution.target == Target(made.id, None, made.matches[0])
    assert (accepted.execution.actor_id, accepted.execution.reason) == (admin, "late result")
    async with database.read() as connection:
        (line,) = (await connection.execute(select(audit_log))).all()
    assert (line.actor_kind, line.action, line.reason, line.request_id, line.execution_id) == (
        "MEMBER",
        "runOperation",
        "late result",
        "r-9",
        accepted.execution.id,
    )


async def test_the_audit_log_is_never_changed(database: "PostgresDatabase") -> None:
    async with database.begin() as connection:
        await audit.record(connection, Act(action="tested", actor_id=None, request_id="r", system=True))
        await audit.record(connection, Act(action="tested", actor_id=None, request_id="r"))
    async with database.read() as connection:
        kinds = (await connection.execute(select(audit_log.c.actor_kind).order_by(audit_log.c.id))).scalars().all()
    assert kinds == ["SYSTEM", "OPERATOR"]

    async def change(statement: str) -> None:
        async with database.begin() as connection:
            await connection.execute(text(statement))

    for statement in ("UPDATE audit_log SET reason = 'x'", "DELETE FROM audit_log"):
        with pytest.raises(DBAPIError, match="never changed"):
            await change(statement)


async def test_bad_commands_are_refused(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=2)
    other = await make_tournament(database, matches=2)
    (admin,) = await make_members(database, 1)

    async def run(target: Target, reason: str = "because") -> None:
        await CommandDesk(database).run(Command(OPERATION, target, {}), actor_id=admin, reason=reason, request_id="r")

    for reason in ("no", " x  ", "x" * 501):
        with pytest.raises(InvalidInput) as refusal:
            await run(Target(), reason)
        assert refusal.value.field == ("reason",)
    for target in (
        Target(TournamentId(new_id())),
        Target(made.id, None, MatchId(new_id())),
        Target(other.id, None, made.matches[0]),
        Target(other.id, made.rounds[0]),
    ):
        with pytest.raises(NotFound):
            await run(target)
    assert await live_executions(database) == []


# ---------------------------------------------------------------- claim, lease, fence


async def test_of_twenty_claims_at_once_one_wins(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    claims = await asyncio.gather(
        *(leases.claim(database, accepted.execution.id, owner=f"w{number}", lease_seconds=5) for number in range(20))
    )
    (won,) = [claim for claim in claims if claim is not None]

    assert (won.state, won.attempt, won.fence, won.version) == (ExecutionState.IN_PROGRESS, 1, 1, 2)


async def test_writes_of_a_worker_that_lost_its_lease_are_refused(database: "PostgresDatabase", tmp_path: Path) -> None:
    accepted = await queue(database)
    lost = await claimed(database, accepted.execution.id)
    await make_due(database)
    (taken,) = await leases.take_from_lost_workers(database, FolderStore(tmp_path), utc_now)
    assert (taken.state, taken.error_code) == (ExecutionState.QUEUED, ExecutionErrorCode.WORKER_LOST)
    successor = await claimed(database, accepted.execution.id)
    old = Claim(lost.id, lost.fence)

    run = Run(lost, database, utc_now)
    with pytest.raises(LeaseLost):
        async with run.begin():
            raise AssertionError
    for write in (
        leases.keep(database, old, None, lease_seconds=5),
        leases.keep(database, old, NOTHING, lease_seconds=5),
        leases.finish(database, old, ExecutionState.COMPLETED, NOTHING, failure=None, report_key=None),
        leases.give_back(database, old),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert await read_one(database, lost.id) == successor
    assert (successor.attempt, successor.fence) == (2, 3)


async def test_an_execution_is_not_taken_away_under_an_open_transaction_of_its_worker(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    accepted = await queue(database)
    run = Run(await claimed(database, accepted.execution.id), database, utc_now)
    async with run.begin():
        await make_due(database)  # heartbeats and cancels do not wait for the transaction either
        assert await leases.take_from_lost_workers(database, FolderStore(tmp_path), utc_now) == []
        await leases.keep(database, run.claim, None, lease_seconds=5)
    await make_due(database)

    assert len(await leases.take_from_lost_workers(database, FolderStore(tmp_path), utc_now)) == 1


async def test_a_worker_that_is_lost_each_time_ends_in_failed_with_a_report(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    accepted = await queue(database, operation=Operation.INGEST_STANDINGS)
    store = FolderStore(tmp_path)
    for attempt in (1, 2, 3):
        execution = await claimed(database, accepted.execution.id)
        assert execution.attempt == attempt
        step = ExecutionStep(1, "one", ExecutionState.IN_PROGRESS, Counts(created=attempt), None, utc_now(), None)
        progress = Progress(step.counts, (step,))
        await leases.keep(database, Claim(execution.id, execution.fence), progress, lease_seconds=5)
        await make_due(database)
        await leases.take_from_lost_workers(database, store, utc_now)
    failed = await read_one(database, accepted.execution.id)
    (only,) = (await read_steps(database, [failed.id]))[failed.id]

    assert (failed.state, failed.error_code) == (ExecutionState.FAILED, ExecutionErrorCode.WORKER_LOST)
    assert (failed.error_message, failed.attempt) == ("The worker of try 3 was lost.", 3)
    assert (only.state, only.counts.created) == (ExecutionState.FAILED, 3)
    assert failed.report_key == f"reports/{failed.id}/{failed.fence}.json"
    assert json.loads(await store.get(failed.report_key) or b"")["error"]["code"] == "WORKER_LOST"


async def test_giving_back_does_not_count_as_a_try(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    execution = await claimed(database, accepted.execution.id)
    await leases.give_back(database, Claim(execution.id, execution.fence))

    assert (await read_one(database, execution.id)).attempt == 0
    assert (await claimed(database, execution.id)).attempt == 1


# ---------------------------------------------------------------- the executor


async def test_a_run_ends_with_counts_steps_and_report(database: "PostgresDatabase", tmp_path: Path) -> None:
    async def work(run: Run) -> None:
        async with run.step("Read", total=3) as step, run.begin():
            step.created, step.unchanged = 1, 1
            step.reject("en.1.json, item 7: negative score")
        async with run.step("Write") as step:
            step.updated += 5
            step.note = "all of it"

    accepted = await queue(database)
    store = FolderStore(tmp_path)
    await executor_of(database, work, store).deliver(job_of(accepted.execution))
    execution = await read_one(database, accepted.execution.id)
    steps = (await read_steps(database, [execution.id]))[execution.id]

    assert execution.state is ExecutionState.COMPLETED
    assert execution.counts == Counts(total=3, created=1, updated=5, unchanged=1, failed=1)
    assert [(step.position, step.name, step.state, step.note) for step in steps] == [
        (1, "Read", ExecutionState.COMPLETED, "en.1.json, item 7: negative score"),
        (2, "Write", ExecutionState.COMPLETED, "all of it"),
    ]
    report = json.loads(await store.get(execution.report_key or "") or b"")
    assert (report["state"], report["counts"]["updated"]) == ("COMPLETED", 5)
    assert report["steps"][0]["rejected"] == ["en.1.json, item 7: negative score"]


async def test_the_same_job_a_hundred_times_has_one_effect(database: "PostgresDatabase", tmp_path: Path) -> None:
    effects = 0

    async def work(run: Run) -> None:
        nonlocal effects
        async with run.step("one") as step:
            effects += 1
            step.created += 1

    accepted = await queue(database)
    executors = [executor_of(database, work, FolderStore(tmp_path), owner=f"w{n}") for n in range(4)]
    await asyncio.gather(*(executors[n % 4].deliver(job_of(accepted.execution)) for n in range(100)))
    execution = await read_one(database, accepted.execution.id)

    assert effects == 1
    assert (execution.state, execution.attempt) == (ExecutionState.COMPLETED, 1)


async def test_progress_is_told_while_a_step_runs(database: "PostgresDatabase", tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def work(run: Run) -> None:
        async with run.step("Long", total=10) as step:
            step.created = 4
            await go_on.wait()

    accepted = await queue(database)
    executor = executor_of(database, work, FolderStore(tmp_path))
    delivery = asyncio.create_task(executor.deliver(job_of(accepted.execution)))

    async def is_told() -> bool:
        return (await read_one(database, accepted.execution.id)).counts.created == 4

    await until(is_told)
    running = await read_one(database, accepted.execution.id)
    (step,) = (await read_steps(database, [running.id]))[running.id]
    go_on.set()
    await delivery

    assert (running.state, running.version) == (ExecutionState.IN_PROGRESS, 3)
    assert (step.state, step.counts) == (ExecutionState.IN_PROGRESS, Counts(total=10, created=4))
    assert (await read_one(database, running.id)).version == 4


async def test_an_unexpected_error_is_tried_again_and_then_failed_with_a_masked_message(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    async def work(run: Run) -> None:
        async with run.step("one"):
            raise ZeroDivisionError("secret")

    accepted = await queue(database, operation=Operation.INGEST_MATCHES, request_id="r-3")
    executor = executor_of(database, work, FolderStore(tmp_path))
    waits = []
    for _ in range(3):
        await executor.deliver(job_of(accepted.execution))
        execution = await read_one(database, accepted.execution.id)
        if execution.state is ExecutionState.QUEUED:
            waits.append((execution.not_before - utc_now()).total_seconds())
            assert execution.error_message == "Unexpected error; see the logs under the request id r-3."
            await executor.deliver(job_of(accepted.execution))  # too early: nothing happens
            assert (await read_one(database, execution.id)) == execution
            await make_due(database)

    assert (execution.state, execution.attempt) == (ExecutionState.FAILED, 3)
    assert (execution.error_code, execution.error_message) == (
        ExecutionErrorCode.INTERNAL,
        "Unexpected error; see the logs under the request id r-3.",
    )
    assert execution.report_key is not None
    assert 2 < waits[0] <= 5
    assert 7 < waits[1] <= 15
    assert [job["attempt"] for job in await jobs_in_outbox(database)] == [1, 2, 3]


async def test_a_final_error_fails_at_once(database: "PostgresDatabase", tmp_path: Path) -> None:
    async def work(_: Run) -> None:
        raise ProviderNotFound("no such season")

    accepted = await queue(database)
    await executor_of(database, work, FolderStore(tmp_path)).deliver(job_of(accepted.execution))
    execution = await read_one(database, accepted.execution.id)

    assert (execution.state, execution.attempt) == (ExecutionState.FAILED, 1)
    assert (execution.error_code, execution.error_message) == (
        ExecutionErrorCode.PROVIDER_NOT_FOUND,
        "no such season",
    )


async def test_a_cancel_ends_the_run_before_its_next_step(database: "PostgresDatabase", tmp_path: Path) -> None:
    began = asyncio.Event()

    async def work(run: Run) -> None:
        async def is_cancelled() -> bool:
            return run.is_to_be_cancelled

        async with run.step("one") as step:
            step.created += 1
            began.set()
            await until(is_cancelled)
        async with run.step("two") as step:
            step.created += 100

    accepted = await queue(database)
    executor = executor_of(database, work, FolderStore(tmp_path))
    delivery = asyncio.create_task(executor.deliver(job_of(accepted.execution)))
    await began.wait()
    async with database.begin() as connection:
        await connection.execute(text("UPDATE executions SET cancel_requested_at = clock_timestamp()"))
    await delivery
    execution = await read_one(database, accepted.execution.id)

    assert (execution.state, execution.counts.created) == (ExecutionState.CANCELLED, 1)
    assert execution.report_key is not None


async def test_a_handler_is_stopped_when_its_lease_is_lost(database: "PostgresDatabase", tmp_path: Path) -> None:
    stopped = asyncio.Event()
    began = asyncio.Event()

    async def work(_: Run) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    accepted = await queue(database)
    executor = executor_of(database, work, FolderStore(tmp_path), heartbeat=0.05)
    delivery = asyncio.create_task(executor.deliver(job_of(accepted.execution)))
    await began.wait()
    await make_due(database)
    while not await leases.take_from_lost_workers(database, FolderStore(tmp_path), utc_now):
        await make_due(database)  # the heartbeat was quicker
    async with asyncio.timeout(10):
        await stopped.wait()
        await delivery

    assert (await read_one(database, accepted.execution.id)).state is ExecutionState.QUEUED


async def test_stopping_a_worker_gives_back_what_it_runs(database: "PostgresDatabase", tmp_path: Path) -> None:
    began = asyncio.Event()

    async def work(run: Run) -> None:
        async with run.begin():
            began.set()
            await asyncio.Event().wait()

    accepted = await queue(database)
    executor = executor_of(database, work, FolderStore(tmp_path))
    delivery = asyncio.create_task(executor.deliver(job_of(accepted.execution)))
    await began.wait()
    await executor.stop()
    await asyncio.gather(delivery, return_exceptions=True)
    execution = await read_one(database, accepted.execution.id)

    assert (execution.state, execution.attempt) == (ExecutionState.QUEUED, 0)
    assert len(await jobs_in_outbox(database)) == 2


async def test_a_heartbeat_holds_a_lease_that_is_shorter_than_the_work(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    async def work(run: Run) -> None:
        async with run.begin() as connection:
            await connection.execute(text("SELECT pg_sleep(1.5)"))

    accepted = await queue(database)
    executor = executor_of(database, work, FolderStore(tmp_path), lease=0.6, heartbeat=0.1)
    delivery = asyncio.create_task(executor.deliver(job_of(accepted.execution)))
    while not delivery.done():
        assert await leases.take_from_lost_workers(database, FolderStore(tmp_path), utc_now) == []
        await asyncio.sleep(0.05)
    await delivery

    assert (await read_one(database, accepted.execution.id)).state is ExecutionState.COMPLETED


# ---------------------------------------------------------------- reading


async def test_pages_follow_each_other_and_filters_hold(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=7)
    async with database.begin() as connection:  # one instant for all: the id decides
        await accept_many(
            connection,
            [Command(Operation.SETTLE_MATCH, Target(made.id, None, match), {}) for match in made.matches],
            request_id="r",
        )
    await queue(database, operation=Operation.INGEST_TEAMS, target=Target(made.id))
    newest = await queue(database)

    everything = await page(database, ExecutionFilter(), first=100, after=None)
    found: list[Execution] = []
    while True:
        after = (found[-1].queued_at, found[-1].id) if found else None
        rows = await page(database, ExecutionFilter(), first=2, after=after)
        found += rows[:2]
        if len(rows) <= 2:
            break
    assert found == everything
    assert len(everything) == 9
    assert everything[0].id == newest.execution.id

    async def count(**wanted: Any) -> int:
        return len(await page(database, ExecutionFilter(**wanted), first=100, after=None))

    assert await count(operations=(Operation.SETTLE_MATCH, Operation.INGEST_TEAMS)) == 8
    assert await count(tournament_id=made.id) == 8
    assert await count(states=(ExecutionState.COMPLETED,)) == 0
    assert await count(queued_since=newest.execution.queued_at) == 1
    assert await count(queued_before=newest.execution.queued_at) == 8


async def test_steps_of_an_earlier_try_do_not_stay(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    execution = await claimed(database, accepted.execution.id)
    step = ExecutionStep(1, "one", ExecutionState.FAILED, Counts(created=2), None, utc_now(), utc_now())
    async with database.begin() as connection:
        await lease_store.requeue(
            connection,
            Claim(execution.id, execution.fence),
            Progress(step.counts, (step,)),
            failure=lost_worker(1),
            delay=0,
        )
    assert len((await read_steps(database, [execution.id]))[execution.id]) == 1
    again = await claimed(database, execution.id)

    assert (again.counts, again.error_code) == (Counts(), None)
    assert (await read_steps(database, [execution.id]))[execution.id] == []
