"""Who may not call a mutation is told so, whatever else is wrong with what was asked.

Ids and inputs are read before a resolver can ask its rule. So a rule that needs none of them is asked when something of
them was refused: nothing was changed by then, and who may ask pays nothing for it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from strawberry.extensions import FieldExtension
from strawberry.types.base import get_object_definition

from resolvers.permissions import Rule, member, platform_admin
from schema.context import Info
from schema.outcome import outcome
from schema.shared import ErrorCode

T = TypeVar("T", bound=type)
_OPEN = frozenset(
    ("sign_up", "sign_in", "sign_in_with_oidc", "confirm_email", "request_password_reset", "reset_password")
)
_ADMINS = frozenset(
    (
        *("run_operation", "retry_execution", "cancel_execution", "correct_result", "replay_settlement"),
        *("dismiss_health_problem", "replay_dead_letter", "discard_dead_letter", "create_schedule", "update_schedule"),
        *("run_schedule_now", "create_ruleset", "update_tournament", "change_platform_role"),
    )
)
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


def rights_first(mutations: T) -> T:
    """Have all mutations of a type do so."""
    for field in get_object_definition(mutations, strict=True).fields:
        if field.python_name not in _OPEN:
            rule = platform_admin if field.python_name in _ADMINS else member
            field.extensions = [*field.extensions, RightsFirst(rule)]
    return mutations
