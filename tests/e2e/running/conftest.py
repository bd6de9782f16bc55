"""The installation that is tried."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.up import Up


@pytest.fixture(scope="package")
def up() -> "Iterator[Up]":
    """One for all of this folder, which go to one worker (tests.support.spread)."""
    from tests.support.up import running_up

    with running_up() as running:
        yield running
