"""Owns which exceptions say that a server is away, rather than that we are at fault."""

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from integrations.valkey.client import AWAY

# Shut down, crashed, starting up; and no connection left.
_STATES = ("57P01", "57P02", "57P03", "53300")


def is_outage(problem: BaseException) -> bool:
    """Whether Postgres or Valkey is away."""
    if isinstance(problem, DBAPIError):
        return problem.connection_invalidated or isinstance(problem.orig, OSError) or _says_so(problem.orig)
    if isinstance(problem, OSError):
        return problem.filename is None  # else it is about a file
    return isinstance(problem, (PoolTimeoutError, *AWAY)) or _says_so(problem)


def _says_so(problem: object) -> bool:
    """By the code that asyncpg's errors carry; class 08 is that of connections."""
    state = getattr(problem, "sqlstate", None)
    return isinstance(state, str) and (state in _STATES or state.startswith("08"))
