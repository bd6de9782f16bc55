"""Members for platform admins, and who is one."""

from dataclasses import replace

from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.rules import checked_reason
from domain.database import Database
from domain.errors import Forbidden, NotFound
from domain.ids import MemberId
from domain.member.administration import store
from domain.member.model import ManagedMember, PlatformRole
from domain.member.rules import LastAdmin
from domain.member.store import set_platform_role


async def page(
    database: Database, search: str | None, *, first: int, after: tuple[str, MemberId] | None = None
) -> list[ManagedMember]:
    """Members by nick name; `search` is the beginning of it, or a whole e-mail address; None is all.

    Up to `first` + 1 of those behind `after` (nick name and id).
    """
    async with database.read() as connection:
        return await store.page(connection, search, first=first, after=after)


async def read(database: Database, member_id: MemberId) -> ManagedMember | None:
    async with database.read() as connection:
        return await store.read(connection, member_id)


async def change_role(
    database: Database, member_id: MemberId, role: PlatformRole, *, actor_id: MemberId, reason: str, request_id: str
) -> ManagedMember:
    """Make a member a platform admin, or no longer one; the present role changes nothing.

    Raises:
        InvalidInput: not a reason.
        Forbidden: the actor is no admin any more.
        NotFound: there is no such member.
        LastAdmin: nobody else is one.
    """
    reason = checked_reason(reason)
    async with database.begin() as connection:
        admins = await store.lock_admins(connection)
        if actor_id not in admins:
            raise Forbidden("Only platform admins may do this.")
        found = await store.read(connection, member_id)
        if found is None:
            raise NotFound("There is no such member.", field=("memberId",))
        if found.platform_role is role:
            return found
        if admins == {member_id}:
            raise LastAdmin("This is the last platform admin; promote another member first.", field=("memberId",))
        await set_platform_role(connection, member_id, role)
        act = Act("changePlatformRole", actor_id, request_id, "MEMBER", member_id, reason)
        before, after = {"platformRole": found.platform_role.value}, {"platformRole": role.value}
        await audit.record(connection, replace(act, before=before, after=after))
    return replace(found, platform_role=role)
