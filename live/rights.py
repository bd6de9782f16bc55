"""Owns the right of one client to one stream, asked again and again."""

import asyncio
import logging
from time import monotonic

from domain.errors import DomainError, Forbidden, Unauthenticated, Unavailable
from live.ports import Allowed

_log = logging.getLogger(__name__)
_PATIENCE = 5.0
"""Seconds after which a question that is not answered has no answer."""


class Right:
    """`due_at` is the moment at which it is to be asked again at the latest."""

    __slots__ = ("_allowed", "_recheck", "due_at")

    def __init__(self, allowed: Allowed, recheck_seconds: float) -> None:
        self._allowed = allowed
        self._recheck = recheck_seconds
        self.due_at = 0.0

    async def require(self) -> None:
        """Ask; a refusal is raised as the domain's error, and so is a failure to answer."""
        code = await self._allowed()
        self.due_at = monotonic() + self._recheck
        if code is not None:
            raise _refusal(code)

    async def require_soon(self) -> None:
        """The same in a task, which waits no longer than some seconds: then it raises Unavailable."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.require()
        except TimeoutError:
            raise Unavailable("It cannot be read at the moment.") from None

    async def confirm(self) -> bool:
        """Ask; a refusal is raised, False means that nobody can tell at the moment."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.require()
        except DomainError:
            raise
        except Exception as error:  # noqa: BLE001 an edge: the database may be away, which ends no stream
            _log.warning("live_right_unknown", extra={"error": repr(error)})
            self.due_at = monotonic() + 1.0
            return False
        return True


def _refusal(code: str) -> DomainError:
    if code == Unauthenticated.code:
        return Unauthenticated("Sign in again.")
    return Forbidden("You may no longer see this.")
