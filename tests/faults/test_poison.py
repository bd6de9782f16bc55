"""Executions that take their worker down with them, and what a worker does not know: others go on."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.execution.model import ExecutionErrorCode, ExecutionState
from tasks.loops import background
from tests.support.executions import ended, moving, read_one, until
from tests.support.football import make_tournament
from tests.support.oracles import assert_none_lost, states
from tests.support.workers import OBEDIENT, OLD, Workers, all_over, queue_acts

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(600)

TRIES = 3
OTHERS = 20


@pytest.mark.parametrize(
    ("act", "code"),
    [
        ("exit", ExecutionErrorCode.WORKER_LOST),
        ("spin", ExecutionErrorCode.WORKER_LOST),
        ("hog", ExecutionErrorCode.INTERNAL),
    ],
)
async def test_f17_poison_is_given_up_after_its_tries_and_others_are_done(
    act: str, code: ExecutionErrorCode, database: "PostgresDatabase", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    made = await make_tournament(database, matches=OTHERS + 1)
    poison = (await queue_acts(database, made.matches[:1], ["write", act], tries=TRIES))[0]
    others = await queue_acts(database, made.matches[1:], ["write", "slow"], tries=TRIES)
    keepers = [crew.keep(PALPITE_STUCK_SECONDS="1") for _ in range(2)]
    async with moving(database, valkey_url, tmp_path, resend_after=1), background(*keepers):
        execution = await ended(database, poison, within=120)
        await all_over(database)

    await assert_none_lost(database, [poison, *others])
    assert (execution.state, execution.error_code) == (ExecutionState.FAILED, code)
    assert execution.attempt == TRIES
    found = await states(database)
    assert {found[one] for one in others} == {"COMPLETED"}
    assert await _dead_letters(database) == [poison]


async def test_f17_an_old_worker_leaves_what_it_does_not_know_to_a_new_one(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    made = await make_tournament(database, matches=3)
    async with moving(database, valkey_url, tmp_path, resend_after=0.5):
        old = await crew.start(OLD)
        sent = await queue_acts(database, made.matches, ["write"])
        await until(lambda: _said(crew, "job_unknown", len(sent) + 1), within=60)  # it was sent again
        before = set((await states(database)).values())
        await crew.start(OBEDIENT)
        old.send(signal.SIGTERM)  # else it is a matter of luck to whom a job is sent, each time after a longer wait
        await all_over(database, within=120)

    await assert_none_lost(database, sent)
    assert before == {"QUEUED"}
    assert {(await read_one(database, one)).attempt for one in sent} == {1}


async def test_f17_an_operation_of_a_newer_version_holds_nobody_up(
    database: "PostgresDatabase", valkey_url: str, tmp_path: Path, crew: Workers
) -> None:
    """While versions change, the old sweeper and the old workers meet rows that they cannot read."""
    made = await make_tournament(database, matches=4)
    newer = await queue_acts(database, made.matches[:2], ["write"])
    async with database.begin() as connection:
        await connection.execute(text("ALTER TABLE executions DROP CONSTRAINT ck_executions_operation"))
        newer_ones = "UPDATE executions SET operation = 'OF_TOMORROW', enqueued_at = now() - interval '1 h'"
        await connection.execute(text(newer_ones))
        lost = text(
            "UPDATE executions SET state = 'IN_PROGRESS', attempt = 1, fence = 1, lease_until = now() - interval '1 h',"
            " lease_owner = 'newer:1:x', started_at = now() WHERE id = :id"
        )
        await connection.execute(lost, {"id": newer[0]})
    others = await queue_acts(database, made.matches[2:], ["write", "exit"], tries=2)
    async with moving(database, valkey_url, tmp_path, resend_after=0.5), background(crew.keep()):
        await asyncio.gather(*(ended(database, one, within=60) for one in others))

    found = await states(database)
    assert [found[one] for one in [*newer, *others]] == ["IN_PROGRESS", "QUEUED", "FAILED", "FAILED"]


async def _said(crew: Workers, event: str, at_least: int) -> bool:
    return len(crew.lines(event)) >= at_least


async def _dead_letters(database: "PostgresDatabase") -> list[object]:
    async with database.read() as connection:
        return list((await connection.execute(text("SELECT execution_id FROM dead_letters"))).scalars())
