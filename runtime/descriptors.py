"""Owns how many files and connections a process may have open: as many as the system lets it, a part for its own."""

import resource
import sys
from contextlib import suppress

_OWN = 200
"""For servers, files and requests; while clients hold all of them a lost server could not be connected to again."""


def allow_as_many_as_may_be() -> None:
    """Raise the limit that processes begin with, often 1,024, to the one that they may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS allows fewer than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def most_connections() -> int:
    """How many connections clients may hold open, by the limit of this moment."""
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if now == resource.RLIM_INFINITY else max(now - _OWN, now // 2)
