"""The API, the small world behind it, and who runs the platform; a file that needs others makes its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.api import Api
    from tests.support.api_world import World
    from tests.support.graphql_client import GraphQLClient


@pytest.fixture
async def api(database_url: str, valkey_url: str, tmp_path: Path) -> "AsyncIterator[Api]":
    """The application on this test's servers."""
    from tests.support.api import running_api

    async with running_api(database_url, valkey_url, tmp_path) as running:
        yield running


@pytest.fixture
async def address(api: "Api") -> "AsyncIterator[str]":
    """Where the application is served, as `host:port`."""
    from tests.support.api import served

    async with served(api) as found:
        yield found


@pytest.fixture
async def world(api: "Api") -> "World":
    """The small world behind the application."""
    from tests.support.api_world import make_world

    return await make_world(api)


@pytest.fixture
async def root(world: "World") -> "GraphQLClient":
    """A client of who runs the platform."""
    return await world.client(world.root)
