"""The rules of executions that need no database."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvariantBroken, NotFound
from domain.execution import rules
from domain.execution.jobs import job_message
from domain.execution.model import (
    LIVE,
    TRANSITIONS,
    Command,
    Counts,
    Execution,
    ExecutionErrorCode,
    ExecutionState,
    ExecutionTrigger,
    Failure,
    Operation,
    Target,
)
from domain.execution.run import CancelRequested, Run, Step
from domain.ids import ExecutionId, MatchId, TournamentId
from domain.ingestion.errors import ProviderBadData, ProviderUnavailable

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
MATCH = MatchId(UUID(int=1))
TOURNAMENT = TournamentId(UUID(int=2))


def execution(**changes: object) -> Execution:
    values: dict[str, object] = {
        "id": ExecutionId(UUID(int=9)),
        "version": 1,
        "operation": Operation.SETTLE_MATCH,
        "target": Target(TOURNAMENT, None, MATCH),
        "params": {},
        "state": ExecutionState.IN_PROGRESS,
        "dry_run": False,
        "trigger": ExecutionTrigger.SYSTEM,
        "schedule_id": None,
        "actor_id": None,
        "reason": None,
        "request_id": "r-1",
        "retry_of": None,
        "attempt": 1,
        "max_attempts": 3,
        "not_before": NOW,
        "fence": 1,
        "queued_at": NOW,
        "started_at": NOW,
        "finished_at": None,
        "cancel_requested_at": None,
        "error_code": None,
        "error_message": None,
        "counts": Counts(),
        "report_key": None,
    }
    return Execution(**{**values, **changes})  # type: ignore[arg-type]


def test_every_state_has_its_row_and_final_states_have_no_successor() -> None:
    assert set(TRANSITIONS) == set(ExecutionState)
    assert {state for state, following in TRANSITIONS.items() if following} == set(LIVE)


def test_every_operation_has_a_policy() -> None:
    assert set(rules.POLICIES) == set(Operation)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (Command(Operation.SETTLE_MATCH, Target(TOURNAMENT, None, MATCH), {}), f"SETTLE_MATCH:{MATCH}"),
        (Command(Operation.SETTLE_MATCH, Target(None, None, MATCH), {}), f"SETTLE_MATCH:{MATCH}"),
        (Command(Operation.INGEST_TEAMS, Target(TOURNAMENT), {}), f"INGEST_TEAMS:{TOURNAMENT}"),
        (Command(Operation.SETTLE_PENDING, Target(), {}), "SETTLE_PENDING:*"),
        (
            Command(
                Operation.INGEST_TOURNAMENT,
                Target(),
                {"provider": "OPENFOOTBALL", "competition": "en.1", "season": "2024-25", "label": "x"},
            ),
            "INGEST_TOURNAMENT:OPENFOOTBALL:en.1:2024-25",
        ),
    ],
)
def test_operation_key_names_operation_and_target(command: Command, key: str) -> None:
    assert rules.operation_key(command) == key


@given(st.integers(1, 30), st.floats(0, 1))
def test_delays_never_leave_their_bounds(attempt: int, jitter: float) -> None:
    policy = rules.RetryPolicy(attempts=9, first_delay=2, factor=3, longest_delay=60, final=frozenset())
    full = min(2 * 3 ** (attempt - 1), 60)

    assert full / 2 <= rules.retry_delay(policy, attempt, jitter) <= full


def test_delays_grow_until_the_longest() -> None:
    policy = rules.RetryPolicy(attempts=9, first_delay=2, factor=3, longest_delay=60, final=frozenset())

    assert [rules.retry_delay(policy, attempt, 0) for attempt in range(1, 6)] == [2, 6, 18, 54, 60]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ProviderBadData("line 3 is broken"), ExecutionErrorCode.PROVIDER_BAD_DATA, "line 3 is broken"),
        (ProviderUnavailable("no answer"), ExecutionErrorCode.PROVIDER_UNAVAILABLE, "no answer"),
        (
            ValueError("secret"),
            ExecutionErrorCode.INTERNAL,
            "Unexpected error; see the logs under the request id r-1.",
        ),
        (
            NotFound("gone"),
            ExecutionErrorCode.INTERNAL,
            "Unexpected error; see the logs under the request id r-1.",
        ),
    ],
)
def test_only_expected_errors_speak_for_themselves(error: Exception, code: ExecutionErrorCode, message: str) -> None:
    assert rules.failure_of(error, "r-1") == Failure(code, message)


def test_a_broken_invariant_is_told_and_not_tried_again() -> None:
    failure = rules.failure_of(InvariantBroken("the ledger is off by 3"), "r-1")

    assert (failure.code, failure.message) == (ExecutionErrorCode.INTERNAL, "the ledger is off by 3")
    assert not rules.may_retry(rules.POLICIES[Operation.VERIFY_PROJECTION], failure, 1, 5)


def test_final_errors_and_spent_tries_are_not_tried_again() -> None:
    policy = rules.POLICIES[Operation.INGEST_MATCHES]
    passing = Failure(ExecutionErrorCode.PROVIDER_UNAVAILABLE, "")
    final = Failure(ExecutionErrorCode.PROVIDER_NOT_FOUND, "")

    assert rules.may_retry(policy, passing, 1, 3)
    assert not rules.may_retry(policy, passing, 3, 3)
    assert not rules.may_retry(policy, final, 1, 3)


@pytest.mark.parametrize("operation", Operation)
def test_a_third_lost_worker_is_final_whatever_the_tries(operation: Operation) -> None:
    policy = rules.POLICIES[operation]

    assert rules.may_retry(policy, rules.lost_worker(2), 2, 9, losses=2)
    assert not rules.may_retry(policy, rules.lost_worker(3), 3, 9, losses=3)


def test_job_message_has_the_seven_fields_and_a_version() -> None:
    message = job_message(execution(attempt=1), job_id=UUID(int=7), enqueued_at=NOW)

    assert message == {
        "v": 1,
        "jobId": str(UUID(int=7)),
        "executionId": str(UUID(int=9)),
        "requestId": "r-1",
        "jobType": "SETTLE_MATCH",
        "entityId": str(MATCH),
        "attempt": 2,
        "enqueuedAt": "2026-08-01T12:00:00+00:00",
    }


def test_a_note_shows_the_first_twenty_rejected_items() -> None:
    step = Step(1, "Matches", None, NOW)
    for index in range(23):
        step.reject(f"en.1.json, item {index}: negative score")
    lines = (step.as_of_now().note or "").split("\n")

    assert lines[0] == "en.1.json, item 0: negative score"
    assert lines[19:] == ["en.1.json, item 19: negative score", "and 3 more, see the report"]
    assert step.failed == 23


async def test_a_requested_cancel_is_obeyed_between_steps() -> None:
    times = iter(NOW + timedelta(seconds=second) for second in range(9))
    run = Run(execution(), database=None, clock=lambda: next(times))  # type: ignore[arg-type]  # steps need no database
    async with run.step("one", total=2) as step:
        run.notice(execution(cancel_requested_at=NOW))
        step.created += 2

    with pytest.raises(CancelRequested):
        async with run.step("two"):
            raise AssertionError
    assert [(one.name, one.state, one.counts.created) for one in run.progress().steps] == [
        ("one", ExecutionState.COMPLETED, 2)
    ]
    assert run.progress().counts == Counts(total=2, created=2)


async def test_a_step_that_raises_has_failed_and_one_that_is_stopped_has_not() -> None:
    run = Run(execution(), database=None, clock=lambda: NOW)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="broken"):
        async with run.step("one"):
            raise ValueError("broken")
    with pytest.raises(asyncio.CancelledError):
        async with run.step("two"):
            raise asyncio.CancelledError

    assert [step.state for step in run.progress().steps] == [ExecutionState.FAILED, ExecutionState.IN_PROGRESS]
