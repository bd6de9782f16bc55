"""Executions: for platform admins alone."""

from collections.abc import Sequence
from uuid import UUID

from domain.execution import commands
from domain.execution import service as executions
from domain.execution.model import Command, Execution, ExecutionFilter
from domain.execution.service import Accepted
from domain.ids import ExecutionId
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, instant, page_size
from resolvers.permissions import allow, platform_admin


@allow(platform_admin)
async def admin(context: Context) -> None:
    """The one check of everything below `Query.admin`."""


@allow(platform_admin)
async def watch(context: Context) -> None:
    """The right to follow executions."""


@allow(platform_admin)
async def run(context: Context, *, command: Command, reason: str) -> Accepted:
    """Queue an operation; answers with its execution, or with an equal one that is live."""
    return await context.services.commands.run(
        command, actor_id=context.member_id, reason=reason, request_id=context.request.id
    )


@allow(platform_admin)
async def retry(context: Context, *, execution_id: ExecutionId, reason: str) -> Accepted:
    """Run the work of a failed or cancelled execution again."""
    return await commands.retry(
        context.database, execution_id, actor_id=context.member_id, reason=reason, request_id=context.request.id
    )


@allow(platform_admin)
async def cancel(context: Context, *, execution_id: ExecutionId, reason: str) -> Accepted:
    """Cancel an execution, or ask its worker to; the answer is that execution."""
    cancelled = await commands.cancel(
        context.database, execution_id, actor_id=context.member_id, reason=reason, request_id=context.request.id
    )
    return Accepted(cancelled, already_live=False)


@allow(platform_admin)
async def read(context: Context, *, execution_id: ExecutionId) -> Execution | None:
    """One execution."""
    return await context.loaders.execution.load(execution_id)


async def page(context: Context, wanted: ExecutionFilter, *, first: int, after: str | None) -> Page[Execution]:
    """Executions, latest first. Only below `Query.admin`."""
    cursors = Cursors("admin.executions", _mark(wanted))
    place = cursors.read(after, instant, UUID) if after is not None else None
    rows = await executions.page(context.database, wanted, first=page_size(first), after=place)
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.queued_at.isoformat(), row.id))


def _mark(wanted: ExecutionFilter) -> str:
    parts: Sequence[object] = (
        sorted(wanted.operations),
        sorted(wanted.states),
        wanted.tournament_id,
        wanted.schedule_id,
        wanted.queued_since,
        wanted.queued_before,
    )
    return repr([str(part) for part in parts])
