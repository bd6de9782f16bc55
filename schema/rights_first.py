"""Who may not call a mutation is told so, whatever else is wrong with what was asked.

Ids and inputs are read before a resolver can ask its rule. So what of its rule needs none of them is asked when
something of them was refused: nothing was changed by then, and who may ask pays nothing for it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from strawberry.extensions import FieldExtension

from resolvers.permissions import Guarded, Rule, of_context
from schema.context import Info
from schema.outcome import outcome
from schema.shared import ErrorCode

_OF_WHAT_WAS_ASKED = frozenset((ErrorCode.NOT_FOUND, ErrorCode.INVALID_INPUT))


class RightsFirst(FieldExtension):
    """Of one mutation."""

    def __init__(self, rule: Rule) -> None:
        """`rule` looks at the context alone."""
        self._rule = rule

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: object, info: Info, **given: Any
    ) -> Any:
        """The payload, with the errors of the rule in the place of those of the input."""
        payload = await next_(source, info, **given)
        if any(error.code in _OF_WHAT_WAS_ASKED for error in payload.errors):
            _, refused = await outcome(lambda: self._rule(info.context, {}))
            payload.errors = refused or payload.errors
        return payload


def mutation(resolver: Guarded[..., Any], *, description: str) -> Any:
    """A field of the root of writes, under the rule of the resolver that it calls."""
    return strawberry.mutation(description=description, extensions=[RightsFirst(of_context(resolver.rule))])
