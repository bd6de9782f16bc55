"""The use case of deleting an account. What names the member goes with the command, all else with an execution."""

from typing import TYPE_CHECKING

from domain.audit import service as audit
from domain.audit.model import Act
from domain.database import Database
from domain.errors import Refused
from domain.execution.model import Command, ExecutionTrigger, Operation, Target
from domain.execution.service import accept
from domain.ids import MemberId
from domain.league import store as leagues
from domain.league.record import record
from domain.member import store as members
from domain.member.administration.store import lock_admins
from domain.member.erasure import rules, store
from domain.member.erasure.model import MEMBER, MODE, ErasureMode
from domain.member.model import PlatformRole
from domain.outbox.store import members_changed
from domain.tournament.store import joined_ids

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def delete_account(
    database: Database, member_id: MemberId, mode: ErasureMode, *, confirm_nick_name: str, request_id: str
) -> None:
    """Erase an account and end its sessions; leagues in which nobody else has an account are deleted with it.

    Raises:
        Unauthenticated: the account is gone already.
        Refused: all that is in the way, LAST_ADMIN included.
    """
    async with database.begin() as connection:
        admins = await lock_admins(connection)
        await members.lock_member(connection, member_id)
        await leagues.raise_versions(connection, member_id)  # from here on nobody hands a league on, or enters one
        await _end_leagues(connection, member_id, admins, confirm_nick_name, request_id)
        await store.erase(connection, member_id)
        await _queue_the_rest(connection, member_id, mode, request_id)
        act = Act("deleteAccount", member_id, request_id, "MEMBER", member_id, after={MODE: mode.value})
        await audit.record(connection, act)
        await members_changed(connection, await joined_ids(connection, member_id))


async def _end_leagues(
    connection: "AsyncConnection", member_id: MemberId, admins: set[MemberId], confirm_nick_name: str, request_id: str
) -> None:
    """Delete the leagues that nobody else is in, unless something is in the way of deleting the account."""
    account = await members.read_account(connection, member_id)
    assert account is not None
    founded = await leagues.founded_by(connection, member_id)
    faults = rules.faults(
        account,
        confirm_nick_name=confirm_nick_name,
        is_last_admin=account.platform_role is PlatformRole.ADMIN and not admins - {member_id},
        leagues_with_others=[league.name for league in founded if league.has_others],
    )
    if faults:
        raise Refused(faults)
    for league in founded:
        await leagues.delete_league(connection, league.id)
        await record(connection, "deleteLeague", member_id, league.id, request_id)


async def _queue_the_rest(
    connection: "AsyncConnection", member_id: MemberId, mode: ErasureMode, request_id: str
) -> None:
    command = Command(Operation.ERASE_MEMBER, Target(), {MEMBER: str(member_id), MODE: mode.value})
    await accept(connection, command, trigger=ExecutionTrigger.MEMBER, request_id=request_id, actor_id=member_id)
