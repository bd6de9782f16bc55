"""The state machine of a breaker. Pure: the instant is given, and each step answers with the next state."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from domain.execution.model import ExecutionErrorCode
from domain.ingestion.breaker.model import BreakerState, ProviderState


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens, and for how long."""

    failures: int = 5
    """Missing answers in a row that open it; a refusal by the provider opens it at once."""
    first_wait: timedelta = timedelta(minutes=1)
    factor: int = 2
    longest_wait: timedelta = timedelta(hours=1)
    trial: timedelta = timedelta(minutes=2)
    """How long the one request of HALF_OPEN may take before another is let through in its stead."""
    notes_good_every: timedelta = timedelta(minutes=1)
    """Good answers within that time of the last noted one are not written down."""


POLICY = BreakerPolicy()


def admit(state: ProviderState, policy: BreakerPolicy, now: datetime) -> ProviderState | None:
    """The state in which a request may begin, None when it must not. One that is not the given state is a trial."""
    if state.breaker is BreakerState.CLOSED:
        return state
    if state.retry_at is not None and now < state.retry_at:
        return None
    return replace(state, breaker=BreakerState.HALF_OPEN, retry_at=now + policy.trial)


def after_good_data(
    state: ProviderState, admitted: ProviderState, policy: BreakerPolicy, now: datetime
) -> ProviderState:
    """Good data came for a request that was let through in the state `admitted`."""
    closed = after_answer(state, admitted)
    noted = state.last_good_at
    if closed == state and noted is not None and now - noted < policy.notes_good_every:
        return state
    return replace(closed, last_good_at=now)


def after_answer(state: ProviderState, admitted: ProviderState) -> ProviderState:
    """The provider answered, if only that it has no such thing: it is there."""
    if not _counts(state, admitted):
        return state
    return ProviderState(state.provider, last_good_at=state.last_good_at)


def after_failure(
    state: ProviderState, admitted: ProviderState, code: ExecutionErrorCode, policy: BreakerPolicy, now: datetime
) -> ProviderState:
    """The provider refused (PROVIDER_BLOCKED) or did not answer (PROVIDER_UNAVAILABLE)."""
    if not _counts(state, admitted):
        return state
    failures = state.failures + 1
    is_trial = state.breaker is BreakerState.HALF_OPEN
    if not is_trial and code is not ExecutionErrorCode.PROVIDER_BLOCKED and failures < policy.failures:
        return replace(state, failures=failures)
    return replace(
        state,
        breaker=BreakerState.OPEN,
        reason=code,
        retry_at=now + wait_of(policy, state.openings),
        failures=0,
        openings=state.openings + 1,
    )


def wait_of(policy: BreakerPolicy, openings: int) -> timedelta:
    """How long it stays open after having opened so often already."""
    # Beyond that the bound holds anyway, and the power would be a very long number.
    times: int = policy.factor ** min(openings, 32)
    return min(policy.first_wait * times, policy.longest_wait)


def _counts(state: ProviderState, admitted: ProviderState) -> bool:
    """Whether an answer says anything new: those of requests from before the breaker moved do not."""
    return (state.breaker, state.retry_at) == (admitted.breaker, admitted.retry_at)
