"""The commands for the person on call, as they are typed: what they print, what they change, what they refuse."""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from domain.clock import utc_now
from domain.execution.lease import service as leases
from domain.execution.lease.store import Claim, Progress
from domain.execution.model import Counts, ExecutionErrorCode, ExecutionState, Failure, Operation
from domain.execution.service import live_executions
from domain.execution.status.model import Process, ProcessKind
from domain.ids import new_id
from domain.schedule import service as schedules
from integrations.openfootball.provider import OpenFootballProvider
from runtime.errors import SetupError
from runtime.operator import duration, parse_id
from runtime.replay import Player, describe
from schema.ids import encode
from tasks.beat import Beat
from tests.support.executions import queue, read_one
from tests.support.forked import run_forked

if TYPE_CHECKING:
    from domain.execution.model import Execution
    from runtime.database import PostgresDatabase

REASON = ("--reason", "told so by a test")


async def palpite(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """On a narrow terminal, which must break no line of a table."""
    return await run_forked(*arguments, DATABASE_URL=url, COLUMNS="40")


async def answer(url: str, *arguments: str) -> Any:
    """The JSON that a command prints."""
    done = await palpite(url, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def failed(database: "PostgresDatabase") -> "Execution":
    """An execution that has just failed for good."""
    accepted = await queue(database, operation=Operation.SETTLE_PENDING)
    claimed = await leases.claim(database, accepted.execution.id, owner="test", lease_seconds=30)
    assert claimed is not None
    await leases.finish(
        database,
        Claim(claimed.id, claimed.fence),
        ExecutionState.FAILED,
        Progress(Counts(), ()),
        failure=Failure(ExecutionErrorCode.INTERNAL, "It broke."),
        report_key=None,
    )
    return await read_one(database, claimed.id)


async def audited(database: "PostgresDatabase") -> list[tuple[str, str, str]]:
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT actor_kind, action, reason FROM audit_log ORDER BY id"))
        return [(row.actor_kind, row.action, row.reason) for row in rows]


async def test_executions_are_listed_and_shown(database: "PostgresDatabase", database_url: str) -> None:
    waiting = (await queue(database, operation=Operation.SYNC_CURRENT_ROUND)).execution
    broken = await failed(database)

    table = (await palpite(database_url, "executions", "list")).stdout
    listed = await answer(database_url, "executions", "list", "--state", "FAILED")
    shown = await answer(database_url, "executions", "show", encode("Execution", broken.id))
    told = (await palpite(database_url, "executions", "show", str(broken.id))).stdout
    limited = await answer(database_url, "executions", "list", "--limit", "1")

    assert [line.split()[1] for line in table.splitlines()[1:]] == ["SETTLE_PENDING", "SYNC_CURRENT_ROUND"]
    assert [one["id"] for one in listed] == [str(broken.id)]
    assert (shown["id"], shown["error"], shown["steps"]) == (str(broken.id), "INTERNAL: It broke.", [])
    assert "counts created 0, updated 0, unchanged 0, failed 0" in " ".join(told.split())
    assert [one["id"] for one in limited] == [str(broken.id)]
    assert str(waiting.id) in table


async def test_an_execution_is_cancelled_and_retried(database: "PostgresDatabase", database_url: str) -> None:
    waiting = (await queue(database, operation=Operation.SYNC_CURRENT_ROUND)).execution

    cancelled = await palpite(database_url, "executions", "cancel", str(waiting.id), *REASON)
    again = await palpite(database_url, "executions", "cancel", str(waiting.id), *REASON)
    retried = await palpite(database_url, "executions", "retry", str(waiting.id), *REASON)
    newest = (await answer(database_url, "executions", "list"))[0]

    assert (cancelled.returncode, cancelled.stdout.strip()) == (0, f"SYNC_CURRENT_ROUND {waiting.id} is cancelled.")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith("palpite: ")
    assert retried.returncode == 0
    assert (newest["retryOf"], newest["state"]) == (str(waiting.id), "QUEUED")
    assert await audited(database) == [
        ("OPERATOR", "cancelExecution", "told so by a test"),
        ("OPERATOR", "retryExecution", "told so by a test"),
    ]


async def test_dead_letters_are_replayed_and_discarded(database: "PostgresDatabase", database_url: str) -> None:
    first = await failed(database)
    letter = (await answer(database_url, "dead-letters", "list"))[0]
    replayed = await palpite(database_url, "dead-letters", "replay", letter["id"], *REASON)
    assert replayed.returncode == 0, replayed.stderr
    nothing = await palpite(database_url, "dead-letters", "list")
    second = await failed(database)
    other = (await answer(database_url, "dead-letters", "list"))[0]
    discarded = await palpite(database_url, "dead-letters", "discard", other["id"], *REASON)
    everything = await answer(database_url, "dead-letters", "list", "--all")
    shown = await answer(database_url, "dead-letters", "show", letter["id"])

    assert (letter["executionId"], letter["error"]) == (str(first.id), "INTERNAL: It broke.")
    assert nothing.stdout.strip() == "No open dead letter."
    assert discarded.stdout.strip() == f"The dead letter of SETTLE_PENDING {second.id} is discarded."
    assert [one["resolution"] for one in everything] == ["DISCARDED", "REPLAYED"]
    assert (shown["id"], shown["reason"]) == (letter["id"], "told so by a test")


async def test_schedules_are_paused_resumed_and_run(database: "PostgresDatabase", database_url: str) -> None:
    await schedules.install_defaults(database)
    name = "settle-pending"

    table = (await palpite(database_url, "schedules", "list")).stdout
    paused = await palpite(database_url, "schedules", "pause", name, *REASON)
    listed = {one["name"]: one for one in await answer(database_url, "schedules", "list")}
    resumed = await palpite(database_url, "schedules", "resume", name, *REASON)
    started = await palpite(database_url, "schedules", "run", name, *REASON)
    newest = (await answer(database_url, "executions", "list"))[0]
    unknown = await palpite(database_url, "schedules", "pause", "no-such", *REASON)
    mute = await palpite(database_url, "schedules", "pause", name, "--reason", "x")

    assert name in table
    assert paused.stdout.strip() == "settle-pending is paused."
    assert (listed[name]["status"], listed[name]["nextRunAt"]) == ("PAUSED", None)
    assert resumed.stdout.startswith("settle-pending runs next at ")
    assert started.stdout.strip() == f"SETTLE_PENDING {newest['id']} is queued."
    assert (unknown.returncode, unknown.stderr.strip()) == (
        2,
        "palpite: There is no schedule 'no-such'; `palpite schedules list` shows them.",
    )
    assert (mute.returncode, "3 to 500 characters" in mute.stderr) == (2, True)


async def test_the_status_says_what_somebody_should_look_at(database: "PostgresDatabase", database_url: str) -> None:
    await failed(database)
    await queue(database, operation=Operation.SYNC_CURRENT_ROUND)

    done = await palpite(database_url, "status")
    found = await palpite(database_url, "status", "--json")
    queues = {one["operation"]: one for one in json.loads(found.stdout)["queues"]}

    assert (done.returncode, found.returncode) == (1, 1)
    assert "! No worker was seen in the last minute: start `palpite worker`." in done.stdout
    assert "! SETTLE_PENDING: 1 open dead letters (docs/runbooks/dead-letters.md)." in done.stdout
    assert queues["SYNC_CURRENT_ROUND"]["queued"] == 1
    assert queues["SETTLE_PENDING"]["deadLetters"] == 1


class DatabaseThatWasAway:
    """It answers from the second time on."""

    def __init__(self, database: "PostgresDatabase") -> None:
        self._database = database
        self.asked = 0

    def read(self) -> Any:
        self.asked += 1
        if self.asked == 1:
            raise ConnectionRefusedError
        return self._database.read()


async def test_a_replay_is_looked_for_and_begun_though_the_database_was_away(
    database: "PostgresDatabase", tmp_path: Path
) -> None:
    was_away, provider = DatabaseThatWasAway(database), OpenFootballProvider(tmp_path, replays_folder=tmp_path)
    player = Player(was_away, provider, tmp_path, utc_now)  # type: ignore[arg-type]
    assert await player.last("en.1", "2024-25") is None
    assert was_away.asked == 2

    was_away.asked = 0
    with pytest.raises(SetupError, match=r"2024-25/en\.1 cannot be replayed"):
        await player.begin("en.1", describe("2024-25", starts_at=utc_now(), speed=None, folder=tmp_path))
    assert was_away.asked == 2


async def test_a_replay_that_nobody_would_play_is_refused(
    database: "PostgresDatabase", database_url: str, tmp_path: Path
) -> None:
    async def refusal() -> str:
        done = await run_forked("replay", "2022/worldcup", DATABASE_URL=database_url, PALPITE_DATA=str(tmp_path))
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr

    without_worker = await refusal()
    await Beat(database, Process("test", ProcessKind.WORKER), every=10).once()
    without_scheduler = await refusal()

    assert without_worker == "palpite: No worker was seen in the last minute: start `palpite worker`.\n"
    assert without_scheduler.startswith("palpite: No scheduler is running: start `palpite scheduler`")
    assert await live_executions(database) == []
    assert not (tmp_path / "replays").exists()


async def test_an_id_of_another_kind_is_refused(database_url: str) -> None:
    done = await palpite(database_url, "executions", "show", encode("Match", 1))

    assert (done.returncode, done.stdout) == (2, "")
    assert "is the id of no execution: copy one from the list" in done.stderr


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("executions", "show"), "execution"),
        (("executions", "cancel", *REASON), "execution"),
        (("executions", "retry", *REASON), "execution"),
        (("dead-letters", "show"), "dead letter"),
        (("dead-letters", "replay", *REASON), "dead letter"),
        (("dead-letters", "discard", *REASON), "dead letter"),
    ],
)
async def test_what_is_not_there_is_named(database_url: str, command: tuple[str, ...], kind: str) -> None:
    wanted = str(new_id())
    done = await palpite(database_url, *command, wanted)

    assert (done.returncode, done.stderr) == (2, f"palpite: There is no {kind} {wanted}.\n")


def test_durations_and_ids_are_read_and_written_for_people() -> None:
    wanted = parse_id("01a00000-0000-7000-8000-000000000000", "Execution")

    assert [duration(seconds) for seconds in (None, 0, 61, 3_600, 90_061)] == ["", "0s", "1m 1s", "1h", "1d 1h"]
    assert parse_id(encode("Execution", wanted), "Execution") == wanted
    with pytest.raises(SetupError, match="'\\?' is the id of no dead letter"):
        parse_id("?", "DeadLetter")
