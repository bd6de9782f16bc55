"""Worker processes for the fault tests."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase
    from tests.support.workers import Workers


@pytest.fixture
async def crew(
    database: "PostgresDatabase", database_url: str, valkey_url: str, tmp_path: Path
) -> "AsyncIterator[Workers]":
    """Starts worker processes on this test's servers."""
    from tests.support.workers import workers

    async with workers(database, database_url, valkey_url, tmp_path) as found:
        yield found
