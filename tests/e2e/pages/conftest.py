"""The demo whose pages are tried."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from tests.support.browser import RunningDemo


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def demo() -> "AsyncIterator[RunningDemo]":
    """One for all: its set-up takes longer than most tests. They are of one xdist group, so that it is one indeed."""
    from tests.support.browser import running_demo

    async with running_demo() as running:
        yield running
