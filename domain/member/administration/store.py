"""SQL of members for platform admins. Erased ones are found by nobody."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, func, literal, or_, select, tuple_

from domain.ids import MemberId
from domain.member.model import ManagedMember, PlatformRole
from domain.member.tables import members
from domain.tables import Uuid

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = (members.c.id, members.c.nick_name, members.c.platform_role, members.c.created_at)
_IS_THERE = members.c.erased_at.is_(None)


async def page(
    connection: "AsyncConnection", search: str | None, *, first: int, after: tuple[str, MemberId] | None
) -> list[ManagedMember]:
    """By nick name: up to `first` + 1 of those behind `after`; `search` begins the nick name, or is an address."""
    order = tuple_(members.c.nick_name, members.c.id)
    statement = select(*_COLUMNS).where(_IS_THERE).order_by(*order).limit(first + 1)
    if search is not None:
        begins = func.starts_with(func.lower(members.c.nick_name), func.lower(literal(search)))
        statement = statement.where(or_(begins, func.lower(members.c.email) == func.lower(literal(search))))
    if after is not None:
        statement = statement.where(order > tuple_(literal(after[0]), literal(after[1], Uuid)))
    return [_to_managed(row) for row in await connection.execute(statement)]


async def read(connection: "AsyncConnection", member_id: MemberId) -> ManagedMember | None:
    row = (await connection.execute(select(*_COLUMNS).where(_IS_THERE, members.c.id == member_id))).one_or_none()
    return None if row is None else _to_managed(row)


async def lock_admins(connection: "AsyncConnection") -> set[MemberId]:
    """The platform admins, who stay what they are until the transaction ends."""
    statement = select(members.c.id).where(_IS_THERE, members.c.platform_role == PlatformRole.ADMIN)
    locked = statement.order_by(members.c.id).with_for_update(key_share=True)
    return {MemberId(row.id) for row in await connection.execute(locked)}


def _to_managed(row: Row[Any]) -> ManagedMember:
    return ManagedMember(MemberId(row.id), row.nick_name, PlatformRole(row.platform_role), row.created_at)
