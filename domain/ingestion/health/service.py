"""The state of tournaments' data, and dismissing what needs no act. For platform admins."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.rules import checked_reason
from domain.database import Database
from domain.errors import NotFound
from domain.ids import MemberId, TournamentId
from domain.ingestion.health import rules, store
from domain.ingestion.health.model import HealthProblem, StoredTournament, TournamentHealth
from domain.settlement.result.store import dismiss_pending, lock_matches

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_FIELD = ("problemId",)


async def read(
    database: Database,
    tournament_ids: Iterable[TournamentId],
    *,
    stale_after: timedelta = rules.STALE_AFTER,
    overdue_after: timedelta = rules.OVERDUE_AFTER,
) -> dict[TournamentId, TournamentHealth]:
    """The health of those of the tournaments that exist."""
    ids = list(tournament_ids)
    async with database.read() as connection:
        stored = await store.read_tournaments(connection, ids, stale_after)
        problems = await _problems(connection, ids, stored, overdue_after)
        executions = await store.last_executions(connection, ids)
    return {
        found.id: TournamentHealth(
            rounds=found.rounds,
            teams=found.teams,
            matches=found.matches,
            settled_matches=found.settled_matches,
            last_executions=tuple(each for each in executions if each.target.tournament_id == found.id),
            problems=rules.worst(problems[found.id]),
        )
        for found in stored
    }


async def find(database: Database, tournament_id: TournamentId, key: str) -> HealthProblem | None:
    """A problem that stands and was not dismissed, by its key."""
    async with database.read() as connection:
        return await _find(connection, tournament_id, key)


async def dismiss(
    database: Database,
    tournament_id: TournamentId,
    key: str,
    *,
    actor_id: MemberId | None,
    reason: str,
    request_id: str,
) -> HealthProblem:
    """Let a problem no longer be told while it stays what it is. A provider's result that waits is refused by it.

    Raises:
        InvalidInput: not a reason.
        NotFound: it does not stand, or was dismissed.
    """
    reason = checked_reason(reason)
    async with database.begin() as connection:
        found = await _find(connection, tournament_id, key)
        if found is not None and found.match_id is not None:
            # Held as by those who accept results; read again, since it may have been another one until then.
            await lock_matches(connection, [found.match_id])
            found = await _find(connection, tournament_id, key)
        if found is None:
            raise NotFound("There is no such problem, or it no longer exists.", field=_FIELD)
        if found.pending_id is not None:
            await dismiss_pending(connection, found.pending_id, actor_id)
        else:
            await store.insert_dismissed(connection, found, actor_id)
        await audit.record(connection, _act(found, actor_id, reason, request_id))
    return found


async def _problems(
    connection: "AsyncConnection",
    ids: list[TournamentId],
    stored: list[StoredTournament],
    overdue_after: timedelta,
) -> dict[TournamentId, list[HealthProblem]]:
    """All that stand and were not dismissed."""
    found = [problem for tournament in stored for problem in rules.problems_of_tournament(tournament)]
    doubtful = await store.read_doubtful(connection, ids, overdue_after)
    found += [problem for match in doubtful for problem in rules.problems_of_match(match)]
    found += map(rules.problem_of_record, await store.read_quarantined(connection, ids))
    dismissed = await store.read_dismissed(connection, ids) if found else set()
    problems = defaultdict(list)
    for problem in found:
        if (problem.tournament_id, problem.key) not in dismissed:
            problems[problem.tournament_id].append(problem)
    return problems


async def _find(connection: "AsyncConnection", tournament_id: TournamentId, key: str) -> HealthProblem | None:
    stored = await store.read_tournaments(connection, [tournament_id], rules.STALE_AFTER)
    problems = await _problems(connection, [tournament_id], stored, rules.OVERDUE_AFTER)
    return next((problem for problem in problems[tournament_id] if problem.key == key), None)


def _act(problem: HealthProblem, actor_id: MemberId | None, reason: str, request_id: str) -> Act:
    of_match = problem.match_id is not None
    return Act(
        "dismissHealthProblem",
        actor_id,
        request_id,
        subject_kind="MATCH" if of_match else "TOURNAMENT",
        subject_id=problem.match_id or problem.tournament_id,
        reason=reason,
        before={"code": problem.code.value, "message": problem.message},
    )
