"""Accepting results: each that differs from the latest one becomes a new revision, and its settlement is queued."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from domain.execution.model import Command, Operation, Target
from domain.execution.service import accept_many
from domain.ids import MatchId
from domain.match.model import Goals, ResultKind
from domain.settlement import rules
from domain.settlement.result import store
from domain.settlement.rules import AcceptedResult, NewResult

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def accept_result(
    connection: "AsyncConnection",
    *,
    match_id: MatchId,
    kind: ResultKind,
    regulation: Goals | None,
    after_extra_time: Goals | None,
    shoot_out: Goals | None,
    cause: str = "PROVIDER",
    source: str = "CONFIRMED",
    request_id: str,
) -> int | None:
    """Accept one result; see `accept_results`. The answer is the new revision, None when it is no new one."""
    result = NewResult(match_id, ResultKind(kind), regulation, after_extra_time, shoot_out, cause, source)
    return (await accept_results(connection, [result], request_id=request_id)).get(match_id)


async def accept_results(
    connection: "AsyncConnection", found: Sequence[NewResult], *, request_id: str
) -> dict[MatchId, int]:
    """Accept results that differ from the latest accepted ones, and queue their settlement, in the same transaction.

    Each match at most once. The answer holds the new revisions. The caller raises the tournament's versions: it holds
    the match rows, and the tournament's row comes after all of them.
    """
    tournaments = await store.lock_matches(connection, [result.match_id for result in found])
    known = [result for result in found if result.match_id in tournaments]
    latest = await store.latest_results(connection, tournaments)
    new = [result for result in known if rules.replaces(latest.get(result.match_id), result)]
    revisions = await store.insert_results(connection, new, latest)
    repeated = [result for result in known if result.match_id not in revisions]
    current = new + [result for result in repeated if _repeats(latest[result.match_id], result)]
    present = {match_id: result.revision for match_id, result in latest.items()} | revisions
    await store.point_to_results(connection, current, present)
    targets = [Target(tournament_id=tournaments[match_id], match_id=match_id) for match_id in sorted(revisions)]
    commands = [Command(Operation.SETTLE_MATCH, target, {}) for target in targets]
    await accept_many(connection, commands, request_id=request_id)
    return revisions


def _repeats(latest: AcceptedResult, found: NewResult) -> bool:
    """Whether a result that is no new revision says what the latest one does, and was not outranked by it."""
    return found.kind is latest.kind and (
        found.kind is ResultKind.VOID
        or (found.regulation, found.after_extra_time, found.shoot_out)
        == (latest.regulation, latest.after_extra_time, latest.shoot_out)
    )
