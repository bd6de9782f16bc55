"""How tests are spread over the workers of pytest-xdist: those that share what is slow to start go to one of them.

xdist's own `--dist loadgroup` puts the group into a test's id, which pytest 9.2 ignores: each worker starts everything.
"""

from xdist.scheduler import LoadScopeScheduling

WHOLE = (
    "tests/e2e/pages/",
    "tests/e2e/test_clients.py",
    "tests/e2e/test_image.py",
    "tests/e2e/test_up_running.py",
    "tests/integration/test_cluster.py",
)
"""Files and folders whose tests share an installation."""


class Spread(LoadScopeScheduling):
    """Every test is a scope of its own, but for those of `WHOLE`."""

    def _split_scope(self, nodeid: str) -> str:
        return next((whole for whole in WHOLE if nodeid.startswith(whole)), nodeid)
