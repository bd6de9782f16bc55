"""Cancel and retry: what they do in each state, who is named for it, and what of two at once happens."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text

from domain.audit.tables import audit_log
from domain.clock import utc_now
from domain.errors import InvalidInput, NotFound, WrongState
from domain.execution import commands
from domain.execution.lease import service as leases
from domain.execution.lease.store import Claim, Progress
from domain.execution.model import (
    Counts,
    Execution,
    ExecutionErrorCode,
    ExecutionState,
    ExecutionTrigger,
    Failure,
    Operation,
    Target,
)
from domain.execution.service import Accepted, live_executions
from domain.ids import ExecutionId, MemberId, new_id
from domain.outbox.tables import outbox
from integrations.object_store.folder import FolderStore
from tests.support.executions import queue, read_one
from tests.support.football import make_members, make_tournament
from tests.support.statements import until_one_waits

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

NOTHING = Progress(Counts(), ())
FAILURE = Failure(ExecutionErrorCode.PROVIDER_NOT_FOUND, "no such season")


async def cancel(
    database: "PostgresDatabase", execution_id: ExecutionId, *, actor: MemberId | None = None, reason: str = "not now"
) -> Execution:
    return await commands.cancel(database, execution_id, actor_id=actor, reason=reason, request_id="r-cancel")


async def retry(
    database: "PostgresDatabase", execution_id: ExecutionId, *, actor: MemberId | None = None, reason: str = "again"
) -> Accepted:
    return await commands.retry(database, execution_id, actor_id=actor, reason=reason, request_id="r-retry")


async def claimed(database: "PostgresDatabase", execution_id: ExecutionId) -> Execution:
    execution = await leases.claim(database, execution_id, owner="test", lease_seconds=60, job_id=new_id())
    assert execution is not None
    return execution


async def end(
    database: "PostgresDatabase", execution: Execution, state: ExecutionState, failure: Failure | None = None
) -> None:
    claim = Claim(execution.id, execution.fence)
    await leases.finish(database, claim, state, NOTHING, failure=failure, report_key=None)


async def failed(database: "PostgresDatabase", **command: Any) -> ExecutionId:
    accepted = await queue(database, **command)
    await end(database, await claimed(database, accepted.execution.id), ExecutionState.FAILED, FAILURE)
    return accepted.execution.id


async def acts(database: "PostgresDatabase") -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(select(audit_log).order_by(audit_log.c.id))).all())


async def messages(database: "PostgresDatabase", topic: str) -> list[dict[str, Any]]:
    async with database.read() as connection:
        rows = await connection.execute(select(outbox.c.message).where(outbox.c.topic == topic).order_by(outbox.c.id))
        return [row.message for row in rows]


# ---------------------------------------------------------------- cancel


async def test_what_is_queued_is_cancelled_at_once_and_never_claimed(database: "PostgresDatabase") -> None:
    (admin,) = await make_members(database, 1)
    accepted = await queue(database)
    cancelled = await cancel(database, accepted.execution.id, actor=admin, reason="  wrong season ")

    assert cancelled == await read_one(database, accepted.execution.id)
    assert (cancelled.state, cancelled.version, cancelled.attempt) == (ExecutionState.CANCELLED, 2, 0)
    assert cancelled.cancel_requested_at is not None
    assert cancelled.finished_at is not None
    assert cancelled.report_key is None
    assert await leases.claim(database, cancelled.id, owner="test", lease_seconds=5) is None
    assert await messages(database, "TICK") == [{"kind": "execution", "id": str(cancelled.id)}] * 2
    (act,) = await acts(database)
    assert (act.actor_kind, act.actor_id, act.action, act.reason, act.request_id) == (
        "MEMBER",
        admin,
        "cancelExecution",
        "wrong season",
        "r-cancel",
    )
    assert (act.subject_kind, act.subject_id, act.execution_id) == ("EXECUTION", cancelled.id, cancelled.id)
    assert act.before == {"state": "QUEUED", "cancelRequestedAt": None}
    assert act.after["state"] == "CANCELLED"


async def test_what_waits_for_another_try_is_cancelled_at_once(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    execution = await claimed(database, accepted.execution.id)
    failure = Failure(ExecutionErrorCode.PROVIDER_UNAVAILABLE, "no answer")
    claim = Claim(execution.id, execution.fence)
    await leases.retry_later(database, claim, NOTHING, failure=failure, delay=3600)

    assert (await cancel(database, execution.id)).state is ExecutionState.CANCELLED


async def test_what_runs_is_asked_once_however_often_one_says_it(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    running = await claimed(database, accepted.execution.id)
    asked = await cancel(database, running.id)
    again = await cancel(database, running.id)

    assert (asked.state, asked.version) == (ExecutionState.IN_PROGRESS, running.version + 1)
    assert asked.cancel_requested_at is not None
    assert again == asked
    assert [(act.actor_kind, act.action) for act in await acts(database)] == [("OPERATOR", "cancelExecution")] * 2


@pytest.mark.parametrize("state", [ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.CANCELLED])
async def test_what_is_over_cannot_be_cancelled(database: "PostgresDatabase", state: ExecutionState) -> None:
    accepted = await queue(database)
    failure = FAILURE if state is ExecutionState.FAILED else None
    await end(database, await claimed(database, accepted.execution.id), state, failure)
    before = await read_one(database, accepted.execution.id)

    with pytest.raises(WrongState, match=f"already ended: {state}"):
        await cancel(database, before.id)
    assert await read_one(database, before.id) == before
    assert await acts(database) == []


async def test_a_cancel_does_not_wait_for_transactions_of_the_run(database: "PostgresDatabase") -> None:
    """They hold the row against being taken away, as the foreign keys of what they write do."""
    accepted = await queue(database)
    execution = await claimed(database, accepted.execution.id)
    async with database.begin() as connection:
        await connection.execute(
            text("SELECT id FROM executions WHERE id = :id FOR KEY SHARE").bindparams(id=execution.id)
        )
        async with asyncio.timeout(20):
            assert (await cancel(database, execution.id)).cancel_requested_at is not None


async def test_a_cancel_that_meets_a_claim_asks_the_worker(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    async with database.begin() as connection:
        await connection.execute(
            text(
                "UPDATE executions SET state = 'IN_PROGRESS', attempt = 1, fence = 1, started_at = clock_timestamp(),"
                " lease_until = clock_timestamp() + interval '1 minute'"
            )
        )
        cancelling = asyncio.create_task(cancel(database, accepted.execution.id))
        await until_one_waits(database)
    asked = await cancelling

    assert asked.state is ExecutionState.IN_PROGRESS
    assert asked.cancel_requested_at is not None


async def test_a_claim_that_meets_a_cancel_finds_nothing(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    async with database.begin() as connection:
        await connection.execute(
            text(
                "UPDATE executions SET state = 'CANCELLED', cancel_requested_at = clock_timestamp(),"
                " finished_at = clock_timestamp()"
            )
        )
        claiming = asyncio.create_task(leases.claim(database, accepted.execution.id, owner="test", lease_seconds=5))
        await until_one_waits(database)

    assert await claiming is None


async def test_of_claims_and_cancels_at_once_one_order_holds(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=20)
    ids = [
        (await queue(database, operation=Operation.SETTLE_MATCH, target=Target(made.id, None, match))).execution.id
        for match in made.matches
    ]

    async def race(execution_id: ExecutionId) -> tuple[Execution | None, Execution]:
        claim = leases.claim(database, execution_id, owner="test", lease_seconds=60)
        return await asyncio.gather(claim, cancel(database, execution_id))

    for claim, cancelled in await asyncio.gather(*(race(one) for one in ids)):
        assert cancelled.state is (ExecutionState.CANCELLED if claim is None else ExecutionState.IN_PROGRESS)
        assert cancelled.cancel_requested_at is not None


# ---------------------------------------------------------------- a cancel and the end of the try


async def asked_to_stop(database: "PostgresDatabase") -> Execution:
    accepted = await queue(database)
    execution = await claimed(database, accepted.execution.id)
    return await cancel(database, execution.id)


async def test_there_is_no_other_try_after_a_cancel(database: "PostgresDatabase") -> None:
    failure = Failure(ExecutionErrorCode.PROVIDER_UNAVAILABLE, "no answer")
    failing = await asked_to_stop(database)
    await leases.retry_later(database, Claim(failing.id, failing.fence), NOTHING, failure=failure, delay=0)
    given_back = await asked_to_stop(database)
    await leases.give_back(database, Claim(given_back.id, given_back.fence))

    for execution_id in (failing.id, given_back.id):
        execution = await read_one(database, execution_id)
        assert execution.state is ExecutionState.CANCELLED
        assert execution.finished_at is not None
    assert len(await messages(database, "JOB")) == 2  # those of the first tries


async def test_a_cancel_outlives_the_worker_that_was_to_obey(database: "PostgresDatabase", tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    execution = await asked_to_stop(database)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE executions SET lease_until = clock_timestamp() - interval '1 hour'"))
    (taken,) = await leases.take_from_lost_workers(database, store, utc_now)

    assert (taken.state, taken.fence) == (ExecutionState.CANCELLED, execution.fence + 1)
    assert taken.report_key is not None
    assert json.loads(await store.get(taken.report_key) or b"")["state"] == "CANCELLED"
    assert await live_executions(database) == []


# ---------------------------------------------------------------- retry


async def test_a_retry_is_a_new_execution_that_names_the_old_one(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=2)
    (admin,) = await make_members(database, 1)
    target = Target(made.id, made.rounds[0], made.matches[0])
    old_id = await failed(database, operation=Operation.SETTLE_MATCH, target=target, params={"a": [1]})
    old = await read_one(database, old_id)
    accepted = await retry(database, old_id, actor=admin, reason="the provider is back")
    new = await read_one(database, accepted.execution.id)

    assert accepted == Accepted(new, already_live=False)
    assert (new.operation, new.target, new.params, new.retry_of) == (old.operation, target, {"a": [1]}, old_id)
    assert (new.state, new.attempt, new.trigger, new.actor_id, new.reason, new.request_id) == (
        ExecutionState.QUEUED,
        0,
        ExecutionTrigger.ADMIN,
        admin,
        "the provider is back",
        "r-retry",
    )
    assert await read_one(database, old_id) == old
    job = (await messages(database, "JOB"))[-1]
    assert (job["executionId"], job["requestId"], job["attempt"]) == (str(new.id), "r-retry", 1)
    (act,) = await acts(database)
    assert (act.action, act.subject_id, act.execution_id, act.actor_id) == ("retryExecution", old_id, new.id, admin)
    assert act.before == {"state": "FAILED", "cancelRequestedAt": None}
    assert act.after == {"alreadyLive": False, "deadLetterReplayed": True}


async def test_what_was_cancelled_can_be_retried(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    await cancel(database, accepted.execution.id)
    again = await retry(database, accepted.execution.id)

    assert again.execution.retry_of == accepted.execution.id
    assert (await acts(database))[-1].after == {"alreadyLive": False, "deadLetterReplayed": False}


async def test_an_equal_live_one_is_the_answer_of_a_retry(database: "PostgresDatabase") -> None:
    old_id = await failed(database)
    live = await queue(database, trigger=ExecutionTrigger.SCHEDULE)
    again = await retry(database, old_id)

    assert again == Accepted(live.execution, already_live=True)
    assert again.execution.retry_of is None
    assert len(await live_executions(database)) == 1


async def test_a_retry_is_refused_while_the_operation_lives_with_other_parameters(
    database: "PostgresDatabase",
) -> None:
    old_id = await failed(database, params={"a": 1})
    await queue(database, params={"a": 2}, trigger=ExecutionTrigger.SCHEDULE)

    with pytest.raises(WrongState, match="other parameters"):
        await retry(database, old_id)
    assert len(await live_executions(database)) == 1
    assert await acts(database) == []


@pytest.mark.parametrize("state", [ExecutionState.QUEUED, ExecutionState.IN_PROGRESS, ExecutionState.COMPLETED])
async def test_what_lives_or_is_done_cannot_be_retried(database: "PostgresDatabase", state: ExecutionState) -> None:
    accepted = await queue(database)
    if state is not ExecutionState.QUEUED:
        execution = await claimed(database, accepted.execution.id)
    if state is ExecutionState.COMPLETED:
        await end(database, execution, state)

    with pytest.raises(WrongState, match=f"this one is {state}"):
        await retry(database, accepted.execution.id)
    assert len(await messages(database, "JOB")) == 1


async def test_twenty_retries_at_once_are_one_execution(database: "PostgresDatabase") -> None:
    old_id = await failed(database)
    accepted = await asyncio.gather(*(retry(database, old_id) for _ in range(20)))

    assert len({one.execution.id for one in accepted}) == 1
    assert sum(not one.already_live for one in accepted) == 1
    assert sum(act.after["deadLetterReplayed"] for act in await acts(database)) == 1


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("reason", ["", "no", " x  ", "x" * 501, "be\0cause"])
async def test_without_a_reason_nothing_happens(database: "PostgresDatabase", reason: str) -> None:
    accepted = await queue(database)
    old_id = await failed(database, operation=Operation.REBUILD_PROJECTION)
    for command in (cancel(database, accepted.execution.id, reason=reason), retry(database, old_id, reason=reason)):
        with pytest.raises(InvalidInput) as refusal:
            await command
        assert refusal.value.field == ("reason",)
    assert [one.id for one in await live_executions(database)] == [accepted.execution.id]
    assert await acts(database) == []


async def test_what_does_not_exist_is_neither_cancelled_nor_retried(database: "PostgresDatabase") -> None:
    unknown = ExecutionId(new_id())
    for command in (cancel(database, unknown), retry(database, unknown)):
        with pytest.raises(NotFound) as refusal:
            await command
        assert refusal.value.field == ("executionId",)
    assert await acts(database) == []
