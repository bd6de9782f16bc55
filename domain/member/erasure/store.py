"""SQL of accounts that are deleted."""

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from domain.execution.exports import OPERATIONS, OWNER
from domain.execution.model import Execution
from domain.execution.store import COLUMNS, to_execution
from domain.execution.tables import executions
from domain.ids import MemberId
from domain.member.model import FORMER_MEMBER, PlatformRole
from domain.member.tables import members, sessions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_NOTHING = {"email": None, "email_confirmed_at": None, "password_hash": None, "time_zone": "UTC"}


async def erase(connection: "AsyncConnection", member_id: MemberId) -> None:
    """Remove what names the member, and what the member signs in with. The row stays: boards and the audit name it."""
    erased = {"nick_name": FORMER_MEMBER, "platform_role": PlatformRole.MEMBER, "erased_at": func.clock_timestamp()}
    await connection.execute(update(members).where(members.c.id == member_id).values(_NOTHING | erased))
    await connection.execute(delete(sessions).where(sessions.c.member_id == member_id))


async def exports_for_update(connection: "AsyncConnection", member_id: MemberId) -> list[Execution]:
    """Executions that make or have made files for the member, kept as they are until the transaction ends."""
    statement = select(*COLUMNS).where(
        executions.c.operation.in_(OPERATIONS), executions.c.params[OWNER].astext == str(member_id)
    )
    locked = statement.order_by(executions.c.queued_at, executions.c.id).with_for_update(key_share=True)
    return [to_execution(row) for row in await connection.execute(locked)]
