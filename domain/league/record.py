"""What the audit log keeps of leagues. Platform admins read it, so names and descriptions stand nowhere in it."""

from typing import TYPE_CHECKING, Any

from domain.audit import service as audit
from domain.audit.model import Act
from domain.ids import LeagueId, MemberId

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def record(
    connection: "AsyncConnection",
    action: str,
    member_id: MemberId,
    league_id: LeagueId,
    request_id: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Record what a member did to a league."""
    act = Act(action, member_id, request_id, subject_kind="LEAGUE", subject_id=league_id, before=before, after=after)
    await audit.record(connection, act)
