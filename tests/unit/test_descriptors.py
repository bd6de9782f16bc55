"""A process takes as many descriptors as it may have, and keeps some for itself."""

import resource
import subprocess
import sys

import pytest

from runtime.descriptors import most_connections

BEGUN_WITH_FEW = """
import resource
from runtime.descriptors import allow_as_many_as_may_be, most_connections
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
allow_as_many_as_may_be()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), most_connections())
"""


@pytest.mark.parametrize(("hard", "connections"), [(1_000, 800), (100, 50)])
def test_the_limit_is_raised_as_far_as_it_may_be(hard: int, connections: int) -> None:
    code = BEGUN_WITH_FEW.format(soft=64, hard=hard)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(hard), str(hard), str(connections)]


def test_without_a_limit_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert most_connections() == sys.maxsize
