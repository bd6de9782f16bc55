"""The state of operations: for platform admins alone."""

from domain.execution.status import service
from domain.execution.status.model import OperationsStatus
from resolvers.context import Context
from resolvers.permissions import allow, platform_admin


@allow(platform_admin)
async def watch(context: Context) -> None:
    """The right to follow the state of operations."""


async def status(context: Context) -> OperationsStatus:
    """Queues, providers and processes now. Only below `Query.admin`."""
    return await service.read_status(context.database)
