"""The root of what platform admins read."""

import strawberry

from domain.execution.model import ExecutionFilter as AllExecutions
from resolvers import execution as executions
from schema.context import Info
from schema.execution import ExecutionConnection, ExecutionFilter
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
