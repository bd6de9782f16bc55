"""Log lines: one JSON object each with the keys of the contract, also those of other libraries, and no secrets."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from asyncpg import CannotConnectNowError
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from runtime.database import PostgresDatabase
from runtime.logging import configure_logging, log_context, name_task
from runtime.settings import load_settings


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def _lines(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_carries_the_keys_of_the_contract(output: io.StringIO) -> None:
    configure_logging(load_settings(log_format="json"), "worker", output)
    keys = {"requestId": "r", "executionId": "e", "jobId": "j", "domain": "settlement", "operation": "SETTLE_MATCH"}
    with structlog.contextvars.bound_contextvars(**keys):
        structlog.get_logger("tasks").info("settled", changed=3)
    structlog.get_logger("tasks").warning("outside")

    first, second = _lines(output)
    assert list(first)[:9] == [
        "at",
        "level",
        "message",
        "component",
        "domain",
        "operation",
        "requestId",
        "executionId",
        "jobId",
    ]
    assert first | {"at": ""} == {
        "at": "",
        "level": "info",
        "message": "settled",
        "component": "worker",
        "domain": "settlement",
        "operation": "SETTLE_MATCH",
        "requestId": "r",
        "executionId": "e",
        "jobId": "j",
        "logger": "tasks",
        "changed": 3,
    }
    assert second | {"at": ""} == {
        "at": "",
        "level": "warning",
        "message": "outside",
        "component": "worker",
        "logger": "tasks",
    }


async def test_a_task_that_is_named_logs_its_request_and_so_do_those_it_starts_alone(output: io.StringIO) -> None:
    configure_logging(load_settings(log_format="json"), "api", output)

    async def log(message: str) -> None:
        logging.getLogger("socket").warning(message)

    async def serve() -> None:
        name_task("r")
        await log("itself")
        await asyncio.create_task(log("started"))

    await asyncio.create_task(serve())
    await asyncio.create_task(log("another"))

    named = [(line["message"], line.get("requestId")) for line in _lines(output)]
    assert named == [("itself", "r"), ("started", "r"), ("another", None)]


@pytest.mark.parametrize("name", ["uvicorn.error", "taskiq.receiver", "alembic", "anything"])
def test_lines_of_libraries_look_the_same(output: io.StringIO, name: str) -> None:
    configure_logging(load_settings(log_format="json"), "api", output)
    with log_context("r"):
        logging.getLogger(name).error("failed %s times", 3, extra={"path": "/x"})

    (line,) = _lines(output)
    assert line | {"at": ""} == {
        "at": "",
        "level": "error",
        "message": "failed 3 times",
        "component": "api",
        "requestId": "r",
        "logger": name,
        "path": "/x",
    }


@pytest.mark.parametrize(
    ("log_format", "shown"),
    [
        ("json", '"email":"***","sessionToken":"***","Password":"***","nickName":"ana"'),
        ("text", "Password=*** email=*** nickName=ana sessionToken=***"),
    ],
)
def test_what_is_private_does_not_come_out(output: io.StringIO, log_format: str, shown: str) -> None:
    configure_logging(load_settings(log_format=log_format), "api", output)
    structlog.get_logger().info("signed in", email="ana@example.org", sessionToken="t", Password="p", nickName="ana")

    assert shown in output.getvalue().replace('": "', '":"').replace('", "', '","')


def test_an_exception_stays_on_its_line(output: io.StringIO) -> None:
    configure_logging(load_settings(log_format="json"), "api", output)
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("request failed")

    (line,) = _lines(output)
    assert str(line["exception"]).endswith("ValueError: invalid literal for int() with base 10: 'broken'")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_local_variable_comes_out_with_an_error(output: io.StringIO, log_format: str) -> None:
    configure_logging(load_settings(log_format=log_format), "api", output)

    def connect(password: str) -> None:
        raise ValueError(f"refused a password of {len(password)} digits")

    try:
        connect(str(2**70))
    except ValueError:
        structlog.get_logger().exception("not connected")

    assert "ValueError: refused a password of 22 digits" in output.getvalue()
    assert str(2**70) not in output.getvalue()


@pytest.mark.parametrize(
    ("away", "told"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (CannotConnectNowError("the database system is starting up"), "the database system is starting up"),
        (RedisConnectionError("Connection closed by server."), "Connection closed by server."),
    ],
)
def test_a_server_that_is_away_is_one_line_for_a_person(output: io.StringIO, away: Exception, told: str) -> None:
    configure_logging(load_settings(log_format="text"), "api", output)
    structlog.get_logger().warning("loop_failed", error=repr(away), exc_info=away)

    (line,) = output.getvalue().splitlines()
    assert f"{type(away).__name__}: {told}" in line


def test_a_file_that_is_missing_is_no_server_that_is_away(output: io.StringIO) -> None:
    configure_logging(load_settings(log_format="text"), "api", output)
    try:
        Path("/no/such/file").read_text(encoding="utf-8")
    except FileNotFoundError:
        structlog.get_logger().exception("not read")

    assert "Traceback (most recent call last):" in output.getvalue()


BAD = [
    ("INSERT INTO members (id, nick_name, email) VALUES (gen_random_uuid(), 'A', :value)", "a secret\nof two lines"),
    ("SELECT CAST(:value AS integer)", "a secret"),
    ("SELECT CAST(:value AS integer)", 1_234_567_890_123),
]


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_no_value_comes_out_with_an_error(
    output: io.StringIO, database: PostgresDatabase, log_format: str
) -> None:
    configure_logging(load_settings(log_format=log_format), "api", output)
    for statement, value in BAD:
        with pytest.raises(DBAPIError) as found:
            async with database.begin() as connection:
                await connection.execute(text(statement), {"value": value})
        structlog.get_logger().error("failed", error=repr(found.value), exc_info=found.value)

    for line in _lines(output) if log_format == "json" else ():
        assert str(line["exception"]).count("***") >= 2  # the driver's error, and what became of it
        assert str(line["error"]).count("***") == 1
        assert "[SQL: " in str(line["exception"])
    assert output.getvalue().count("***") >= 3 * len(BAD)
    for value in ("secret", "two lines", "1234567890123"):
        assert value not in output.getvalue()


def test_lines_for_a_person_are_text(output: io.StringIO) -> None:
    configure_logging(load_settings(log_format="text", log_level="warning"), "api", output)
    structlog.get_logger("here").info("not shown")
    structlog.get_logger("here").warning("shown", matches=2)

    (line,) = output.getvalue().splitlines()
    assert "shown" in line
    assert "matches=2" in line
    assert "\x1b" not in line
