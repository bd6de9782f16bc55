"""The state machine of a provider's circuit breaker."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.execution.model import ExecutionErrorCode
from domain.ingestion.breaker.model import BreakerState, ProviderState
from domain.ingestion.breaker.rules import (
    POLICY,
    BreakerPolicy,
    admit,
    after_answer,
    after_failure,
    after_good_data,
    wait_of,
)
from domain.tournament.model import Provider

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
NEW = ProviderState(Provider.OPENFOOTBALL)
BLOCKED, AWAY = ExecutionErrorCode.PROVIDER_BLOCKED, ExecutionErrorCode.PROVIDER_UNAVAILABLE


def opened(state: ProviderState = NEW, at: datetime = NOON, code: ExecutionErrorCode = BLOCKED) -> ProviderState:
    return after_failure(state, state, code, POLICY, at)


def trial(state: ProviderState, at: datetime) -> ProviderState:
    admitted = admit(state, POLICY, at)
    assert admitted is not None
    return admitted


def test_a_refusal_by_the_provider_opens_it_at_once() -> None:
    state = opened()
    assert (state.breaker, state.reason, state.retry_at) == (BreakerState.OPEN, BLOCKED, NOON + MINUTE)


def test_missing_answers_open_it_at_the_fifth_in_a_row() -> None:
    state = NEW
    for count in range(1, 5):
        state = after_failure(state, state, AWAY, POLICY, NOON)
        assert (state.breaker, state.failures, state.reason) == (BreakerState.CLOSED, count, None)
    state = after_failure(state, state, AWAY, POLICY, NOON)
    assert (state.breaker, state.reason, state.retry_at) == (BreakerState.OPEN, AWAY, NOON + MINUTE)


@pytest.mark.parametrize("answer", ["good", "not found"])
def test_an_answer_in_between_begins_the_count_anew(answer: str) -> None:
    state = replace(NEW, failures=4)
    state = after_good_data(state, state, POLICY, NOON) if answer == "good" else after_answer(state, state)
    assert after_failure(state, state, AWAY, POLICY, NOON).breaker is BreakerState.CLOSED


def test_nobody_is_let_through_before_its_time_and_one_afterwards() -> None:
    state = opened()
    assert admit(state, POLICY, NOON + MINUTE - SECOND) is None
    half_open = trial(state, NOON + MINUTE)
    assert half_open.breaker is BreakerState.HALF_OPEN
    assert admit(half_open, POLICY, NOON + MINUTE + SECOND) is None


def test_a_trial_that_is_lost_gives_way_to_another() -> None:
    half_open = trial(opened(), NOON + MINUTE)
    assert trial(half_open, NOON + MINUTE + POLICY.trial).retry_at == NOON + MINUTE + 2 * POLICY.trial


def test_a_good_trial_closes_it_and_forgets() -> None:
    half_open = trial(opened(), NOON + MINUTE)
    state = after_good_data(half_open, half_open, POLICY, NOON + 2 * MINUTE)
    assert state == ProviderState(Provider.OPENFOOTBALL, last_good_at=NOON + 2 * MINUTE)


def test_a_trial_that_fails_opens_it_for_longer_up_to_a_bound() -> None:
    state, at, waits = opened(), NOON, []
    for _ in range(9):
        assert state.retry_at is not None
        waits.append(state.retry_at - at)
        at = state.retry_at
        half_open = trial(state, at)
        state = after_failure(half_open, half_open, AWAY, POLICY, at)
    assert waits == [n * MINUTE for n in (1, 2, 4, 8, 16, 32, 60, 60, 60)]
    assert wait_of(POLICY, 10**6) == POLICY.longest_wait


def test_what_was_asked_before_it_opened_neither_closes_nor_prolongs_it() -> None:
    state = opened()
    assert after_failure(state, NEW, BLOCKED, POLICY, NOON + SECOND) == state
    assert after_answer(state, NEW) == state
    late = after_good_data(state, NEW, POLICY, NOON + SECOND)
    assert late == replace(state, last_good_at=NOON + SECOND)


def test_a_lost_trial_that_comes_back_does_not_speak_for_the_present_one() -> None:
    lost = trial(opened(), NOON + MINUTE)
    present = trial(lost, NOON + MINUTE + POLICY.trial)
    assert after_failure(present, lost, BLOCKED, POLICY, NOON + 10 * MINUTE) == present
    assert after_answer(present, lost) == present


def test_good_data_are_noted_once_a_minute() -> None:
    first = after_good_data(NEW, NEW, POLICY, NOON)
    assert first.last_good_at == NOON
    assert after_good_data(first, first, POLICY, NOON + 59 * SECOND) == first
    assert after_good_data(first, first, POLICY, NOON + MINUTE).last_good_at == NOON + MINUTE


def test_a_policy_of_one_failure_opens_at_the_first() -> None:
    policy = BreakerPolicy(failures=1, first_wait=SECOND)
    assert after_failure(NEW, NEW, AWAY, policy, NOON).retry_at == NOON + SECOND
