"""SQL of the two ends of a try: claimed, and finished. Each is one statement for one execution or for many.

The statements are built once, for each execution runs them, and building takes longer than running.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    Float,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    column,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from domain.execution.lease.store import Claim, Progress, write_steps
from domain.execution.model import Counts, Execution, ExecutionState, Failure
from domain.execution.store import COLUMNS, IS_KNOWN, to_execution
from domain.execution.tables import execution_steps, executions
from domain.ids import ExecutionId
from domain.outbox import store as outbox
from domain.outbox.model import TickKind
from domain.tables import Uuid, constant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_COUNTS = asdict(Counts())
_HOW = {"state": Text, "report_key": Text, "error_code": Text, "error_message": Text, **dict.fromkeys(_COUNTS, Integer)}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a try ends its execution."""

    claim: Claim
    state: ExecutionState
    progress: Progress
    report_key: str | None
    failure: Failure | None = None


async def claim(
    connection: "AsyncConnection", execution_id: ExecutionId, job_id: UUID | None, *, owner: str, lease_seconds: float
) -> Execution | None:
    """Take a queued execution that is due, begin a try and tell its followers; it came by a job.

    None when there is nothing to take. Who has it locked is waited for.
    """
    values = {"ids": [execution_id], "jobs": [job_id], "owner": owner, "seconds": lease_seconds}
    row = (await connection.execute(_CLAIM_WAITING, values)).first()
    return None if row is None else to_execution(row)


async def claim_many(
    connection: "AsyncConnection", jobs: Mapping[ExecutionId, UUID | None], *, owner: str, lease_seconds: float
) -> tuple[dict[ExecutionId, Execution], set[ExecutionId]]:
    """The same for many, and which ones were left out because somebody has them locked."""
    values = {"ids": list(jobs), "jobs": list(jobs.values()), "owner": owner, "seconds": lease_seconds}
    rows = (await connection.execute(_CLAIM, values)).all()
    claimed = {ExecutionId(row.id): to_execution(row) for row in rows if row.id is not None}
    return claimed, {ExecutionId(row.waiting) for row in rows if row.id is None}


async def finish(connection: "AsyncConnection", endings: Sequence[Ending], *, waits: bool) -> set[ExecutionId]:
    """End executions whose lease is held and tell their followers; which ones.

    Who has one locked is waited for, or it is left out.
    """
    values = {"endings": [_to_json(ending) for ending in endings]}
    rows = await connection.execute(_FINISH_WAITING if waits else _FINISH, values)
    ended = {ExecutionId(row.id) for row in rows}
    for ending in endings:
        if ending.claim.id in ended:
            await write_steps(connection, ending.claim.id, ending.progress.steps)
    return ended


def _to_json(ending: Ending) -> dict[str, Any]:
    failure = ending.failure
    return {
        "id": str(ending.claim.id),
        "fence": ending.claim.fence,
        "state": ending.state,
        "report_key": ending.report_key,
        "error_code": None if failure is None else failure.code,
        "error_message": None if failure is None else failure.message,
        **asdict(ending.progress.counts),
    }


def _claiming(*, waits: bool) -> Select[Any]:
    waiting = _waiting()
    due = waiting.with_for_update(of=executions, key_share=True, skip_locked=not waits).cte("due")
    claimed = _claimed(due)
    found = select(*claimed.c, outbox.WAKE)
    if not waits:
        before = waiting.cte("before")
        found = select(before.c.id.label("waiting"), *claimed.c, outbox.WAKE)
        found = found.join_from(before, claimed, claimed.c.id == before.c.id, isouter=True)
    # With what belongs to it: steps of an earlier try go, and followers are told.
    return found.add_cte(
        delete(execution_steps).where(execution_steps.c.execution_id.in_(select(claimed.c.id))).cte("gone"),
        outbox.ticks_for(TickKind.EXECUTION, claimed.c.id).cte("told"),
    )


def _waiting() -> Select[Any]:
    """Those of the wanted that may be claimed."""
    wanted = (
        func.unnest(bindparam("ids", type_=ARRAY(Uuid)), bindparam("jobs", type_=ARRAY(Uuid)))
        .table_valued(column("id", Uuid), column("job", Uuid))
        .render_derived(name="wanted")
    )
    return (
        select(executions.c.id, wanted.c.job)
        .join(wanted, wanted.c.id == executions.c.id)
        .where(
            executions.c.state == constant(ExecutionState.QUEUED),
            executions.c.not_before <= func.clock_timestamp(),
            executions.c.attempt < executions.c.max_attempts,
            IS_KNOWN,
        )
    )


def _claimed(due: CTE) -> CTE:
    seconds = func.make_interval(0, 0, 0, 0, 0, 0, bindparam("seconds", type_=Float))
    return (
        update(executions)
        .where(executions.c.id == due.c.id)
        .values(
            state=constant(ExecutionState.IN_PROGRESS),
            version=executions.c.version + 1,
            attempt=executions.c.attempt + 1,
            fence=executions.c.fence + 1,
            lease_owner=bindparam("owner"),
            lease_until=func.clock_timestamp() + seconds,
            job_id=due.c.job,
            started_at=func.coalesce(executions.c.started_at, func.clock_timestamp()),
            error_code=None,
            error_message=None,
            **_COUNTS,
        )
        .returning(*COLUMNS)
        .cte("claimed")
    )


def _finishing(*, waits: bool) -> Select[Any]:
    given = (
        func.jsonb_to_recordset(bindparam("endings", type_=JSONB))
        .table_valued(
            column("id", Uuid), column("fence", BigInteger), *(column(name, kind) for name, kind in _HOW.items())
        )
        .render_derived(name="given", with_types=True)
    )
    held = (
        select(*given.c)
        .join_from(given, executions, and_(executions.c.id == given.c.id, executions.c.fence == given.c.fence))
        .where(executions.c.state == constant(ExecutionState.IN_PROGRESS))
        .with_for_update(of=executions, key_share=True, skip_locked=not waits)
        .cte("held")
    )
    ended = (
        update(executions)
        .where(executions.c.id == held.c.id)
        .values(
            version=executions.c.version + 1,
            finished_at=func.clock_timestamp(),
            lease_owner=None,
            lease_until=None,
            **{name: held.c[name] for name in _HOW},
        )
        .returning(executions.c.id)
        .cte("ended")
    )
    return select(ended.c.id, outbox.WAKE).add_cte(outbox.ticks_for(TickKind.EXECUTION, ended.c.id).cte("told"))


_CLAIM, _CLAIM_WAITING = _claiming(waits=False), _claiming(waits=True)
_FINISH, _FINISH_WAITING = _finishing(waits=False), _finishing(waits=True)
