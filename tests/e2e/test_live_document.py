"""The recipes of docs/live.md, run as they stand there: they follow a board, see what was lost, and resume."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from tests.support.api import Api, running_api, served
from tests.support.api_world import World, make_world
from tests.support.football import pass_lock
from tests.support.lossy_relay import lossy_relay
from tests.support.node import NODE, with_packages
from tests.support.settlement import play

PAGE = (Path(__file__).parents[2] / "docs" / "live.md").read_text()
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def api(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    # A client that lost the last change of an evening learns of it by a heartbeat.
    async with running_api(database_url, valkey_url, tmp_path, stream_heartbeat_seconds=0.5) as running:
        yield running


def recipe(title: str) -> str:
    """The first block under a heading."""
    found = re.search(rf"^##+ {re.escape(title)}$.*?^```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


@asynccontextmanager
async def running(
    command: Sequence[str], world: World, address: str, folder: Path, **more: str
) -> AsyncIterator[asyncio.StreamReader]:
    """A recipe on a board; what it prints."""
    document = folder / "board.graphql"
    document.write_text(recipe("Recipes"))
    board = orjson.dumps({"tournamentId": world.tournament_id}).decode()
    given = {"PALPITE_URL": f"http://{address}", "BOARD": board, "DOCUMENT": str(document), **more}
    environment = {**os.environ, **given}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # a shell's command too, which holds the pipe
        await process.wait()


async def line(output: asyncio.StreamReader, wanted: str) -> str:
    """The next line that has this in it."""
    async with asyncio.timeout(60):
        while True:
            found = (await output.readline()).decode()
            assert found, "it ended"
            if wanted in found:
                return found


async def _follows_and_resumes(command: Sequence[str], api: Api, folder: Path) -> None:
    world = await make_world(api)
    await pass_lock(api.database, world.open)
    async with (
        served(api) as address,
        lossy_relay(address) as (relay, outside),
        running(command, world, outside, folder) as output,
    ):
        await line(output, " Ana 3")
        relay.lose_one()
        await play(api.database, world.locked, 3, 2)
        await line(output, " Bob 6")
        (lost,) = relay.lost
        assert relay.resumed == [None, {"epoch": lost["epoch"], "version": lost["fromVersion"]}]
        relay.refuse_one()
        relay.cut()
        await play(api.database, world.open, 5, 5)
        assert int((await line(output, " Bob 9")).split()[0]) > lost["version"]
        refused, resumed = relay.resumed[2:]
        assert refused == resumed
        assert resumed["version"] >= lost["version"]


@pytest.mark.parametrize("name", ["`graphql-ws`", "urql", "Apollo Client"])
async def test_javascript(name: str, api: Api, tmp_path: Path) -> None:
    script = with_packages(tmp_path) / "recipe.mjs"
    script.write_text(recipe(f"JavaScript, {name}"))
    await _follows_and_resumes([NODE, str(script)], api, tmp_path)


async def test_python_gql(api: Api, tmp_path: Path) -> None:
    script = tmp_path / "recipe.py"
    script.write_text(recipe("Python, `gql`"))
    await _follows_and_resumes([sys.executable, str(script)], api, tmp_path)


async def test_curl(api: Api, tmp_path: Path) -> None:
    world, command = await make_world(api), ["sh", "-c", recipe("Server-sent events, with `curl`")]
    async with served(api) as address:
        async with running(command, world, address, tmp_path) as output:
            assert await line(output, "event: ") == "event: next\n"
            snapshot = _event(await line(output, "data: "))
            await play(api.database, world.locked, 3, 2)
            delta = _event(await line(output, "LeaderboardDelta"))
            assert delta["fromVersion"] == snapshot["version"]
        after = orjson.dumps({"epoch": delta["epoch"], "version": delta["version"]}).decode()
        async with running(command, world, address, tmp_path, AFTER=after) as output:
            resumed = _event(await line(output, "data: "))
    assert resumed["epoch"] == delta["epoch"]
    assert resumed["__typename"] in ("Heartbeat", "LeaderboardDelta", "Resync")


def _event(text: str) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(text.removeprefix("data: "))["data"]["leaderboardUpdates"]
    return found
