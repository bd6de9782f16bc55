"""Dead letters: for platform admins alone."""

from uuid import UUID

from domain.execution.dead_letter import service as dead_letters
from domain.execution.dead_letter.model import DeadLetter
from domain.execution.model import Execution
from domain.ids import DeadLetterId
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, instant, page_size
from resolvers.permissions import allow, platform_admin


@allow(platform_admin)
async def read(context: Context, *, dead_letter_id: DeadLetterId) -> DeadLetter | None:
    """One dead letter."""
    return await context.loaders.dead_letter.load(dead_letter_id)


@allow(platform_admin)
async def replay(context: Context, *, dead_letter_id: DeadLetterId, reason: str) -> tuple[DeadLetter, Execution]:
    """Run its work again; the letter, resolved, and the execution that does it."""
    return await dead_letters.replay(
        context.database, dead_letter_id, actor_id=context.member_id, reason=reason, request_id=context.request.id
    )


@allow(platform_admin)
async def discard(context: Context, *, dead_letter_id: DeadLetterId, reason: str) -> DeadLetter:
    """Close it without running its work again."""
    return await dead_letters.discard(
        context.database, dead_letter_id, actor_id=context.member_id, reason=reason, request_id=context.request.id
    )


async def page(context: Context, *, include_resolved: bool, first: int, after: str | None) -> Page[DeadLetter]:
    """Dead letters, latest first. Only below `Query.admin`."""
    cursors = Cursors("admin.deadLetters", include_resolved)
    place = cursors.read(after, instant, UUID) if after is not None else None
    rows = await dead_letters.page(
        context.database, include_resolved=include_resolved, first=page_size(first), after=place
    )
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.died_at.isoformat(), row.id))
