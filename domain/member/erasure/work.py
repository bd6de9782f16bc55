"""What a worker does once an account is deleted. Each step finds what is left to do: it may be begun at any point."""

import asyncio
from uuid import UUID

from domain.execution import jobs
from domain.execution import store as executions
from domain.execution.exports import ENDING, file_key
from domain.execution.model import LIVE, Execution
from domain.execution.ports import ObjectStore
from domain.execution.run import Run
from domain.ids import MemberId
from domain.league.store import erase_memberships
from domain.member.erasure import store
from domain.member.erasure.model import MEMBER, MODE, ErasureMode
from domain.settlement.removal.service import remove_member
from domain.tournament.store import joined_ids

_LOOK_AGAIN_SECONDS = 0.2


async def erase_member(run: Run, files: ObjectStore) -> None:
    """Remove the member from all boards, if that was wished, a tournament at a time; then the member's files."""
    member_id = MemberId(UUID(run.execution.params[MEMBER]))
    if ErasureMode(run.execution.params[MODE]) is ErasureMode.REMOVE_FROM_BOARDS:
        await _remove_from_boards(run, member_id)
    await _remove_files(run, member_id, files)


async def _remove_from_boards(run: Run, member_id: MemberId) -> None:
    # Out of the leagues first: what a league takes up, its members join.
    async with run.step("Leave leagues"), run.begin() as connection:
        await erase_memberships(connection, member_id)
    async with run.database.read() as connection:
        joined = await joined_ids(connection, member_id)
    async with run.step("Leave boards", total=len(joined)) as step:
        for tournament_id in joined:
            async with run.begin() as connection:
                was_there = await remove_member(connection, tournament_id, member_id)
            step.updated += was_there
            step.unchanged += not was_there


async def _remove_files(run: Run, member_id: MemberId, files: ObjectStore) -> None:
    """Files that were made for the member. One that is being written is kept by its worker before that one obeys."""
    async with run.step("Remove files") as step:
        exports = await _cancelled(run, member_id)
        while any(export.state in LIVE for export in exports):
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            exports = await _cancelled(run, member_id)
        step.total = len(exports)
        for export in exports:
            await _remove_file(export, files)
            step.updated += 1


async def _cancelled(run: Run, member_id: MemberId) -> list[Execution]:
    """All that makes files for the member. What waits is not begun any more, and what is under way is to end."""
    async with run.begin() as connection:
        exports = await store.exports_for_update(connection, member_id)
        for place, export in enumerate(exports):
            if export.state in LIVE and export.cancel_requested_at is None:
                exports[place] = await executions.write_cancel(connection, export)
                await jobs.tell(connection, exports[place])
    return exports


async def _remove_file(export: Execution, files: ObjectStore) -> None:
    """Each try has kept one of its own."""
    for fence in range(1, export.fence + 1):
        await files.delete(file_key(export.id, fence, export.params[ENDING]))
