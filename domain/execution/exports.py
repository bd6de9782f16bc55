"""Files that executions make for one member: who may fetch one, where it is kept, and for how long."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.database import Database
from domain.execution import store
from domain.execution.model import Execution, ExecutionState, Operation
from domain.ids import ExecutionId, MemberId

OPERATIONS = (Operation.EXPORT_LEADERBOARD,)
KEEP = timedelta(days=1)
OWNER, ENDING = "memberId", "ending"
"""Parameters of such an execution: whose the file is, and how its name ends."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file asked for. Its id is that of the execution."""

    id: ExecutionId
    state: ExecutionState
    requested_at: datetime
    key: str | None
    """Where the file is; None until completed."""
    expires_at: datetime | None
    """When the file is removed; None until completed."""


def file_key(execution_id: ExecutionId, fence: int, ending: str) -> str:
    """Where a try keeps its file: each has a key of its own, which is written once."""
    return f"exports/{execution_id}/{fence}.{ending}"


def export_of(execution: Execution) -> Export:
    """An execution as the member sees it."""
    is_there = execution.state is ExecutionState.COMPLETED and execution.finished_at is not None
    return Export(
        id=execution.id,
        state=execution.state,
        requested_at=execution.queued_at,
        key=file_key(execution.id, execution.fence, execution.params[ENDING]) if is_there else None,
        expires_at=execution.finished_at + KEEP if is_there and execution.finished_at is not None else None,
    )


async def read_export(database: Database, export_id: ExecutionId, member_id: MemberId) -> Export | None:
    """A member's own export; None when there is none, or no longer."""
    async with database.read() as connection:
        found = await store.read(connection, [export_id])
    own = [one for one in found if one.operation in OPERATIONS and UUID(one.params[OWNER]) == member_id]
    return export_of(own[0]) if own else None
