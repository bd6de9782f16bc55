"""Writes the audit log."""

from typing import TYPE_CHECKING

from sqlalchemy import insert

from domain.audit.model import Act
from domain.audit.tables import audit_log

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def add(connection: "AsyncConnection", act: Act) -> None:
    """Add one line to the log, in the caller's transaction."""
    await connection.execute(
        insert(audit_log).values(
            actor_id=act.actor_id,
            actor_kind=_kind(act),
            action=act.action,
            subject_kind=act.subject_kind,
            subject_id=act.subject_id,
            reason=act.reason,
            request_id=act.request_id,
            execution_id=act.execution_id,
            before=act.before,
            after=act.after,
        )
    )


def _kind(act: Act) -> str:
    if act.actor_id is not None:
        return "MEMBER"
    return "SYSTEM" if act.system else "OPERATOR"
