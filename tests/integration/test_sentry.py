"""What Sentry is told by each process: every unexpected error once, and nothing about people."""

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.errors import NotFound
from domain.execution.model import ExecutionErrorCode, ExecutionState, Operation
from runtime.sentry import reporting
from runtime.settings import Settings
from tests.support.api import PASSWORD, Api, open_stream, running_api, served
from tests.support.executions import ended, moving, queue, until
from tests.support.football import make_tournament
from tests.support.palpite import REPOSITORY, environment, started_palpite
from tests.support.sentry import Sentry, running_sentry, tags_of
from tests.support.workers import queue_acts, workers

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

BROKEN = "{ tournaments { edges { cursor } } }"
PRIVATE = ("ana@example.org", "3-2 secret")


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    with running_sentry() as server:
        yield server


@pytest.fixture
async def api(sentry: Sentry, database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, valkey_url, tmp_path, sentry_dsn=sentry.dsn) as made:
        with reporting(made.settings, "api"):
            yield made


async def break_tournaments(api: Api) -> None:
    async with api.database.begin() as connection:
        await connection.execute(text("ALTER TABLE tournaments RENAME TO hidden"))


def assert_private(sentry: Sentry) -> None:
    """Nothing of people, nothing of requests, nothing of this code's values."""
    assert sentry.wire
    for word in (*PRIVATE, PASSWORD, "Bearer", "edges { cursor }"):
        assert word.encode() not in sentry.wire, word
    for event in sentry.events:
        assert set(event) & {"request", "user", "extra", "breadcrumbs", "modules", "server_name"} == set()
        for error in event.get("exception", {}).get("values", []):
            assert error["value"] == "The message is in the log."
            assert all("vars" not in frame for frame in error.get("stacktrace", {"frames": []})["frames"])


# ---------------------------------------------------------------- API


async def test_an_error_over_http_is_told_once(api: Api, sentry: Sentry) -> None:
    member = await api.sign_up("Ana")
    await break_tournaments(api)
    answer = await member.run(BROKEN, x_request_id="broken-1")
    (event,) = await sentry.has(1)

    assert answer.codes == ["INTERNAL"]
    assert tags_of(event) == {
        "component": "api",
        "event": "unexpected error",
        "path": "tournaments",
        "requestId": "broken-1",
        "type": "ProgrammingError",
    }
    assert event["environment"] == "local"
    assert event["release"].startswith("palpite@")
    assert_private(sentry)


async def test_errors_of_operations_over_a_websocket_are_told_once_each(api: Api, sentry: Sentry) -> None:
    await break_tournaments(api)
    async with served(api) as address, open_stream(address) as stream:
        await stream.subscribe("one", BROKEN)
        await stream.subscribe("two", BROKEN)
        codes = []
        while len(codes) < 2:
            message = await stream.receive()
            if message["type"] == "next":
                codes += [error["extensions"]["code"] for error in message["payload"]["errors"]]
    events = await sentry.has(2)

    assert codes == ["INTERNAL", "INTERNAL"]
    assert [tags_of(event)["path"] for event in events] == ["tournaments", "tournaments"]
    assert {tags_of(event)["requestId"].rpartition(".")[2] for event in events} == {"1", "2"}
    assert_private(sentry)


async def test_refusals_and_servers_that_are_away_are_not_told(api: Api, sentry: Sentry) -> None:
    client = api.client()
    refused = [
        await client.run(
            f'mutation {{ signIn(input: {{email: "ana@example.org", password: "{PASSWORD}"}}) {{ token }} }}'
        ),
        await client.run("{ nothing }"),
        await client.post(b"{"),
        await client.run('mutation { createLeague(input: {name: "x"}) { errors { code } } }'),
    ]
    log = logging.getLogger("test")
    log.error("away", exc_info=ConnectionRefusedError("postgres"))
    log.error("refused", exc_info=NotFound("no such league"))
    log.warning("only a warning", exc_info=ValueError("x"))
    await break_tournaments(api)
    await client.run(BROKEN)  # after it, nothing else can be on its way
    (event,) = await sentry.has(1)

    assert [answer.codes for answer in refused[1:3]] == [["INVALID_INPUT"], ["INVALID_INPUT"]]
    assert refused[0].data["signIn"] == {"token": None}
    assert refused[3].data["createLeague"]["errors"] == [{"code": "UNAUTHENTICATED"}]
    assert tags_of(event)["type"] == "ProgrammingError"


@pytest.mark.usefixtures("api")
async def test_no_message_and_no_value_leaves_the_process(sentry: Sentry) -> None:
    """A database's error names the values; so may an exception of ours, its cause, its notes, and a log line."""
    email, guess = PRIVATE

    def fail(secret: str) -> None:
        error = ValueError(f"bad guess {secret}")
        error.add_note(f"of {email}")
        raise error from KeyError(email)

    log = logging.getLogger("test")
    try:
        fail(guess)
    except ValueError:
        log.exception("a guess of %s failed", email, extra={"email": email, "executionId": "e-1"})
    log.error("many lines\nof %s", email)
    first, second = await sentry.has(2)

    assert [error["type"] for error in first["exception"]["values"]] == ["KeyError", "ValueError"]
    assert tags_of(first) == {
        "component": "api",
        "event": "a guess of %s failed",
        "executionId": "e-1",
        "type": "ValueError",
    }
    assert (second["message"], second["level"]) == ("many lines", "error")
    assert_private(sentry)


async def test_after_the_block_nothing_is_told(sentry: Sentry, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, sentry_dsn=sentry.dsn)
    with reporting(settings, "api"):
        logging.getLogger("test").error("inside")
    logging.getLogger("test").error("outside")
    with reporting(settings, "api"):
        logging.getLogger("test").error("inside again")

    assert [event["message"] for event in sentry.events] == ["inside", "inside again"]


def test_without_a_dsn_nothing_is_loaded() -> None:
    code = """
import sys
import runtime.api, runtime.worker, runtime.scheduler
from runtime.sentry import reporting
from runtime.settings import Settings
with reporting(Settings(), "api"):
    sys.exit("sentry_sdk" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environment({}), check=False, timeout=60)
    assert done.returncode == 0


# ---------------------------------------------------------------- worker


async def test_a_worker_tells_of_an_execution_when_it_has_failed_for_good(
    database: "PostgresDatabase", database_url: str, valkey_url: str, sentry: Sentry, tmp_path: Path
) -> None:
    """Three tries of which two are repeated, with an error whose message names a member and a guess."""
    made = await make_tournament(database, matches=2)
    async with workers(database, database_url, valkey_url, tmp_path) as crew, moving(database, valkey_url, tmp_path):
        await crew.start(PALPITE_SENTRY_DSN=sentry.dsn)
        (doomed,) = await queue_acts(database, made.matches[:1], [" ".join(PRIVATE)], tries=3)
        execution = await ended(database, doomed, within=60)
        (event,) = await sentry.has(1)
        (fine,) = await queue_acts(database, made.matches[1:], ["write"])
        assert (await ended(database, fine)).state is ExecutionState.COMPLETED

    assert (execution.state, execution.attempt) == (ExecutionState.FAILED, 3)
    assert [tags_of(event) for event in sentry.events] == [
        {
            "attempt": "3",
            "code": "INTERNAL",
            "component": "worker",
            "domain": "settlement",
            "event": "execution_failed",
            "executionId": str(doomed),
            "jobId": tags_of(event)["jobId"],
            "operation": "SETTLE_MATCH",
            "requestId": "fault",
            "type": "ValueError",
        }
    ]
    assert_private(sentry)


# ---------------------------------------------------------------- scheduler


async def test_a_scheduler_tells_of_a_loop_that_fails_and_of_executions_whose_workers_were_lost(
    database: "PostgresDatabase", database_url: str, valkey_url: str, sentry: Sentry, tmp_path: Path
) -> None:
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "PALPITE_DATA": str(tmp_path),
        "PALPITE_LOG_FORMAT": "json",
        "PALPITE_SENTRY_DSN": sentry.dsn,
        "PALPITE_SWEEP_SECONDS": "0.2",
        "PALPITE_SCHEDULE_POLL_SECONDS": "0.2",
    }
    lost = await queue(database, operation=Operation.SETTLE_PENDING)
    with started_palpite("scheduler", **settings) as scheduler:
        scheduler.wait_for_line(lambda line: "scheduler_ready" in line)
        async with database.begin() as connection:
            await connection.execute(
                text(
                    "UPDATE executions SET state = 'IN_PROGRESS', attempt = max_attempts, fence = 1,"
                    " lease_owner = 'lost', lease_until = now() WHERE id = :id"
                ),
                {"id": lost.execution.id},
            )
        failed = await ended(database, lost.execution.id, within=30)
        await sentry.has(1)
        async with database.begin() as connection:
            await connection.execute(text("ALTER TABLE schedules RENAME TO hidden"))

        async def has_failed_often() -> bool:
            return sum("loop_failed" in line and "schedules" in line for line in scheduler.lines) >= 3

        await until(has_failed_often, within=60)
    first, second = await sentry.has(2)

    assert failed.error_code is ExecutionErrorCode.WORKER_LOST
    assert tags_of(first) == {
        "attempt": str(failed.attempt),
        "component": "scheduler",
        "domain": "execution",
        "event": "worker_lost",
        "executionId": str(failed.id),
        "operation": "SETTLE_PENDING",
        "requestId": "request-1",
    }
    assert tags_of(second) == {
        "component": "scheduler",
        "event": "loop_failed",
        "loop": "schedules",
        "type": "ProgrammingError",
    }
    assert len(sentry.events) == 2
    assert_private(sentry)
