"""A night on call, on a running server: start, watch, cancel, find what failed, put it right, pause, look it up."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from integrations.openfootball import seasons
from tests.support.gql_clients import Session, operation, over_http, over_socket, sign_up
from tests.support.memory import data_in_memory
from tests.support.palpite import RunningPalpite, run_palpite, started_palpite

pytestmark = pytest.mark.timeout(400)

SHIPPED = Path(*seasons.__path__)
LATE = {"provider": "OPENFOOTBALL", "competition": "worldcup", "season": "2022"}


@pytest.fixture
def data() -> Iterator[Path]:
    with data_in_memory() as folder:
        yield folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of seasons without the world cup."""
    shutil.copytree(SHIPPED / "2024-25", tmp_path / "seasons" / "2024-25")
    return tmp_path / "seasons"


async def run(http: Session, **named: Any) -> dict[str, Any]:
    given = operation("runOperation", input={"operation": named, "reason": "the night shift"})
    return accepted((await http.execute(given))["runOperation"])


def accepted(payload: dict[str, Any]) -> dict[str, Any]:
    assert payload["errors"] == []
    return payload


async def followed(socket: Session, execution: dict[str, Any]) -> list[dict[str, Any]]:
    """What the stream tells of an execution, to its end."""
    async with asyncio.timeout(120):
        return [
            event["executionUpdates"]
            async for event in socket.subscribe(operation("executionUpdates", ids=[execution["id"]]))
        ]


async def nodes(http: Session, name: str, field: str, **variables: Any) -> list[dict[str, Any]]:
    answer = await http.execute(operation(name, **variables))
    return [edge["node"] for edge in answer["admin"][field]["edges"]]


def worker_of(palpite: RunningPalpite) -> psutil.Process:
    return next(process for process in palpite.family() if process.cmdline()[-1:] == ["worker"])


async def test_a_night_on_call(data: Path, files: Path) -> None:
    with started_palpite("up", "--port", "0", "--data", str(data), PALPITE_OPENFOOTBALL_DIR=str(files)) as palpite:
        server = await asyncio.to_thread(palpite.wait_until_ready)
        token = await sign_up(server, "night")
        await asyncio.to_thread(run_palpite, "members", "promote", "night@example.org", PALPITE_DATA=str(data))
        async with over_http(server, token) as http, over_socket(server, token) as socket:
            await starts_and_watches(http, socket)
            await cancels(http, socket, worker_of(palpite))
            await finds_and_replays(http, socket, files)
            await pauses(http)
            await looks_up(http)
            await sees_the_state(socket, data)


async def starts_and_watches(http: Session, socket: Session) -> None:
    source = {"provider": "OPENFOOTBALL", "competition": "en.1", "season": "2024-25"}
    created = (await followed(socket, (await run(http, ingestTournament={"source": source}))["execution"]))[-1]
    scope = {"tournamentId": created["tournament"]["id"]}
    for name in ("ingestRounds", "ingestTeams"):
        await followed(socket, (await run(http, **{name: scope}))["execution"])

    told = await followed(socket, (await run(http, ingestMatches=scope))["execution"])

    assert [one["version"] for one in told] == sorted({one["version"] for one in told})
    assert (told[-1]["state"], told[-1]["counts"]["created"]) == ("COMPLETED", 380)
    assert [step["state"] for step in told[-1]["steps"]] == ["COMPLETED"]
    assert told[-1]["reportUrl"] is not None


async def cancels(http: Session, socket: Session, worker: psutil.Process) -> None:
    worker.suspend()
    try:
        queued = (await run(http, settlePending={}))["execution"]
        given = {"executionId": queued["id"], "reason": "not now"}
        cancelled = accepted((await http.execute(operation("cancelExecution", input=given)))["cancelExecution"])
        again = (await http.execute(operation("cancelExecution", input=given)))["cancelExecution"]
    finally:
        worker.resume()

    assert cancelled["execution"]["state"] == "CANCELLED"
    assert [error["code"] for error in again["errors"]] == ["WRONG_STATE"]
    given = {"executionId": queued["id"], "reason": "now it may"}
    retried = accepted((await http.execute(operation("retryExecution", input=given)))["retryExecution"])
    assert retried["execution"]["retryOf"]["id"] == queued["id"]
    assert (await followed(socket, retried["execution"]))[-1]["state"] == "COMPLETED"


async def finds_and_replays(http: Session, socket: Session, files: Path) -> None:
    failed = (await followed(socket, (await run(http, ingestTournament={"source": LATE}))["execution"]))[-1]
    assert (failed["state"], failed["error"]["code"]) == ("FAILED", "PROVIDER_NOT_FOUND")
    (letter,) = await nodes(http, "adminDeadLetters", "deadLetters")
    assert letter["execution"]["id"] == failed["id"]
    assert json.loads(letter["message"])["jobType"] == "INGEST_TOURNAMENT"

    shutil.copytree(SHIPPED / "2022", files / "2022")
    given = {"deadLetterId": letter["id"], "reason": "the file is there now"}
    replayed = accepted((await http.execute(operation("replayDeadLetter", input=given)))["replayDeadLetter"])

    assert replayed["deadLetter"]["resolution"] == "REPLAYED"
    ended = (await followed(socket, replayed["execution"]))[-1]
    assert (ended["state"], ended["tournament"]["label"]) == ("COMPLETED", "World Cup")
    assert await nodes(http, "adminDeadLetters", "deadLetters") == []


async def pauses(http: Session) -> None:
    found = {one["name"]: one for one in await nodes(http, "adminSchedules", "schedules")}
    given = {"scheduleId": found["sync-current-round"]["id"], "status": "PAUSED", "reason": "a quiet night"}
    paused = accepted((await http.execute(operation("updateSchedule", input=given)))["updateSchedule"])

    assert (paused["schedule"]["status"], paused["schedule"]["nextRunAt"]) == ("PAUSED", None)
    assert {one["status"] for name, one in found.items() if name != "sync-current-round"} == {"ACTIVE"}


async def looks_up(http: Session) -> None:
    entries = await nodes(http, "adminAuditLog", "auditLog", first=4)

    assert [(entry["action"], entry["reason"]) for entry in entries] == [
        ("updateSchedule", "a quiet night"),
        ("replayDeadLetter", "the file is there now"),
        ("runOperation", "the night shift"),
        ("retryExecution", "now it may"),
    ]
    assert {entry["actor"]["nickName"] for entry in entries} == {"night"}


async def sees_the_state(socket: Session, data: Path) -> None:
    async with asyncio.timeout(60):
        async for event in socket.subscribe(operation("operationsUpdates")):
            now = event["operationsUpdates"]
            if now["workers"] and now["schedulerSeenAt"] and not now["outboxBacklog"]:
                break
    assert now["providers"][0] | {"lastGoodAt": None} == {
        "provider": now["providers"][0]["provider"],
        "breaker": "CLOSED",
        "reason": None,
        "retryAt": None,
        "lastGoodAt": None,
    }
    status = await asyncio.to_thread(run_palpite, "status", PALPITE_DATA=str(data))
    assert status.returncode == 0, status.stdout + status.stderr
