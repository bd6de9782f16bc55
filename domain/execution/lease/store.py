"""SQL of the lease: renew, give back, take away; its two ends are in `ends/store.py`.

Every write names the fence that the claim was given.

A transaction that writes for an execution holds a shared advisory lock on it (`hold`); whoever takes the execution
away needs that lock alone, so the fence never moves under an open transaction, and heartbeats and cancels need not
wait for it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    Float,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.execution.effect import Effect, to_json
from domain.execution.model import Counts, Execution, ExecutionState, ExecutionStep, Failure
from domain.execution.store import COLUMNS, IS_KNOWN, to_execution
from domain.execution.tables import execution_steps, executions
from domain.ids import ExecutionId
from domain.tables import Uuid

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

_ADVISORY_CLASS = 0x45584543
_NO_LEASE = {"lease_owner": None, "lease_until": None}
_NO_ERROR = {"error_code": None, "error_message": None}
_STEP_COLUMNS = (
    "name",
    "state",
    "total",
    "created",
    "updated",
    "unchanged",
    "failed",
    "note",
    "started_at",
    "finished_at",
)

# Hand-written, for what SQLAlchemy 2.0 writes of ON CONFLICT it compiles anew each time.
_WRITE_STEPS = text(
    f"INSERT INTO execution_steps (execution_id, position, {', '.join(_STEP_COLUMNS)})"  # noqa: S608 -- our own names
    f" SELECT :of, position, {', '.join(_STEP_COLUMNS)}"
    " FROM jsonb_populate_recordset(NULL::execution_steps, :steps)"
    " ON CONFLICT (execution_id, position)"
    f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _STEP_COLUMNS)}"
).bindparams(bindparam("of", type_=Uuid), bindparam("steps", type_=JSONB))


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker shows for every write: which execution, and the fence that it was given."""

    id: ExecutionId
    fence: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an execution is."""

    counts: Counts
    steps: Sequence[ExecutionStep]


async def now(connection: "AsyncConnection") -> datetime:
    """The present instant by the database's clock."""
    at: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return at


async def job_of_try(connection: "AsyncConnection", execution_id: ExecutionId) -> UUID | None:
    """The job that brought the last try to its worker, where it is known."""
    statement = select(executions.c.job_id).where(executions.c.id == execution_id)
    found: UUID | None = (await connection.execute(statement)).scalar_one()
    return found


async def hold(connection: "AsyncConnection", claim: Claim) -> Execution | None:
    """Keep the execution ours until this transaction ends; None when it is not any more."""
    await connection.execute(select(func.pg_advisory_xact_lock_shared(*_lock_key(literal(str(claim.id))))))
    row = (await connection.execute(select(*COLUMNS).where(_is_ours(claim)))).first()
    return None if row is None else to_execution(row)


async def renew(connection: "AsyncConnection", claim: Claim, *, lease_seconds: float) -> Execution | None:
    """Renew the lease; None when it is lost."""
    return await _change(connection, claim, lease_until=_in(lease_seconds))


async def write_progress(
    connection: "AsyncConnection", claim: Claim, progress: Progress, *, lease_seconds: float
) -> Execution | None:
    """Renew the lease and tell how far the work is; None when the lease is lost."""
    changed = await _change(
        connection,
        claim,
        lease_until=_in(lease_seconds),
        version=executions.c.version + 1,
        **asdict(progress.counts),
    )
    if changed is not None:
        await write_steps(connection, claim.id, progress.steps)
    return changed


async def write_effect(connection: "AsyncConnection", claim: Claim, effect: Effect) -> bool:
    """Keep what the execution changes in scores, with the change itself; False when the lease is lost."""
    return await _change(connection, claim, version=executions.c.version + 1, effect=to_json(effect)) is not None


async def requeue(
    connection: "AsyncConnection", claim: Claim, progress: Progress, *, failure: Failure, delay: float
) -> Execution | None:
    """Have another try begin after `delay` seconds, unless it is to be cancelled; None when the lease is lost."""
    queued = await _change(connection, claim, **_queued(delay), **_error(failure), **asdict(progress.counts))
    if queued is not None:
        await write_steps(connection, claim.id, progress.steps)
    return queued


async def give_back(connection: "AsyncConnection", claim: Claim) -> Execution | None:
    """Queue it again at once as if the try had not begun, unless it is to be cancelled; None when the lease is lost."""
    given = await _change(connection, claim, **_queued(0), attempt=executions.c.attempt - 1)
    if given is not None:
        await _end_steps(connection, given)
    return given


async def take_abandoned(connection: "AsyncConnection", limit: int) -> list[Execution]:
    """Lock executions whose lease ran out and that no open transaction writes for."""
    expired = (
        select(*COLUMNS)
        .where(
            executions.c.state == ExecutionState.IN_PROGRESS,
            executions.c.lease_until < func.clock_timestamp(),
            IS_KNOWN,
        )
        .order_by(executions.c.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [to_execution(row) for row in await connection.execute(expired)]
    return [execution for execution in found if await _is_free(connection, execution.id)]


async def end_abandoned(
    connection: "AsyncConnection",
    execution: Execution,
    state: ExecutionState,
    *,
    failure: Failure,
    report_key: str | None,
) -> Execution | None:
    """Take an execution away from a worker that is lost: queue it again at once, or end it in a final state.

    The fence rises, so that the lost worker cannot write if it comes back.
    """
    ending = _queued(0) if state is ExecutionState.QUEUED else _ended(state, report_key)
    claim = Claim(execution.id, execution.fence)
    losses = {"fence": executions.c.fence + 1, "losses": executions.c.losses + 1}
    ended = await _change(connection, claim, **ending, **_error(failure), **losses)
    if ended is not None:
        await _end_steps(connection, ended)
    return ended


async def _change(connection: "AsyncConnection", claim: Claim, **values: Any) -> Execution | None:
    statement = update(executions).where(_is_ours(claim)).values(values).returning(*COLUMNS)
    row = (await connection.execute(statement)).first()
    return None if row is None else to_execution(row)


async def _end_steps(connection: "AsyncConnection", execution: Execution) -> None:
    """Of an execution that is over, no step goes on."""
    if execution.finished_at is None:
        return
    await connection.execute(
        update(execution_steps)
        .where(
            execution_steps.c.execution_id == execution.id,
            execution_steps.c.state == ExecutionState.IN_PROGRESS,
        )
        .values(state=execution.state, finished_at=func.clock_timestamp())
    )


async def add_step(connection: "AsyncConnection", execution_id: ExecutionId, step: ExecutionStep) -> None:
    """Add a step to an execution that is over."""
    await write_steps(connection, execution_id, [step])


async def next_position(connection: "AsyncConnection", execution_id: ExecutionId) -> int:
    """Where the next step of an execution goes."""
    last = select(func.coalesce(func.max(execution_steps.c.position), 0)).where(
        execution_steps.c.execution_id == execution_id
    )
    return int((await connection.execute(last)).scalar_one()) + 1


async def write_steps(connection: "AsyncConnection", execution_id: ExecutionId, steps: Sequence[ExecutionStep]) -> None:
    """Write how far steps are, whether or not they were there."""
    if steps:
        await connection.execute(_WRITE_STEPS, {"of": execution_id, "steps": [_to_json(step) for step in steps]})


def _to_json(step: ExecutionStep) -> dict[str, Any]:
    return {
        "position": step.position,
        "name": step.name,
        "state": step.state,
        "note": step.note,
        "started_at": None if step.started_at is None else step.started_at.isoformat(),
        "finished_at": None if step.finished_at is None else step.finished_at.isoformat(),
        **asdict(step.counts),
    }


async def _is_free(connection: "AsyncConnection", execution_id: ExecutionId) -> bool:
    lock = select(func.pg_try_advisory_xact_lock(*_lock_key(literal(str(execution_id)))))
    return bool((await connection.execute(lock)).scalar_one())


def _lock_key(execution_id: "ColumnElement[Any]") -> "tuple[ColumnElement[int], ColumnElement[int]]":
    return cast(literal(_ADVISORY_CLASS), Integer), func.hashtext(cast(execution_id, Text))


def _is_ours(claim: Claim) -> "ColumnElement[bool]":
    return and_(
        executions.c.id == claim.id,
        executions.c.fence == claim.fence,
        executions.c.state == ExecutionState.IN_PROGRESS,
    )


def _ended(state: ExecutionState, report_key: str | None) -> dict[str, Any]:
    return {
        "state": state,
        "version": executions.c.version + 1,
        "finished_at": func.clock_timestamp(),
        "report_key": report_key,
        **_NO_LEASE,
    }


def _queued(delay: float) -> dict[str, Any]:
    """Queued again, or cancelled when an admin has asked for that: then there is no other try."""
    goes_on = executions.c.cancel_requested_at.is_(None)
    return {
        "state": case((goes_on, ExecutionState.QUEUED), else_=ExecutionState.CANCELLED),
        "finished_at": case((goes_on, null()), else_=func.clock_timestamp()),
        "version": executions.c.version + 1,
        "not_before": _in(delay),
        "enqueued_at": _in(delay),
        **_NO_LEASE,
    }


def _error(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return dict(_NO_ERROR)
    return {"error_code": failure.code, "error_message": failure.message}


def _in(seconds: float) -> "ColumnElement[datetime]":
    interval = text("make_interval(secs => :seconds)").bindparams(bindparam("seconds", seconds, Float))
    return func.clock_timestamp() + interval
