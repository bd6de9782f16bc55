"""The context of an operation as schema types see it: the resolvers' one, and the hub of the streams."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, TypeAlias

import strawberry

from live.hub import Hub
from resolvers.context import Context, CookieChange

if TYPE_CHECKING:
    from schema.transport.answers import SharedAnswers


@dataclass(slots=True, kw_only=True)
class ApiContext(Context):
    """Lives as long as one operation."""

    hub: Hub
    answers: "SharedAnswers | None" = None
    """Where parts that are the same for all viewers are kept; None where nothing is to be taken from there."""

    def for_all(self) -> Self:
        """A context with nobody as the viewer, for what is executed once for all."""
        facts = replace(self.request, address="", user_agent=None)
        return replace(self, request=facts, viewer=None, is_new_viewer=False, cookie=CookieChange(), answers=None)


Info: TypeAlias = strawberry.Info[ApiContext, None]
