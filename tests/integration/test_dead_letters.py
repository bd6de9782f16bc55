"""Dead letters: written in the commit in which an execution fails, read in pages, replayed or discarded once."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from domain.audit.tables import audit_log
from domain.clock import utc_now
from domain.errors import InvalidInput, NotFound, WrongState
from domain.execution import commands
from domain.execution.dead_letter import service as dead_letters
from domain.execution.dead_letter.model import DeadLetter, DeadLetterResolution
from domain.execution.dead_letter.tables import dead_letters as table
from domain.execution.lease import service as leases
from domain.execution.lease.store import Claim
from domain.execution.model import (
    Execution,
    ExecutionErrorCode,
    ExecutionState,
    ExecutionTrigger,
    Failure,
    Operation,
    Target,
)
from domain.execution.run import LeaseLost, Run
from domain.execution.service import live_executions
from domain.ids import DeadLetterId, MemberId, new_id
from domain.ingestion.errors import ProviderUnavailable
from domain.outbox.tables import outbox
from integrations.object_store.folder import FolderStore
from tasks.handlers import HANDLERS
from tests.support.dead_letters import FAILURE, NOTHING, all_letters, fail, fail_many, letter_of, open_letters
from tests.support.executions import executor_of, queue, read_one
from tests.support.football import make_members, make_tournament

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


async def last_job(database: "PostgresDatabase") -> dict[str, Any]:
    async with database.read() as connection:
        rows = select(outbox.c.message).where(outbox.c.topic == "JOB").order_by(outbox.c.id.desc()).limit(1)
        found: dict[str, Any] = (await connection.execute(rows)).scalar_one()
        return found


async def make_due(database: "PostgresDatabase") -> None:
    past = "clock_timestamp() - interval '1 hour'"
    async with database.begin() as connection:
        await connection.execute(text(f"UPDATE executions SET not_before = {past}, enqueued_at = {past}"))
        await connection.execute(text("UPDATE executions SET lease_until = not_before WHERE lease_until IS NOT NULL"))


async def replay(
    database: "PostgresDatabase", letter: DeadLetter, *, actor: MemberId | None = None, reason: str = "cured"
) -> tuple[DeadLetter, Execution]:
    return await dead_letters.replay(database, letter.id, actor_id=actor, reason=reason, request_id="r-replay")


async def discard(
    database: "PostgresDatabase", letter: DeadLetter, *, actor: MemberId | None = None, reason: str = "too late"
) -> DeadLetter:
    return await dead_letters.discard(database, letter.id, actor_id=actor, reason=reason, request_id="r-discard")


async def acts(database: "PostgresDatabase") -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(select(audit_log).order_by(audit_log.c.id))).all())


# ---------------------------------------------------------------- how one comes to be


async def test_the_last_try_leaves_a_letter_with_its_job_and_the_place_in_our_code(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    """A real handler fails: a match without its target."""
    accepted = await queue(database, operation=Operation.SETTLE_MATCH, request_id="r-4")
    job = await last_job(database)

    async def work(run: Run) -> None:
        await HANDLERS[Operation.SETTLE_MATCH](run, None)  # type: ignore[arg-type]  # it does not come so far

    await executor_of(database, work, FolderStore(tmp_path)).deliver(job)
    execution = await read_one(database, accepted.execution.id)
    letter = await letter_of(database, execution.id)

    assert execution.state is ExecutionState.FAILED
    assert letter.message == job
    assert (letter.operation, letter.attempts) == (Operation.SETTLE_MATCH, 1)
    assert letter.failure == Failure(ExecutionErrorCode.PREREQUISITE_MISSING, "Say which match to settle.")
    lines = (letter.trace or "").split("\n")
    assert lines[0] == "tasks.handlers.TargetMissing"
    assert lines[1].startswith("  tasks/handlers.py:")
    assert lines[1].endswith(" _settle_match")
    assert len(lines) == 2
    assert (letter.resolution, letter.resolved_by, letter.resolved_at, letter.reason) == (None,) * 4


async def test_tries_that_are_repeated_leave_one_letter_of_the_last_one(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    async def work(_: Run) -> None:
        raise ProviderUnavailable("no answer")

    accepted = await queue(database, operation=Operation.INGEST_MATCHES)
    executor = executor_of(database, work, FolderStore(tmp_path))
    for _ in range(3):
        assert await all_letters(database) == []
        await make_due(database)
        await leases.send_all_waiting(database)
        job = await last_job(database)
        await executor.deliver(job)
    (letter,) = await all_letters(database)

    assert (letter.execution_id, letter.attempts, letter.message) == (accepted.execution.id, 3, job)
    assert letter.message["attempt"] == 3
    assert letter.failure == Failure(ExecutionErrorCode.PROVIDER_UNAVAILABLE, "no answer")


async def test_a_third_lost_worker_leaves_a_letter_without_a_trace(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    accepted = await queue(database, operation=Operation.SETTLE_PENDING)  # five tries, three workers
    job_id = new_id()
    for losses in (1, 2, 3):
        assert await all_letters(database) == []
        await make_due(database)
        assert await leases.claim(database, accepted.execution.id, owner="test", lease_seconds=5, job_id=job_id)
        await make_due(database)
        (taken,) = await leases.take_from_lost_workers(database, FolderStore(tmp_path), utc_now)
        assert taken.losses == losses
    letter = await letter_of(database, taken.id)

    assert (taken.state, taken.attempt, taken.max_attempts) == (ExecutionState.FAILED, 3, 5)
    assert (letter.attempts, letter.trace, letter.message["jobId"]) == (3, None, str(job_id))
    assert letter.failure == Failure(ExecutionErrorCode.WORKER_LOST, "The worker of try 3 was lost.")


async def test_failed_and_its_letter_are_one_commit(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    execution = await leases.claim(database, accepted.execution.id, owner="test", lease_seconds=60)
    assert execution is not None
    claim = Claim(execution.id, execution.fence)
    async with database.begin() as connection:
        await connection.execute(text("ALTER TABLE dead_letters ADD CONSTRAINT never CHECK (attempts < 0)"))
    with pytest.raises(DBAPIError, match="never"):
        await leases.finish(
            database, claim, ExecutionState.FAILED, NOTHING, failure=FAILURE, report_key=None, trace=None
        )

    assert await read_one(database, execution.id) == execution


@pytest.mark.parametrize("state", [ExecutionState.COMPLETED, ExecutionState.CANCELLED])
async def test_only_what_has_failed_leaves_a_letter(database: "PostgresDatabase", state: ExecutionState) -> None:
    accepted = await queue(database)
    execution = await leases.claim(database, accepted.execution.id, owner="test", lease_seconds=60)
    assert execution is not None
    claim = Claim(execution.id, execution.fence)
    await leases.finish(database, claim, state, NOTHING, failure=None, report_key=None)

    assert await all_letters(database) == []


async def test_a_worker_that_lost_its_lease_leaves_no_letter(database: "PostgresDatabase") -> None:
    accepted = await queue(database)
    execution = await leases.claim(database, accepted.execution.id, owner="test", lease_seconds=60)
    assert execution is not None
    with pytest.raises(LeaseLost):
        await leases.finish(
            database,
            Claim(execution.id, execution.fence - 1),
            ExecutionState.FAILED,
            NOTHING,
            failure=FAILURE,
            report_key=None,
        )

    assert await all_letters(database) == []


# ---------------------------------------------------------------- reading


async def test_pages_follow_each_other_latest_first(database: "PostgresDatabase") -> None:
    letters = await fail_many(database, 7)
    async with database.begin() as connection:  # of one instant: the id decides
        same = update(table).where(table.c.id.in_([one.id for one in letters[:4]]))
        await connection.execute(same.values(died_at=datetime(2026, 8, 1, tzinfo=UTC)))
    for one in letters[4:6]:
        await discard(database, one)

    for include_resolved, count in ((True, 7), (False, 5)):
        found: list[DeadLetter] = []
        while True:
            after = (found[-1].died_at, found[-1].id) if found else None
            rows = await dead_letters.page(database, include_resolved=include_resolved, first=2, after=after)
            found += rows[:2]
            if len(rows) <= 2:
                break
        assert len({one.id for one in found}) == len(found) == count
        assert found == sorted(found, key=lambda one: (-one.died_at.timestamp(), one.id))
    assert await dead_letters.read(database, [letters[6].id, DeadLetterId(new_id())]) == {letters[6].id: letters[6]}


# ---------------------------------------------------------------- replay and discard


async def test_a_replay_is_a_new_execution_of_the_same_work(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=2)
    (admin,) = await make_members(database, 1)
    target = Target(made.id, None, made.matches[0])
    letter = await fail(database, operation=Operation.SETTLE_MATCH, target=target, params={"a": 1})
    resolved, execution = await replay(database, letter, actor=admin, reason=" provider is back ")

    assert execution == await read_one(database, execution.id)
    assert (execution.state, execution.retry_of, execution.trigger) == (
        ExecutionState.QUEUED,
        letter.execution_id,
        ExecutionTrigger.ADMIN,
    )
    assert (execution.operation, execution.target, execution.params) == (Operation.SETTLE_MATCH, target, {"a": 1})
    assert (execution.actor_id, execution.reason, execution.request_id) == (admin, "provider is back", "r-replay")
    assert resolved == await letter_of(database, letter.execution_id)
    assert (resolved.resolution, resolved.resolved_by, resolved.reason) == (
        DeadLetterResolution.REPLAYED,
        admin,
        "provider is back",
    )
    assert resolved.resolved_at is not None
    assert await open_letters(database) == []
    (act,) = await acts(database)
    assert (act.actor_kind, act.actor_id, act.action, act.reason, act.request_id) == (
        "MEMBER",
        admin,
        "replayDeadLetter",
        "provider is back",
        "r-replay",
    )
    assert (act.subject_kind, act.subject_id, act.execution_id) == ("DEAD_LETTER", letter.id, execution.id)
    assert (act.before, act.after) == ({"resolution": None}, {"resolution": "REPLAYED", "alreadyLive": False})


async def test_an_operator_needs_no_account_to_discard(database: "PostgresDatabase") -> None:
    letter = await fail(database)
    resolved = await discard(database, letter)

    assert (resolved.resolution, resolved.resolved_by, resolved.reason) == (
        DeadLetterResolution.DISCARDED,
        None,
        "too late",
    )
    assert await live_executions(database) == []
    (act,) = await acts(database)
    assert (act.actor_kind, act.action, act.subject_id, act.execution_id) == (
        "OPERATOR",
        "discardDeadLetter",
        letter.id,
        letter.execution_id,
    )


async def test_a_replay_finds_an_equal_live_one_and_is_refused_beside_another(database: "PostgresDatabase") -> None:
    equal = await fail(database, params={"a": 1})
    other = await fail(database, operation=Operation.REBUILD_PROJECTION, params={"a": 1})
    live = await queue(database, params={"a": 1}, trigger=ExecutionTrigger.SCHEDULE)
    await queue(database, operation=Operation.REBUILD_PROJECTION, params={"a": 2}, trigger=ExecutionTrigger.SCHEDULE)

    resolved, execution = await replay(database, equal)
    assert (resolved.resolution, execution) == (DeadLetterResolution.REPLAYED, live.execution)
    with pytest.raises(WrongState, match="other parameters"):
        await replay(database, other)
    assert await open_letters(database) == [other]


async def test_what_is_resolved_stays_so(database: "PostgresDatabase") -> None:
    replayed, discarded = await fail_many(database, 2)
    first, _ = await replay(database, replayed)
    second = await discard(database, discarded)

    for letter, word in ((replayed, "REPLAYED"), (discarded, "DISCARDED")):
        with pytest.raises(WrongState, match=f"already {word}"):
            await replay(database, letter)
        with pytest.raises(WrongState, match=f"already {word}"):
            await discard(database, letter)
    assert await dead_letters.read(database, [first.id, second.id]) == {first.id: first, second.id: second}
    assert len(await live_executions(database)) == 1
    assert len(await acts(database)) == 2


async def test_a_retry_of_its_execution_counts_as_a_replay(database: "PostgresDatabase") -> None:
    (admin,) = await make_members(database, 1)
    letter, discarded = await fail_many(database, 2)
    await discard(database, discarded)
    for one in (letter, discarded):
        await commands.retry(database, one.execution_id, actor_id=admin, reason="once more", request_id="r")

    resolved = await letter_of(database, letter.execution_id)
    assert (resolved.resolution, resolved.resolved_by, resolved.reason) == (
        DeadLetterResolution.REPLAYED,
        admin,
        "once more",
    )
    assert (await letter_of(database, discarded.execution_id)).resolution is DeadLetterResolution.DISCARDED
    assert len(await live_executions(database)) == 2


async def test_of_many_replays_retries_and_discards_at_once_one_resolves(database: "PostgresDatabase") -> None:
    letters = await fail_many(database, 5)

    async def race(letter: DeadLetter) -> int:
        outcomes = await asyncio.gather(
            *(replay(database, letter) for _ in range(3)),
            *(discard(database, letter) for _ in range(3)),
            return_exceptions=True,
        )
        assert all(isinstance(one, tuple | DeadLetter | WrongState) for one in outcomes), outcomes
        return sum(not isinstance(one, WrongState) for one in outcomes)

    assert await asyncio.gather(*(race(letter) for letter in letters)) == [1] * 5
    found = await all_letters(database)
    assert len(await live_executions(database)) == sum(one.resolution is DeadLetterResolution.REPLAYED for one in found)
    assert len(await acts(database)) == 5


async def test_a_replay_and_a_retry_at_once_are_one_execution(database: "PostgresDatabase") -> None:
    letters = await fail_many(database, 5)

    async def race(letter: DeadLetter) -> None:
        retry = commands.retry(database, letter.execution_id, actor_id=None, reason="once more", request_id="r")
        await asyncio.gather(replay(database, letter), retry, return_exceptions=True)

    await asyncio.gather(*(race(letter) for letter in letters))
    live = await live_executions(database)
    assert {one.retry_of for one in live} == {one.execution_id for one in letters}
    assert len(live) == 5


@pytest.mark.parametrize("reason", ["", "no", " x  ", "x" * 501])
async def test_without_a_reason_nothing_happens(database: "PostgresDatabase", reason: str) -> None:
    letter = await fail(database)
    for command in (replay(database, letter, reason=reason), discard(database, letter, reason=reason)):
        with pytest.raises(InvalidInput) as refusal:
            await command
        assert refusal.value.field == ("reason",)
    assert await open_letters(database) == [letter]
    assert await acts(database) == []


async def test_an_unknown_letter_is_not_found(database: "PostgresDatabase") -> None:
    unknown = DeadLetterId(new_id())
    for command in (dead_letters.replay, dead_letters.discard):
        with pytest.raises(NotFound) as refusal:
            await command(database, unknown, actor_id=None, reason="because", request_id="r")
        assert refusal.value.field == ("deadLetterId",)


async def test_the_database_itself_wants_a_resolution_whole(database: "PostgresDatabase") -> None:
    await fail(database)

    async def change(values: str) -> None:
        async with database.begin() as connection:
            await connection.execute(text(f"UPDATE dead_letters SET {values}"))

    for values in (
        "resolution = 'REPLAYED'",
        "resolution = 'REPLAYED', resolved_at = now()",
        "resolution = 'DISCARDED', reason = 'because'",
        "resolved_at = now(), reason = 'because'",
        "resolution = 'LOST', resolved_at = now(), reason = 'because'",
    ):
        with pytest.raises(DBAPIError, match="check constraint"):
            await change(values)
    await change("resolution = 'DISCARDED', resolved_at = now(), reason = 'because'")
