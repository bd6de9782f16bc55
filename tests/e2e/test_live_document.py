"""The recipes of docs/live.md, run as they stand there: they follow a board, see what was lost, and resume."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import pytest

from domain.ids import TournamentId
from runtime.database import PostgresDatabase
from tests.support.api import Api, running_api, served
from tests.support.api_world import make_world
from tests.support.football import MadeTournament, make_member, make_tournament, pass_lock, put_guess
from tests.support.graphql_client import id_of
from tests.support.lossy_relay import lossy_relay
from tests.support.node import CLIENTS, NODE, with_packages
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


def test_the_packages_to_install_are_those_that_the_recipes_are_run_with() -> None:
    (line,) = re.findall("^`npm install .*$", PAGE, re.MULTILINE)
    pinned = orjson.loads((CLIENTS / "package.json").read_bytes())["dependencies"].keys() - {"graphql-http"}

    words = " ".join(re.findall("`([^`]+)`", line)).split()
    assert sorted(words) == sorted([*pinned, "npm", "install", "pip", "install", "'gql[websockets]'"])


@asynccontextmanager
async def running(
    command: Sequence[str], tournament_id: TournamentId, address: str, folder: Path, **more: str
) -> AsyncIterator[asyncio.StreamReader]:
    """A recipe on a board; what it prints."""
    document = folder / "board.graphql"
    document.write_text(recipe("Recipes"))
    board = orjson.dumps({"tournamentId": id_of("Tournament", tournament_id)}).decode()
    given = {"PALPITE_URL": f"http://{address}", "BOARD": board, "DOCUMENT": str(document), **more}
    environment = {**os.environ, **given}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        with suppress(ProcessLookupError):
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


async def version_of(output: asyncio.StreamReader, wanted: str, *, later_than: int) -> int:
    """The version of the next line that has this in it and is of a later one."""
    version = later_than
    while version <= later_than:
        version = int((await line(output, wanted)).split()[0])
    return version


async def _join(database: PostgresDatabase, made: MadeTournament) -> None:
    """Two who guess, and are both right in the first match."""
    first, second, third = made.matches
    ana, bob = [await make_member(database, name, joins=[made]) for name in ("Ana", "Bob")]
    guesses = [(first, ana, 2, 1), (first, bob, 1, 0), (second, bob, 3, 2), (third, bob, 5, 5)]
    for match_id, member_id, home, away in guesses:
        await put_guess(database, made, match_id, member_id, home, away)
    await pass_lock(database, *made.matches)


async def _follows_and_resumes(command: Sequence[str], api: Api, folder: Path, *, is_told_of_silence: bool) -> None:
    """`is_told_of_silence`: by the socket itself, which hears the relay."""
    database = api.database
    made = await make_tournament(database, matches=3)
    first, second, third = made.matches
    async with (
        served(api) as address,
        lossy_relay(address) as (relay, outside),
        running(command, made.id, outside, folder) as output,
    ):
        await line(output, " nobody")
        await _join(database, made)
        await play(database, first, 2, 1)
        await line(output, " Ana 3")
        relay.lose_one()
        await play(database, second, 3, 2)
        await line(output, " Bob 6")
        (lost,) = relay.lost
        assert relay.resumed == [None, {"epoch": lost["epoch"], "version": lost["fromVersion"]}]
        relay.refuse_one("UNAVAILABLE")
        relay.cut()
        await play(database, third, 5, 5)
        version = await version_of(output, " Bob 9", later_than=lost["version"])
        refused, resumed = relay.resumed[2:]
        assert refused == resumed
        assert resumed["version"] >= lost["version"]
        if not is_told_of_silence:
            relay.hush()
            await play(database, first, 1, 0)
            await version_of(output, " Bob 9", later_than=version)
        relay.refuse_one("FORBIDDEN")
        relay.cut()
        async with asyncio.timeout(60):
            await output.read()  # it ends by itself: who may not see the board does not ask again and again


@pytest.mark.parametrize("name", ["`graphql-ws`", "urql", "Apollo Client"])
async def test_javascript(name: str, api: Api, tmp_path: Path) -> None:
    script = with_packages(tmp_path) / "recipe.mjs"
    script.write_text(recipe(f"JavaScript, {name}"))
    (tmp_path / "socket.mjs").write_text(recipe("JavaScript, the socket").replace("40_000", "2_000"))
    await _follows_and_resumes([NODE, str(script)], api, tmp_path, is_told_of_silence=False)


async def test_python_gql(api: Api, tmp_path: Path) -> None:
    script = tmp_path / "recipe.py"
    script.write_text(recipe("Python, `gql`"))
    await _follows_and_resumes([sys.executable, str(script)], api, tmp_path, is_told_of_silence=True)


async def test_curl(api: Api, tmp_path: Path) -> None:
    world, command = await make_world(api), ["sh", "-c", recipe("Server-sent events, with `curl`")]
    async with served(api) as address:
        async with running(command, world.tournament.id, address, tmp_path) as output:
            assert await line(output, "event: ") == "event: next\n"
            snapshot = _event(await line(output, "data: "))
            await play(api.database, world.locked, 3, 2)
            delta = _event(await line(output, "LeaderboardDelta"))
            assert delta["fromVersion"] == snapshot["version"]
        after = orjson.dumps({"epoch": delta["epoch"], "version": delta["version"]}).decode()
        async with running(command, world.tournament.id, address, tmp_path, AFTER=after) as output:
            resumed = _event(await line(output, "data: "))
    assert resumed["epoch"] == delta["epoch"]
    assert resumed["__typename"] in ("Heartbeat", "LeaderboardDelta", "Resync")


def _event(text: str) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(text.removeprefix("data: "))["data"]["leaderboardUpdates"]
    return found
