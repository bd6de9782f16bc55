"""Reads dead letters, and resolves them: replayed as a new execution, or discarded. Both are audited.

Whoever resolves one has its execution for update, so of many at once one does it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.rules import checked_reason
from domain.database import Database
from domain.errors import NotFound, WrongState
from domain.execution import jobs
from domain.execution import store as executions
from domain.execution.dead_letter import store
from domain.execution.dead_letter.model import DeadLetter, DeadLetterResolution
from domain.execution.model import Execution
from domain.execution.service import accept_again
from domain.ids import DeadLetterId, ExecutionId, MemberId

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def page(
    database: Database, *, include_resolved: bool, first: int, after: tuple[datetime, UUID] | None
) -> list[DeadLetter]:
    """Up to `first + 1` dead letters, latest first, then by id; one more than asked tells that there are more."""
    place = None if after is None else (after[0], DeadLetterId(after[1]))
    async with database.read() as connection:
        return await store.page(connection, include_resolved=include_resolved, limit=first + 1, after=place)


async def read(database: Database, ids: Iterable[DeadLetterId]) -> dict[DeadLetterId, DeadLetter]:
    """The dead letters by id; unknown ids are left out."""
    async with database.read() as connection:
        return {letter.id: letter for letter in await store.read(connection, ids)}


async def replay(
    database: Database, dead_letter_id: DeadLetterId, *, actor_id: MemberId | None, reason: str, request_id: str
) -> tuple[DeadLetter, Execution]:
    """Run its work again: the letter, resolved, and the new execution, or an equal one that lives.

    Nobody as the actor is an operator at the command line.

    Raises:
        InvalidInput: the reason is too short or too long.
        NotFound: there is no such dead letter.
        WrongState: it is resolved, or the same operation lives on the same target with other parameters.
    """
    reason = checked_reason(reason)
    async with database.begin() as connection:
        letter, old = await _open_one(connection, dead_letter_id)
        accepted = await accept_again(connection, old, actor_id=actor_id, reason=reason, request_id=request_id)
        resolved = await _resolve(connection, letter, old, DeadLetterResolution.REPLAYED, by=actor_id, reason=reason)
        act = _act("replayDeadLetter", resolved, request_id, accepted.execution.id, alreadyLive=accepted.already_live)
        await audit.record(connection, act)
        return resolved, accepted.execution


async def discard(
    database: Database, dead_letter_id: DeadLetterId, *, actor_id: MemberId | None, reason: str, request_id: str
) -> DeadLetter:
    """Close it without running its work again. Nobody as the actor is an operator at the command line.

    Raises:
        InvalidInput: the reason is too short or too long.
        NotFound: there is no such dead letter.
        WrongState: it is resolved.
    """
    reason = checked_reason(reason)
    async with database.begin() as connection:
        letter, old = await _open_one(connection, dead_letter_id)
        resolved = await _resolve(connection, letter, old, DeadLetterResolution.DISCARDED, by=actor_id, reason=reason)
        await audit.record(connection, _act("discardDeadLetter", resolved, request_id, old.id))
        return resolved


async def count_as_replayed(
    connection: "AsyncConnection", execution: Execution, *, by: MemberId | None, reason: str
) -> bool:
    """Resolve the dead letter of an execution that the caller has for update and retries; whether one was open."""
    letter = await store.of_execution(connection, execution.id)
    if letter is None or letter.resolution is not None:
        return False
    await _resolve(connection, letter, execution, DeadLetterResolution.REPLAYED, by=by, reason=reason)
    return True


async def _open_one(connection: "AsyncConnection", dead_letter_id: DeadLetterId) -> tuple[DeadLetter, Execution]:
    """The letter and its execution, which stays ours: only then its resolution is sure."""
    for found in await store.read(connection, [dead_letter_id]):
        execution = await executions.take_for_update(connection, found.execution_id)
        letter = await store.of_execution(connection, found.execution_id)
        if execution is not None and letter is not None:
            if letter.resolution is not None:
                raise WrongState(f"The dead letter is already {letter.resolution}.")
            return letter, execution
    raise NotFound("There is no such dead letter.", field=("deadLetterId",))


async def _resolve(
    connection: "AsyncConnection",
    letter: DeadLetter,
    execution: Execution,
    resolution: DeadLetterResolution,
    *,
    by: MemberId | None,
    reason: str,
) -> DeadLetter:
    """Close a letter, and have those who count open ones look again."""
    await jobs.tell(connection, execution)
    return await store.resolve(connection, letter.id, resolution, by=by, reason=reason)


def _act(action: str, letter: DeadLetter, request_id: str, execution_id: ExecutionId, **after: Any) -> Act:
    return Act(
        action=action,
        actor_id=letter.resolved_by,
        request_id=request_id,
        subject_kind="DEAD_LETTER",
        subject_id=letter.id,
        reason=letter.reason,
        execution_id=execution_id,
        before={"resolution": None},
        after={"resolution": letter.resolution, **after},
    )
