"""Corrections and replays as admins order them and workers carry them out."""

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text

from domain.correction import service, work
from domain.correction.proof.service import verify_one
from domain.execution.effect import Effect
from domain.execution.lease import service as lease
from domain.execution.model import ExecutionState, Operation
from domain.execution.report import report
from domain.execution.rules import failure_of
from domain.execution.service import Accepted, read_executions
from domain.ids import ExecutionId, MatchId, MemberId, TournamentId
from domain.match.model import Goals, ResultKind
from domain.match.store import read_matches
from domain.member.model import PlatformRole
from domain.settlement.rules import NewResult
from domain.settlement.tables import member_scores
from tests.support.football import make_member
from tests.support.settlement import assert_balanced, claim, finish

if TYPE_CHECKING:
    from domain.database import Database
    from domain.execution.model import Execution
    from domain.execution.run import Run

WHY = "The referee's report says so."


async def make_admin(database: "Database") -> MemberId:
    return await make_member(database, "Root", email="root@example.org", role=PlatformRole.ADMIN)


def result(
    admin_id: MemberId,
    match_id: MatchId,
    goals: Goals | None,
    *,
    kind: ResultKind = ResultKind.PLAYED,
    after_extra_time: Goals | None = None,
    reason: str = WHY,
) -> NewResult:
    """A result that an admin enters; without goals it is void."""
    if goals is None:
        kind = ResultKind.VOID
    return NewResult(match_id, kind, goals, after_extra_time, None, "CORRECTION", "OVERRIDE", admin_id, reason)


async def order(database: "Database", wanted: NewResult, digest: str | None = None) -> Accepted:
    """Ask for a correction: a dry run without a digest."""
    return await service.correct_result(
        database, wanted, dry_run=digest is None, expected_digest=digest, request_id="request-1"
    )


async def order_replay(
    database: "Database",
    admin_id: MemberId,
    tournament_id: TournamentId,
    match_id: MatchId | None = None,
    digest: str | None = None,
) -> Accepted:
    return await service.replay_settlement(
        database,
        tournament_id,
        match_id,
        dry_run=digest is None,
        expected_digest=digest,
        actor_id=admin_id,
        reason=WHY,
        request_id="request-1",
    )


async def carry_out(database: "Database", execution_id: ExecutionId) -> "Run":
    """Claim an execution and do it as a worker would, to its end in the database; what it raises is raised."""
    run = await claim(database, execution_id)
    handle = {
        Operation.CORRECT_RESULT: work.correct_result,
        Operation.REPLAY_SETTLEMENT: work.replay_settlement,
    }[run.execution.operation]
    try:
        await handle(run)
    except Exception as error:
        failure = failure_of(error, run.execution.request_id)
        await lease.finish(database, run.claim, ExecutionState.FAILED, run.progress(), failure=failure, report_key=None)
        raise
    await finish(run)
    return run


async def effect_of(database: "Database", execution_id: ExecutionId) -> Effect:
    found = (await read_executions(database, [execution_id]))[execution_id].effect
    assert found is not None
    return found


async def try_out(database: "Database", wanted: NewResult) -> Effect:
    """What a dry run of a correction shows."""
    accepted = await order(database, wanted)
    await carry_out(database, accepted.execution.id)
    return await effect_of(database, accepted.execution.id)


async def correct(database: "Database", wanted: NewResult) -> Effect:
    """A dry run, and then the correction with its digest."""
    async with database.read() as connection:
        (match,) = await read_matches(connection, [wanted.match_id])
    shown = await try_out(database, wanted)
    accepted = await order(database, wanted, shown.digest)
    await carry_out(database, accepted.execution.id)
    made = await effect_of(database, accepted.execution.id)
    is_told = match.is_locked or wanted.kind is ResultKind.VOID
    assert shown == (made if is_told else replace(made, members_changed=0, points_moved=0, changes=()))
    return made


async def try_replay(
    database: "Database", admin_id: MemberId, tournament_id: TournamentId, match_id: MatchId | None = None
) -> Effect:
    accepted = await order_replay(database, admin_id, tournament_id, match_id)
    await carry_out(database, accepted.execution.id)
    return await effect_of(database, accepted.execution.id)


async def replay(
    database: "Database", admin_id: MemberId, tournament_id: TournamentId, match_id: MatchId | None = None
) -> Effect:
    """A dry run, and then the replay with its digest."""
    shown = await try_replay(database, admin_id, tournament_id, match_id)
    accepted = await order_replay(database, admin_id, tournament_id, match_id, shown.digest)
    await carry_out(database, accepted.execution.id)
    made = await effect_of(database, accepted.execution.id)
    assert made == shown
    return made


def report_of(run: "Run") -> bytes:
    """The report that the worker keeps of a run."""
    return report(
        run.execution,
        ExecutionState.COMPLETED,
        run.progress().steps,
        run.rejected(),
        None,
        at=run.execution.queued_at,
        details=run.details,
    )


async def assert_proven(database: "Database", *tournament_ids: TournamentId) -> None:
    """Scorelines = member scores = board, versions without a gap, and the second way finds the same."""
    await assert_balanced(database, *tournament_ids)
    for tournament_id in tournament_ids:
        found = await verify_one(database, tournament_id)
        assert found.differences == ()
        assert found.recorded_digest == found.recomputed_digest


async def spoil_member(database: "Database", tournament_id: TournamentId, member_id: MemberId) -> None:
    """Change what is recorded of a member behind the back of everybody."""
    async with database.begin() as connection:
        wrong = member_scores.update().where(
            member_scores.c.tournament_id == tournament_id, member_scores.c.member_id == member_id
        )
        await connection.execute(wrong.values(outcome=member_scores.c.outcome + 3))


async def rows_written(database: "Database") -> int:
    """Rows of the game that were written so far, dry runs that were taken back left out."""
    tables = ("member_scores", "settlements", "settlement_scorelines", "score_versions", "match_results")
    async with database.read() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(text(name)))).scalar_one() for name in tables
        ]
        versions = await connection.execute(text("SELECT sum(settled_version + board_version) FROM tournaments"))
        return sum(counts) + int(versions.scalar_one())


def execution_of(accepted: Accepted) -> "Execution":
    return accepted.execution
