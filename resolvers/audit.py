"""The audit log: for platform admins alone."""

from uuid import UUID

from domain.audit import service as audit
from domain.audit.model import AuditEntry, AuditFilter
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, instant, number, page_size
from resolvers.permissions import allow, platform_admin


@allow(platform_admin)
async def read(context: Context, *, entry_id: int) -> AuditEntry | None:
    """One entry."""
    return (await audit.read_entries(context.database, [entry_id])).get(entry_id)


async def page(context: Context, wanted: AuditFilter, *, first: int, after: str | None) -> Page[AuditEntry]:
    """Entries, latest first. Only below `Query.admin`."""
    cursors = Cursors("admin.auditLog", _mark(wanted))
    place = cursors.read(after, instant, number) if after is not None else None
    rows = await audit.page(context.database, wanted, first=page_size(first), after=place)
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.at.isoformat(), row.id))


def _mark(wanted: AuditFilter) -> str:
    subject: UUID | None = wanted.subject.id if wanted.subject else None
    parts = (wanted.actor_id, subject, sorted(wanted.actions), wanted.since, wanted.before)
    return repr([str(part) for part in parts])
