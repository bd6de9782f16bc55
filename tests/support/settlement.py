"""Runs of settlements as a worker makes them, results that are accepted, and boards worked out a second way."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from domain.clock import utc_now
from domain.execution.lease import service as lease
from domain.execution.model import ExecutionState
from domain.execution.run import Run
from domain.execution.tables import executions
from domain.guess.tables import guesses
from domain.ids import ExecutionId, MatchId, MemberId, TournamentId
from domain.match.model import Goals, MatchStatus, ResultKind, ResultState
from domain.match.tables import matches
from domain.member.tables import members
from domain.scoring.model import ScoreBasis
from domain.scoring.tables import FACTS
from domain.settlement import store
from domain.settlement.result.service import accept_results
from domain.settlement.rules import NewResult
from domain.settlement.service import settle_match
from domain.settlement.tables import member_scores
from domain.tournament.store import raise_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.database import Database


async def accept(
    database: "Database",
    match_id: MatchId,
    home: int | None,
    away: int | None,
    *,
    kind: ResultKind = ResultKind.PLAYED,
    after_extra_time: Goals | None = None,
    cause: str = "PROVIDER",
    source: str = "CONFIRMED",
) -> int | None:
    """End a match with a score as ingestion does, or void it; the settlement is queued."""
    regulation = None if home is None or away is None else Goals(home, away)
    status = MatchStatus.CANCELLED if kind is ResultKind.VOID else MatchStatus.ENDED
    async with database.begin() as connection:
        change = matches.update().where(matches.c.id == match_id).values(status=status)
        row = await connection.execute(change.returning(matches.c.tournament_id))
        tournament_id = row.scalar_one()
        by = await _somebody(connection) if cause == "CORRECTION" else (None, None)
        result = NewResult(match_id, kind, regulation, after_extra_time, None, cause, source, *by)
        revision = (await accept_results(connection, [result], request_id="test")).get(match_id)
        await raise_versions(connection, tournament_id, board=True, matches=True)
    return revision


async def in_play(
    database: "Database", tournament_id: TournamentId, match_id: MatchId, home: int, away: int, **values: Any
) -> None:
    """A running score as ingestion writes it; the boards move."""
    score = {"home_goals": home, "away_goals": away, "status": MatchStatus.IN_PLAY}
    row = {**score, "result_state": ResultState.PROVISIONAL, **values}
    async with database.begin() as connection:
        change = matches.update().where(matches.c.id == match_id)
        await connection.execute(change.values(version=matches.c.version + 1, **row))
        await raise_versions(connection, tournament_id, board=True, matches=True)


async def _somebody(connection: "AsyncConnection") -> tuple[MemberId, str]:
    """Some member, to be named as the admin who corrects, and why."""
    row = await connection.execute(select(members.c.id).order_by(members.c.id).limit(1))
    return MemberId(row.scalar_one()), "The referee's report says so."


async def void(database: "Database", match_id: MatchId) -> int | None:
    return await accept(database, match_id, None, None, kind=ResultKind.VOID, cause="MATCH_VOIDED")


async def claim(database: "Database", execution_id: ExecutionId) -> Run:
    """Claim a queued execution as a worker does."""
    execution = await lease.claim(database, execution_id, owner="test", lease_seconds=60)
    assert execution is not None
    return Run(execution, database, utc_now)


async def finish(run: Run) -> None:
    await lease.finish(run.database, run.claim, ExecutionState.COMPLETED, run.progress(), failure=None, report_key=None)


async def work(database: "Database", handle: Callable[[Run], Awaitable[None]], execution_id: ExecutionId) -> Run:
    """Claim an execution, handle it, and end it."""
    run = await claim(database, execution_id)
    await handle(run)
    await finish(run)
    return run


async def queued(database: "Database") -> list[tuple[ExecutionId, MatchId]]:
    """Executions that wait, oldest first, with their matches."""
    statement = (
        select(executions.c.id, executions.c.match_id)
        .where(executions.c.state == ExecutionState.QUEUED)
        .order_by(executions.c.queued_at, executions.c.id)
    )
    async with database.read() as connection:
        return [(ExecutionId(row.id), MatchId(row.match_id)) for row in await connection.execute(statement)]


async def settle_queued(database: "Database") -> list[Run]:
    """Run every settlement that waits."""

    def handler(match_id: MatchId) -> Callable[[Run], Awaitable[None]]:
        return lambda run: settle_match(run, match_id)

    return [await work(database, handler(match_id), execution_id) for execution_id, match_id in await queued(database)]


async def play(database: "Database", match_id: MatchId, home: int, away: int) -> None:
    """End a match with a score and settle it."""
    await accept(database, match_id, home, away)
    await settle_queued(database)


async def assert_balanced(database: "Database", *tournament_ids: TournamentId) -> None:
    """Points over members equal points over scorelines, and settled versions have no gap."""
    async with database.read() as connection:
        for tournament_id in tournament_ids:
            ledger = await store.points_ledger(connection, tournament_id)
            assert [line for line in ledger if not line.is_balanced] == []
            statement = text(
                "SELECT t.settled_version, count(v.version), coalesce(max(v.version), 0) FROM tournaments t "
                "LEFT JOIN score_versions v ON v.tournament_id = t.id WHERE t.id = :id GROUP BY t.id"
            )
            present, count, highest = (await connection.execute(statement, {"id": tournament_id})).one()
            assert present == count == highest


def is_right(guess: Goals, result: Goals) -> tuple[bool, bool, bool, bool, bool]:
    """The five facts, written down once more from the rules."""

    def winner(score: Goals) -> str:
        return "home" if score.home > score.away else "away" if score.away > score.home else "nobody"

    exact = tuple(guess) == tuple(result)
    same_difference = guess.home + result.away == result.home + guess.away
    return (
        winner(guess) == winner(result),
        exact or (same_difference and winner(result) != "nobody"),
        guess.home == result.home,
        guess.away == result.away,
        exact,
    )


async def expected_facts(
    database: "Database", results: dict[MatchId, Goals], member_ids: Iterable[MemberId]
) -> dict[MemberId, tuple[int, ...]]:
    """Facts of members worked out in Python from their guesses and the given results."""
    facts = {member_id: [0] * 5 for member_id in member_ids}
    async with database.read() as connection:
        rows = (await connection.execute(select(guesses))).all()
    for row in rows:
        if row.match_id in results and row.member_id in facts:
            right = is_right(Goals(row.home, row.away), results[row.match_id])
            facts[row.member_id] = [count + fact for count, fact in zip(facts[row.member_id], right, strict=True)]
    return {member_id: tuple(counts) for member_id, counts in facts.items()}


async def settled_facts(
    database: "Database", tournament_id: TournamentId, basis: ScoreBasis = ScoreBasis.AFTER_EXTRA_TIME
) -> dict[MemberId, tuple[int, ...]]:
    """Facts of all members as they are recorded."""
    statement = select(member_scores.c.member_id, *(member_scores.c[fact] for fact in FACTS)).where(
        member_scores.c.tournament_id == tournament_id, member_scores.c.basis == basis
    )
    async with database.read() as connection:
        return {MemberId(row[0]): tuple(row[1:]) for row in await connection.execute(statement)}


async def database_now(database: "Database") -> datetime:
    async with database.read() as connection:
        now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
        return now
