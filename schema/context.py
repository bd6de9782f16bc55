"""The context of an operation as schema types see it: the resolvers' one, and the hub of the streams."""

from dataclasses import dataclass
from typing import TypeAlias

import strawberry

from live.hub import Hub
from resolvers.context import Context


@dataclass(slots=True, kw_only=True)
class ApiContext(Context):
    """Lives as long as one operation."""

    hub: Hub


Info: TypeAlias = strawberry.Info[ApiContext, None]
