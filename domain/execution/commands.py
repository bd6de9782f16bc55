"""What admins and operators do with executions: cancel them, and run their work again. Both are audited."""

from typing import TYPE_CHECKING, Any

from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.rules import checked_reason
from domain.database import Database
from domain.errors import NotFound, WrongState
from domain.execution import jobs, store
from domain.execution.dead_letter import service as dead_letters
from domain.execution.model import LIVE, Execution, ExecutionState
from domain.execution.service import Accepted, accept_again
from domain.ids import ExecutionId, MemberId

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_CAN_RUN_AGAIN = (ExecutionState.FAILED, ExecutionState.CANCELLED)


async def cancel(
    database: Database, execution_id: ExecutionId, *, actor_id: MemberId | None, reason: str, request_id: str
) -> Execution:
    """Cancel what is queued, at once; ask what runs to stop after its present step. To ask twice is harmless.

    What is cancelled while it is queued has no report: no worker was at it. Nobody as the actor is an operator at
    the command line.

    Raises:
        InvalidInput: the reason is too short or too long.
        NotFound: there is no such execution.
        WrongState: it is over.
    """
    reason = checked_reason(reason)
    async with database.begin() as connection:
        before = await _taken(connection, execution_id)
        if before.state not in LIVE:
            raise WrongState(f"The execution has already ended: {before.state}.")
        after = before
        if before.cancel_requested_at is None:
            after = await store.write_cancel(connection, before)
            await jobs.tell(connection, after)
        await audit.record(
            connection,
            Act(
                action="cancelExecution",
                actor_id=actor_id,
                request_id=request_id,
                subject_kind="EXECUTION",
                subject_id=execution_id,
                reason=reason,
                execution_id=execution_id,
                before=_shown(before),
                after=_shown(after),
            ),
        )
        return after


async def retry(
    database: Database, execution_id: ExecutionId, *, actor_id: MemberId | None, reason: str, request_id: str
) -> Accepted:
    """Run the work of a failed or cancelled execution again, as a new execution that names it.

    An equal one that lives is the answer instead. An open dead letter of the old one counts as replayed.

    Raises:
        InvalidInput: the reason is too short or too long.
        NotFound: there is no such execution.
        WrongState: it has not failed and was not cancelled, or the same operation lives on the same target with other
            parameters.
    """
    reason = checked_reason(reason)
    async with database.begin() as connection:
        old = await _taken(connection, execution_id)
        if old.state not in _CAN_RUN_AGAIN:
            raise WrongState(f"Only a failed or cancelled execution can be retried; this one is {old.state}.")
        accepted = await accept_again(connection, old, actor_id=actor_id, reason=reason, request_id=request_id)
        replayed = await dead_letters.count_as_replayed(connection, old, by=actor_id, reason=reason)
        await audit.record(
            connection,
            Act(
                action="retryExecution",
                actor_id=actor_id,
                request_id=request_id,
                subject_kind="EXECUTION",
                subject_id=execution_id,
                reason=reason,
                execution_id=accepted.execution.id,
                before=_shown(old),
                after={"alreadyLive": accepted.already_live, "deadLetterReplayed": replayed},
            ),
        )
        return accepted


async def _taken(connection: "AsyncConnection", execution_id: ExecutionId) -> Execution:
    execution = await store.take_for_update(connection, execution_id)
    if execution is None:
        raise NotFound("There is no such execution.", field=("executionId",))
    return execution


def _shown(execution: Execution) -> dict[str, Any]:
    asked = execution.cancel_requested_at
    return {"state": execution.state, "cancelRequestedAt": None if asked is None else asked.isoformat()}
