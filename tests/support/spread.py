"""How tests are spread over the workers of pytest-xdist: those that share what is slow to start go to one of them.

xdist's own `--dist loadgroup` puts the group into a test's id, which pytest 9.2 ignores: each worker starts everything.
"""

from collections.abc import Sequence
from operator import itemgetter

import pytest
from xdist.scheduler import LoadScopeScheduling

WHOLE = (
    "tests/e2e/pages/",
    "tests/e2e/running/",
    "tests/e2e/test_image.py",
    "tests/contract/test_object_store.py",
    "tests/integration/test_cluster.py",
)
"""Files and folders whose tests share an installation."""
LONG = ("tests/e2e/", "tests/faults/")
"""What waits for the greater part of its time."""
EARLY = 0.8


def mixed(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Long tests evenly among the others, which compute while those wait; at the end short ones, for all workers."""
    long = [item for item in items if item.nodeid.startswith(LONG)]
    short = [item for item in items if not item.nodeid.startswith(LONG)]
    step = EARLY * len(short) / max(1, len(long))
    placed = [(number * step, item) for number, item in enumerate(long)] + list(enumerate(short))
    return [item for _, item in sorted(placed, key=itemgetter(0))]


class Spread(LoadScopeScheduling):
    """Every test is a scope of its own, but for those of `WHOLE`."""

    def _split_scope(self, nodeid: str) -> str:
        return next((whole for whole in WHOLE if nodeid.startswith(whole)), nodeid)
