"""The root of what platform admins read."""

from typing import Annotated

import strawberry

from domain.audit.model import AuditFilter as WholeLog
from domain.execution.model import ExecutionFilter as AllExecutions
from domain.schedule.model import ScheduleStatus
from resolvers import audit, operations
from resolvers import dead_letter as dead_letters
from resolvers import execution as executions
from resolvers import member as members
from resolvers import schedule as schedules
from schema.admin_member import AdminMemberConnection
from schema.audit import AuditEntryConnection, AuditFilter
from schema.context import Info
from schema.dead_letter import DeadLetterConnection
from schema.execution import ExecutionConnection, ExecutionFilter
from schema.operations import OperationsStatus
from schema.schedule import ScheduleConnection
from schema.shared import given


@strawberry.type(description="Everything for platform admins, behind one check.")
class Admin:
    @strawberry.field(description="Executions, latest first.")
    async def executions(
        self,
        info: Info,
        first: int = 25,
        after: str | None = strawberry.UNSET,
        filter: ExecutionFilter | None = strawberry.UNSET,
    ) -> ExecutionConnection:
        page = await executions.page(
            info.context, filter.to_domain() if filter else AllExecutions(), first=first, after=given(after)
        )
        return ExecutionConnection.from_page(page, info.context.services.report_url)

    @strawberry.field(description="Schedules by name.")
    async def schedules(
        self,
        info: Info,
        first: int = 25,
        after: str | None = strawberry.UNSET,
        statuses: Annotated[
            list[ScheduleStatus] | None,
            strawberry.argument(description="Only these statuses; default all but retired."),
        ] = strawberry.UNSET,
    ) -> ScheduleConnection:
        page = await schedules.page(info.context, statuses=given(statuses), first=first, after=given(after))
        return ScheduleConnection.from_page(page)

    @strawberry.field(description="Jobs that failed for good, latest first.")
    async def dead_letters(
        self,
        info: Info,
        first: int = 25,
        after: str | None = strawberry.UNSET,
        include_resolved: Annotated[
            bool, strawberry.argument(description="Also those that were replayed or discarded.")
        ] = False,
    ) -> DeadLetterConnection:
        page = await dead_letters.page(info.context, include_resolved=include_resolved, first=first, after=given(after))
        return DeadLetterConnection.from_page(page)

    @strawberry.field(description="Who did what, latest first. Entries are never changed or removed.")
    async def audit_log(
        self,
        info: Info,
        first: int = 25,
        after: str | None = strawberry.UNSET,
        filter: AuditFilter | None = strawberry.UNSET,
    ) -> AuditEntryConnection:
        page = await audit.page(
            info.context, filter.to_domain() if filter else WholeLog(), first=first, after=given(after)
        )
        return AuditEntryConnection.from_page(page)

    @strawberry.field(description="Members by nick name.")
    async def members(
        self,
        info: Info,
        first: int = 25,
        after: str | None = strawberry.UNSET,
        search: Annotated[
            str | None,
            strawberry.argument(description="Beginning of the nick name, or a whole e-mail address."),
        ] = strawberry.UNSET,
    ) -> AdminMemberConnection:
        page = await members.managed_page(info.context, search=given(search), first=first, after=given(after))
        return AdminMemberConnection.from_page(page)

    @strawberry.field(description="Queues, providers and processes, now.")
    async def operations_status(self, info: Info) -> OperationsStatus:
        return OperationsStatus.from_domain(await operations.status(info.context))
