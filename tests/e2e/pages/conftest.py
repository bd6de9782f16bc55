"""The demo whose pages are tried."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.browser import RunningDemo


@pytest.fixture(scope="package")
def demo() -> "Iterator[RunningDemo]":
    """One for all: its set-up takes longer than most tests. They are of one xdist group, so that it is one indeed."""
    from tests.support.browser import running_demo

    with running_demo() as running:
        yield running
