"""Files of boards while their store is cut off: whole files in the end, and nothing of those that were not."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from domain.clock import utc_now
from domain.execution.exports import export_of, file_key
from domain.execution.model import Execution, ExecutionState
from domain.execution.run import Run
from domain.ids import ExecutionId
from domain.leaderboard.export.model import ExportFormat, Wanted
from domain.leaderboard.export.service import export_leaderboard, request_export
from domain.leaderboard.model import BoardKey
from domain.leaderboard.service import Boards
from integrations.object_store.s3 import Bucket, S3Store, open_s3
from tests.support.cut_proxy import CutProxy, http_through_proxy
from tests.support.executions import ended, read_one, running, until
from tests.support.football import make_members, make_tournament
from tests.support.s3 import ENVIRONMENT, make_bucket, running_moto

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(240)
MEMBERS = 1_200
"""More than a page, and more bytes than a socket takes at once."""


@dataclass
class Stage:
    """A store behind a proxy, and a member's file that is to be kept in it."""

    database: "PostgresDatabase"
    valkey_url: str
    folder: Path
    proxy: CutProxy
    cut: S3Store
    """The store by way of the proxy."""
    store: S3Store
    wanted: Wanted

    async def exported(self, meanwhile: Callable[[ExecutionId], Awaitable[None]] | None = None) -> Execution:
        """The execution once it is over."""
        asked = await request_export(self.database, self.wanted, request_id="request-1")
        boards = Boards(self.database, None, utc_now)

        async def work(run: Run) -> None:
            await export_leaderboard(run, boards, self.cut)

        async with running(self.database, self.valkey_url, self.folder, work):
            if meanwhile is not None:
                await meanwhile(asked.id)
            return await ended(self.database, asked.id, within=120)

    async def assert_kept_whole(self, execution: Execution) -> None:
        assert execution.state is ExecutionState.COMPLETED
        key = export_of(execution).key
        assert key is not None
        content = await self.store.get(key)
        assert content is not None
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        assert [int(row["position"]) for row in rows] == list(range(1, MEMBERS + 1))


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with running_moto() as endpoint:
        yield endpoint


@pytest.fixture
async def stage(
    database: "PostgresDatabase", valkey_url: str, moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    bucket = f"palpite-{uuid4().hex}"
    await make_bucket(moto, bucket)
    made = await make_tournament(database, matches=1)
    member, *_ = await make_members(database, MEMBERS, joins=[made])
    wanted = Wanted(member, BoardKey(tournament_id=made.id), None, settled_only=True, format=ExportFormat.CSV)
    async with (
        http_through_proxy(moto) as (proxy, endpoint),
        open_s3(Bucket(bucket, "files", endpoint)) as cut,
        open_s3(Bucket(bucket, "files", moto)) as store,
    ):
        yield Stage(database, valkey_url, tmp_path / "reports", proxy, cut, store, wanted)


@pytest.mark.parametrize("passed", [100, 20_000])
async def test_a_connection_that_is_cut_is_made_again_in_the_same_try(stage: Stage, passed: int) -> None:
    stage.proxy.cut_after(passed)

    execution = await stage.exported()

    assert (execution.attempt, stage.proxy.cuts) == (1, 1)
    await stage.assert_kept_whole(execution)


async def test_a_file_whose_keeping_was_not_answered_is_kept_once(stage: Stage) -> None:
    await stage.exported()
    stage.proxy.cut_after(stage.proxy.passed - 20)  # in the head of the answer

    execution = await stage.exported()

    assert (execution.attempt, stage.proxy.cuts) == (1, 1)
    await stage.assert_kept_whole(execution)


async def test_a_store_that_is_silent_costs_a_try(stage: Stage) -> None:
    stage.proxy.hush()

    async def speak(execution_id: ExecutionId) -> None:
        async def has_failed() -> bool:
            return (await read_one(stage.database, execution_id)).error_code is not None

        await until(has_failed, within=60)
        stage.proxy.speak()

    execution = await stage.exported(meanwhile=speak)

    assert execution.attempt > 1
    assert await stage.store.get(file_key(execution.id, 1, "csv")) is None
    await stage.assert_kept_whole(execution)
