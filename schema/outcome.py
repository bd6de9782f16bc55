"""Turns the domain's refusals into the `errors` of payloads."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from domain.errors import DomainError, Refused
from schema.shared import ErrorCode, UserError

T = TypeVar("T")


async def outcome(call: Callable[[], Awaitable[T]]) -> tuple[T | None, list[UserError]]:
    """What a write gives, or why it was refused. Faults that nobody expects pass through."""
    try:
        return await call(), []
    except DomainError as refusal:
        return None, user_errors(refusal)


def user_errors(refusal: DomainError, *path: str) -> list[UserError]:
    """A refusal as the contract tells it; `path` is where the refused item stands in `input`."""
    if isinstance(refusal, Refused):
        return [_user_error(fault.code, fault.message, fault.field, path) for fault in refusal.faults]
    error = _user_error(refusal.code, refusal.message, refusal.field, path)
    error.retry_after_seconds = refusal.retry_after_seconds
    return [error]


def _user_error(code: str, message: str, field: tuple[str, ...] | None, path: tuple[str, ...]) -> UserError:
    whole = field if field is None or field[: len(path)] == path else (*path, *field)
    shown = list(whole) if whole is not None else None
    return UserError(code=ErrorCode(code), message=message, field=shown, retry_after_seconds=None)
