"""Owns which exceptions say that a server is away, rather than that we are at fault, and how that is outlasted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from integrations.valkey.client import AWAY
from runtime.errors import SetupError

T = TypeVar("T")

# Shut down, crashed, starting up; and no connection left.
_STATES = ("57P01", "57P02", "57P03", "53300")


def is_outage(problem: BaseException) -> bool:
    """Whether Postgres or Valkey is away."""
    if isinstance(problem, BaseExceptionGroup):
        return all(map(is_outage, problem.exceptions))
    if isinstance(problem, DBAPIError):
        return problem.connection_invalidated or isinstance(problem.orig, OSError) or _says_so(problem.orig)
    if isinstance(problem, OSError):
        return problem.filename is None  # else it is about a file
    return isinstance(problem, (PoolTimeoutError, *AWAY)) or _says_so(problem)


async def outlasting(work: Callable[[], Awaitable[T]], *, patience: float = 120, pause: float = 0.5) -> T:
    """Do what may be done twice, again and again while a server is away; durations in seconds.

    Raises:
        SetupError: it stays away for longer than `patience`.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while True:
        try:
            return await work()
        except Exception as problem:
            if not is_outage(problem):
                raise
            if clock() >= deadline:
                raise SetupError(
                    f"A server went away and stays away ({type(problem).__name__}): see whether it runs, and try again."
                ) from problem
        await asyncio.sleep(pause)


def _says_so(problem: object) -> bool:
    """By the code that asyncpg's errors carry; class 08 is that of connections."""
    state = getattr(problem, "sqlstate", None)
    return isinstance(state, str) and (state in _STATES or state.startswith("08"))
