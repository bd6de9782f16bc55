"""docs/runbooks/stuck-execution.md, tried as it is written: each of its commands, on an execution that is stuck."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from domain.execution.model import ExecutionState, Operation
from domain.execution.service import live_executions
from runtime.settings import Settings
from tests.support.executions import ended, queue, read_one, until
from tests.support.forked import run_forked
from tests.support.palpite import REPOSITORY, started_palpite

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from domain.ids import ExecutionId
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(240)

PAGE = (REPOSITORY / "docs" / "runbooks" / "stuck-execution.md").read_text()
STATUS = "palpite status"
LIST = "palpite executions list --state QUEUED --state IN_PROGRESS"
SHOW = "palpite executions show ID"
CANCEL = 'palpite executions cancel ID --reason "stuck since ten"'
RETRY = 'palpite executions retry ID --reason "the provider is back"'
RUN = 'palpite schedules run settle-pending --reason "matches are late"'


def test_the_commands_of_the_page_are_those_that_are_tried() -> None:
    blocks = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    assert [line for block in blocks for line in block.splitlines()] == [STATUS, LIST, SHOW, CANCEL, RETRY, RUN]


def test_what_the_page_names_is_there() -> None:
    """Settings, and lines of the logs, by which one finds the cause."""
    sources = "".join(
        path.read_text() for folder in ("tasks", "runtime") for path in (REPOSITORY / folder).rglob("*.py")
    )
    named = re.findall(r"logs? `(\w+)`|the scheduler `(\w+)`", PAGE)
    events = {name for found in named for name in found if name}

    assert events == {"queue_unreachable", "outbox_not_sent", "job_unknown", "heartbeat_failed"}
    assert [name for name in sorted(events) if f'"{name}"' not in sources] == []
    settings = {name.lower() for name in re.findall(r"PALPITE_(\w+)", PAGE)}
    assert settings - set(Settings.model_fields) == set()
    for name, value in re.findall(r"`PALPITE_(\w+)` \((\d+)\)", PAGE):
        assert Settings.model_fields[name.lower()].default == int(value)


async def test_each_command_does_what_the_page_says(
    database: "PostgresDatabase", database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "PALPITE_DATA": str(tmp_path)}
    stuck = (await queue(database, operation=Operation.SYNC_CURRENT_ROUND)).execution.id

    async def typed(command: str, execution_id: "ExecutionId | None" = None) -> "CompletedProcess[str]":
        words = shlex.split(command.replace(" ID", f" {execution_id}"))
        return await run_forked(*words[1:], **settings)

    async def is_well() -> bool:
        return (await typed(STATUS)).returncode == 0

    assert "No worker was seen" in (await typed(STATUS)).stdout
    assert str(stuck) in (await typed(LIST)).stdout
    assert "QUEUED" in (await typed(SHOW, stuck)).stdout
    await typed(CANCEL, stuck)
    assert (await read_one(database, stuck)).state is ExecutionState.CANCELLED
    await typed(RETRY, stuck)
    (again,) = await live_executions(database)
    assert again.retry_of == stuck
    assert not await is_well()

    with started_palpite("worker", **settings), started_palpite("scheduler", **settings):
        assert (await ended(database, again.id, within=90)).state is ExecutionState.COMPLETED
        ran = await typed(RUN)
        assert ran.returncode == 0, ran.stderr
        await until(is_well, within=90)
