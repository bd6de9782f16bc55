"""Rules of executions: when two commands are about the same thing, and when a failed one is tried again."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from domain.errors import DomainError, InvariantBroken
from domain.execution.model import (
    Command,
    Counts,
    ExecutionErrorCode,
    ExecutionStep,
    Failure,
    Operation,
    Target,
)

# What an operation is about when its target does not exist yet, or is not all of it.
_IDENTITY: Mapping[Operation, tuple[str, ...]] = {
    Operation.INGEST_TOURNAMENT: ("provider", "competition", "season"),
    Operation.EXPORT_LEADERBOARD: (
        "memberId",
        "leagueId",
        "tournamentId",
        "roundId",
        "asOf",
        "settledOnly",
        "ending",
    ),
    Operation.ERASE_MEMBER: ("memberId",),
}
# Failures whose own words may be shown.
_SPOKEN = frozenset(ExecutionErrorCode) - {ExecutionErrorCode.INTERNAL, ExecutionErrorCode.WORKER_LOST}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a failed operation is tried again. Delays are in seconds, before jitter."""

    attempts: int
    first_delay: float
    factor: float
    longest_delay: float
    final: frozenset[ExecutionErrorCode]
    """What another try would not change."""
    losses: int = 3
    """After so many tries that ended with the loss of their worker there is no other: it may be what ends them."""


_FINAL = frozenset(
    {
        ExecutionErrorCode.PROVIDER_BLOCKED,
        ExecutionErrorCode.PROVIDER_NOT_FOUND,
        ExecutionErrorCode.PROVIDER_BAD_DATA,
        ExecutionErrorCode.PREREQUISITE_MISSING,
        ExecutionErrorCode.RESULT_INCOMPLETE,
        ExecutionErrorCode.STALE_PREVIEW,
    }
)
_INGESTION = RetryPolicy(attempts=3, first_delay=5, factor=3, longest_delay=60, final=_FINAL)
_OWN_WORK = RetryPolicy(attempts=5, first_delay=0.5, factor=3, longest_delay=30, final=_FINAL)

POLICIES: Mapping[Operation, RetryPolicy] = {
    Operation.INGEST_TOURNAMENT: _INGESTION,
    Operation.INGEST_ROUNDS: _INGESTION,
    Operation.INGEST_TEAMS: _INGESTION,
    Operation.INGEST_MATCHES: _INGESTION,
    Operation.INGEST_ROUND_MATCHES: _INGESTION,
    Operation.INGEST_MATCH: _INGESTION,
    Operation.INGEST_STANDINGS: _INGESTION,
    Operation.INGEST_KNOCKOUT_ROUNDS: _INGESTION,
    Operation.SYNC_CURRENT_ROUND: _INGESTION,
    Operation.POLL_OPEN_MATCHES: _INGESTION,
    Operation.SETTLE_MATCH: _OWN_WORK,
    Operation.SETTLE_PENDING: _OWN_WORK,
    Operation.REBUILD_PROJECTION: _OWN_WORK,
    Operation.VERIFY_PROJECTION: _OWN_WORK,
    Operation.PRUNE_HISTORY: _OWN_WORK,
    Operation.CORRECT_RESULT: _OWN_WORK,
    Operation.REPLAY_SETTLEMENT: _OWN_WORK,
    Operation.EXPORT_LEADERBOARD: _OWN_WORK,
    Operation.ERASE_MEMBER: _OWN_WORK,
}


def operation_key(command: Command) -> str:
    """Names the operation and its target; two live executions never share it."""
    names = _IDENTITY.get(command.operation)
    if names is not None:
        return ":".join([command.operation, *(str(command.params.get(name, "")) for name in names)])
    return f"{command.operation}:{entity_of(command.target) or '*'}"


def is_dry_run(command: Command) -> bool:
    """Whether it only reports what it would do; the contract's inputs name it alike."""
    return command.params.get("dryRun") is True


def entity_of(target: Target) -> UUID | None:
    """The narrowest thing that a target names; None for all active tournaments."""
    return target.match_id or target.round_id or target.tournament_id


def retry_delay(policy: RetryPolicy, attempt: int, jitter: float) -> float:
    """Seconds to wait after the failed try number `attempt` (from 1); `jitter` in 0..1 takes up to half away."""
    delay = min(policy.first_delay * policy.factor ** (attempt - 1), policy.longest_delay)
    return delay * (1 - jitter / 2)


def may_retry(policy: RetryPolicy, failure: Failure, attempt: int, max_attempts: int, *, losses: int = 0) -> bool:
    """Whether another try follows the failed try number `attempt`; `losses` of the tries ended with their worker."""
    is_spent = attempt >= max_attempts or losses >= policy.losses
    return not is_spent and not failure.is_final and failure.code not in policy.final


def failure_of(error: BaseException, request_id: str) -> Failure:
    """What may be said of an exception: expected ones in their own words, others only where to look."""
    if isinstance(error, DomainError) and error.code in _SPOKEN:
        return Failure(ExecutionErrorCode(error.code), error.message)
    if isinstance(error, InvariantBroken):
        return Failure(ExecutionErrorCode.INTERNAL, error.message, is_final=True)
    return Failure(ExecutionErrorCode.INTERNAL, f"Unexpected error; see the logs under the request id {request_id}.")


def lost_worker(attempt: int) -> Failure:
    """The failure of a try whose worker was not heard of again."""
    return Failure(ExecutionErrorCode.WORKER_LOST, f"The worker of try {attempt} was lost.")


def sum_of(steps: list[ExecutionStep]) -> Counts:
    """The steps together; the total is known when that of a step is."""
    totals = [step.counts.total for step in steps if step.counts.total is not None]
    return Counts(
        total=sum(totals) if totals else None,
        created=sum(step.counts.created for step in steps),
        updated=sum(step.counts.updated for step in steps),
        unchanged=sum(step.counts.unchanged for step in steps),
        failed=sum(step.counts.failed for step in steps),
    )
