"""Workers whose clocks are wrong, and jump while they work: leases and due times follow the database's clock."""

import importlib.util
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.support.campaign import seeded, times
from tests.support.executions import moving, read_one, until
from tests.support.football import make_tournament
from tests.support.forked import Nursery, opened_nursery
from tests.support.oracles import assert_effects_once, assert_none_lost, states
from tests.support.workers import Workers, all_over, open_gate, queue_acts, workers

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(1800)

SKEWS = ("-90d", "-1h", "+1h", "+90d")


def faked_clock(file: Path) -> dict[str, str]:
    """An environment in which the wall clock is as far off as the file says."""
    found = importlib.util.find_spec("libfaketime")
    assert found is not None
    assert found.origin is not None
    library = Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    assert library.is_file()
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    file = tmp_path / "clock"
    file.write_text(SKEWS[0])
    return file


@pytest.fixture
def elsewhere(clock: Path) -> Iterator[Nursery]:
    """Its processes live by that clock."""
    with opened_nursery(faked_clock(clock)) as found:
        yield found


async def test_f10_leases_hold_whatever_the_clocks_of_workers_say(
    database: "PostgresDatabase", database_url: str, valkey_url: str, tmp_path: Path, clock: Path, elsewhere: Nursery
) -> None:
    rng, jumps = seeded("F10"), times(4, 40)
    _jump(clock, rng)
    made = await make_tournament(database, matches=10 + jumps)
    async with (
        workers(database, database_url, valkey_url, tmp_path, born_in=elsewhere) as crew,
        moving(database, valkey_url, tmp_path, resend_after=2),
    ):
        for _ in range(2):
            await crew.start(PALPITE_WORKER_CONCURRENCY="10", PALPITE_LEASE_SECONDS="10")
        # The clocks jump by more than any lease while they are renewed: nobody may lose his, nobody else may take it.
        sent = await queue_acts(database, made.matches[:10], ["write", "wait", "write"], tries=3)
        await until(lambda: _have_begun(database, 10), within=60)
        for match in made.matches[10:]:
            _jump(clock, rng)
            last = await _lease(database, "max")
            sent += await queue_acts(database, [match], ["write", "write"], tries=3)
            await until(partial(_are_renewed, database, last), within=60)
        await open_gate(database)
        await all_over(database)

    await assert_none_lost(database, sent)
    await assert_effects_once(database, 1)
    assert set((await states(database)).values()) == {"COMPLETED"}
    ends = [await read_one(database, one) for one in sent]
    assert {(execution.attempt, execution.fence) for execution in ends} == {(1, 1)}
    assert _furthest_off(crew) > timedelta(minutes=50)  # else the clocks were never wrong
    async with database.read() as connection:
        wrong = text("SELECT count(*) FROM executions WHERE NOT started_at BETWEEN queued_at AND finished_at")
        assert (await connection.execute(wrong)).scalar_one() == 0


def _jump(clock: Path, rng: random.Random) -> None:
    clock.write_text(rng.choice(SKEWS))


async def _have_begun(database: "PostgresDatabase", count: int) -> bool:
    async with database.read() as connection:
        return bool((await connection.execute(text("SELECT count(*) FROM effects"))).scalar_one() == count)


async def _lease(database: "PostgresDatabase", which: str) -> datetime:
    async with database.read() as connection:
        found: datetime = (await connection.execute(text(f"SELECT {which}(lease_until) FROM executions"))).scalar_one()
        return found


async def _are_renewed(database: "PostgresDatabase", at: datetime) -> bool:
    return await _lease(database, "min") > at


def _furthest_off(crew: Workers) -> timedelta:
    """How wrong the clocks were that stamped the log."""
    now = datetime.now(UTC)
    return max(abs(datetime.fromisoformat(str(line["at"])) - now) for line in crew.lines())
