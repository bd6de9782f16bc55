"""The right to a stream, asked again while it runs."""

from collections.abc import Awaitable, Callable

from domain.errors import DomainError, Forbidden, NotFound
from live.ports import Allowed


def right(ask: Callable[[], Awaitable[object]]) -> Allowed:
    """Ask a guarded resolver, which refuses in its own words; once it has allowed, the answer is the code alone.

    To outsiders a private board does not exist; who could see it and no longer can gets FORBIDDEN.
    """
    was_allowed = False

    async def allowed() -> str | None:
        nonlocal was_allowed
        try:
            await ask()
        except DomainError as refusal:
            if not was_allowed:
                raise
            return Forbidden.code if refusal.code == NotFound.code else refusal.code
        was_allowed = True
        return None

    return allowed
