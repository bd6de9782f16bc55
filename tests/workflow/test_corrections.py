"""A correction from the order to the board: outbox, queue, worker, report; and one that was overtaken."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from domain.clock import utc_now
from domain.execution.model import ExecutionErrorCode, ExecutionState
from domain.leaderboard.model import BoardKey
from domain.match.model import Goals
from integrations.object_store.folder import FolderStore
from integrations.valkey.projection import ValkeyProjection
from runtime.database import PostgresDatabase
from tasks.handlers import HANDLERS, Handler, Ports
from tests.support.boards import projected
from tests.support.corrections import assert_proven, make_admin, order, result
from tests.support.executions import ended, running
from tests.support.football import make_members, make_tournament, pass_lock, put_guess
from tests.support.settlement import play

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.execution.run import Run


async def _do(handler: Handler, ports: Ports, run: "Run") -> None:
    await handler(run, ports)


async def test_a_correction_goes_through_the_queue_to_the_board(
    database: PostgresDatabase, valkey_url: str, valkey: "Redis", tmp_path: Path
) -> None:
    made = await make_tournament(database, matches=2)
    admin = await make_admin(database)
    members = await make_members(database, 3, joins=[made])
    for member_id, guess in zip(members, ((2, 1), (1, 2), (0, 0)), strict=True):
        await put_guess(database, made, made.matches[0], member_id, *guess)
    await pass_lock(database, *made.matches)
    await play(database, made.matches[0], 2, 1)
    ports = Ports(providers={}, projection=ValkeyProjection(valkey), clock=utc_now, reports=FolderStore(tmp_path))
    work = {operation: partial(_do, handler, ports) for operation, handler in HANDLERS.items()}
    wanted, other = (result(admin, made.matches[0], Goals(*goals)) for goals in ((1, 2), (4, 4)))

    async with running(database, valkey_url, tmp_path, work) as plant:
        shown = await ended(database, (await order(database, wanted)).execution.id, within=60)
        assert shown.effect is not None
        applied = await ended(database, (await order(database, wanted, shown.effect.digest)).execution.id, within=60)
        unlike = await ended(database, (await order(database, other)).execution.id, within=60)
        assert unlike.effect is not None
        stale = await ended(database, (await order(database, wanted, unlike.effect.digest)).execution.id, within=60)

        assert (shown.state, shown.dry_run) == (ExecutionState.COMPLETED, True)
        assert (applied.state, applied.dry_run) == (ExecutionState.COMPLETED, False)
        assert applied.effect == shown.effect
        assert applied.report_key is not None
        report = json.loads(await plant.reports.get(applied.report_key) or b"")
        assert report["effect"]["members_changed"] == 2
        assert sorted(change["points_after"] for change in report["effect"]["changes"]) == [0, 3]
        assert (stale.state, stale.error_code) == (ExecutionState.FAILED, ExecutionErrorCode.STALE_PREVIEW)
        assert stale.attempt == 1

    board = await (await projected(database, valkey, made.id)).open(BoardKey(tournament_id=made.id))
    assert board is not None
    (winner, *_) = (await board.page(first=3)).rows
    assert (winner.member_id, winner.points, winner.rank) == (members[1], 3, 1)
    await assert_proven(database, made.id)
