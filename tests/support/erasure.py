"""Accounts that are deleted, and what a worker does then."""

from typing import TYPE_CHECKING

from sqlalchemy import select

from domain.execution.model import ExecutionState, Operation
from domain.execution.tables import executions
from domain.ids import ExecutionId, MemberId
from domain.member.erasure.model import ErasureMode
from domain.member.erasure.service import delete_account
from domain.member.erasure.work import erase_member
from domain.member.service import read_account
from tests.support.settlement import work

if TYPE_CHECKING:
    from domain.database import Database
    from domain.execution.ports import ObjectStore

KEEP, REMOVE = ErasureMode.KEEP_ANONYMOUS, ErasureMode.REMOVE_FROM_BOARDS


async def delete(database: "Database", member_id: MemberId, mode: ErasureMode) -> ExecutionId:
    """Delete an account as its member does; what is left to do waits for a worker."""
    account = await read_account(database, member_id)
    assert account is not None
    await delete_account(database, member_id, mode, confirm_nick_name=account.nick_name, request_id="test")
    return await left_to_do(database)


async def left_to_do(database: "Database") -> ExecutionId:
    """The execution that waits for a worker."""
    waiting = select(executions.c.id).where(
        executions.c.operation == Operation.ERASE_MEMBER, executions.c.state == ExecutionState.QUEUED
    )
    async with database.read() as connection:
        return ExecutionId((await connection.execute(waiting)).scalar_one())


async def erase(database: "Database", member_id: MemberId, mode: ErasureMode, files: "ObjectStore") -> None:
    """The same, and all of it done."""
    execution_id = await delete(database, member_id, mode)
    await work(database, lambda run: erase_member(run, files), execution_id)
