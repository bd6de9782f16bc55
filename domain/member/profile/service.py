"""Changing nick name and time zone. Every board that shows the member follows a new name."""

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.audit import service as audit
from domain.audit.model import Act
from domain.database import Database
from domain.errors import Refused
from domain.ids import MemberId
from domain.league.store import raise_versions
from domain.member import rules, store
from domain.member.model import Account
from domain.outbox.store import members_changed
from domain.tournament.store import joined_ids

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def update(
    database: Database, member_id: MemberId, *, nick_name: str | None, time_zone: str | None, request_id: str
) -> Account:
    """Change what is not None; what stays as it is changes nothing.

    Raises:
        Refused: all that is wrong with the input.
        Unauthenticated: the account is gone.
    """
    async with database.begin() as connection:
        await store.lock_member(connection, member_id)
        account = await store.read_account(connection, member_id)
        assert account is not None
        changed = _changed(account, nick_name, time_zone)
        if faults := rules.nick_name_faults(changed.nick_name) + rules.time_zone_faults(changed.time_zone):
            raise Refused(faults)
        if changed == account:
            return account
        await store.write_profile(connection, changed)
        await _record(connection, account, changed, request_id)
        if changed.nick_name != account.nick_name:
            await raise_versions(connection, member_id)
            await members_changed(connection, await joined_ids(connection, member_id))
    return changed


def _changed(account: Account, nick_name: str | None, time_zone: str | None) -> Account:
    return replace(
        account,
        nick_name=account.nick_name if nick_name is None else nick_name.strip(),
        time_zone=account.time_zone if time_zone is None else time_zone,
    )


async def _record(connection: "AsyncConnection", before: Account, after: Account, request_id: str) -> None:
    """Names stand in no log: whoever deletes the account takes them along."""
    told = {"nickName": before.nick_name != after.nick_name, "timeZone": before.time_zone != after.time_zone}
    changed = {"changed": [name for name, is_changed in told.items() if is_changed]}
    await audit.record(connection, Act("updateProfile", after.id, request_id, "MEMBER", after.id, after=changed))
