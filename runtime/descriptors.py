"""Owns how many files and connections a process may have open: as many as the system lets it, a part for its own."""

import sys

_OWN = 200
"""For servers, files and requests; while clients hold all of them a lost server could not be connected to again."""
_UNLIMITED = sys.maxsize


def allow_as_many_as_may_be() -> None:
    """Raise the limit that processes begin with, often 1,024, to the one that they may have."""
    try:
        import resource  # noqa: PLC0415 -- not on every system
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):  # macOS allows fewer than it says
        return


def most_connections() -> int:
    """How many connections clients may hold open, by the limit of this moment."""
    try:
        import resource  # noqa: PLC0415 -- as above
    except ImportError:  # Windows
        return _UNLIMITED
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if now == resource.RLIM_INFINITY else max(now - _OWN, now // 2)
