"""Accepting results: each that differs from the latest one becomes a new revision, and its settlement is queued.

Whose word counts: an admin's, then a provider's. What a provider says against an admin's result waits beside it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.execution.model import Command, Operation, Target
from domain.execution.service import accept_many
from domain.ids import MatchId, TournamentId
from domain.settlement import rules
from domain.settlement.result import store
from domain.settlement.rules import AcceptedResult, NewResult

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def accept_results(
    connection: "AsyncConnection", found: Sequence[NewResult], *, request_id: str
) -> dict[MatchId, int]:
    """Accept results that differ from the latest accepted ones, and queue their settlement, in the same transaction.

    Each match at most once. The answer holds the new revisions. The caller raises the tournament's versions: it holds
    the match rows, and the tournament's row comes after all of them.
    """
    accepted = await store_results(connection, found)
    targets = [
        Target(tournament_id=accepted.tournaments[match_id], match_id=match_id) for match_id in sorted(accepted.new)
    ]
    commands = [Command(Operation.SETTLE_MATCH, target, {}) for target in targets]
    await accept_many(connection, commands, request_id=request_id)
    return accepted.new


@dataclass(frozen=True, slots=True)
class Stored:
    """The new revisions by match, and of every match that was named: the tournament, and the latest result before."""

    new: dict[MatchId, int]
    tournaments: Mapping[MatchId, TournamentId]
    before: Mapping[MatchId, AcceptedResult]


async def store_results(connection: "AsyncConnection", found: Sequence[NewResult]) -> Stored:
    """As `accept_results` does, but the caller settles, in the same transaction."""
    tournaments = await store.lock_matches(connection, [result.match_id for result in found])
    known = [result for result in found if result.match_id in tournaments]
    latest = await store.latest_results(connection, tournaments)
    new = [result for result in known if rules.replaces(latest.get(result.match_id), result)]
    revisions = await store.insert_results(connection, new, latest)
    outranked = [result for result in known if rules.is_outranked(latest.get(result.match_id), result)]
    await _keep_waiting(connection, outranked, latest)
    await _set_by_admin(connection, [result for result in new if result.source == "OVERRIDE"], revisions)
    repeated = [result for result in known if result.match_id in latest and result.match_id not in revisions]
    current = new + [result for result in repeated if rules.says_the_same(latest[result.match_id], result)]
    present = {match_id: result.revision for match_id, result in latest.items()} | revisions
    await store.point_to_results(connection, current, present)
    return Stored(revisions, tournaments, latest)


async def resettle(
    connection: "AsyncConnection",
    match_ids: Collection[MatchId],
    *,
    request_id: str,
    cause: str = "REPLAY",
    turned: Collection[MatchId] = (),
) -> dict[MatchId, int]:
    """Have matches settled anew whose guesses have changed since they were settled: revisions with an equal score.

    `turned` are those whose teams have changed sides: the score of each is the same for its team, and so turned too.
    In the transaction that changed the guesses. Matches without an accepted result have nothing to settle.
    """
    await store.lock_matches(connection, match_ids)
    latest = await store.latest_results(connection, match_ids)
    again = [once_more(result, cause) for result in latest.values()]
    again = [rules.turned(result) if result.match_id in turned else result for result in again]
    return await accept_results(connection, again, request_id=request_id)


def once_more(result: AcceptedResult, cause: str = "REPLAY") -> NewResult:
    """The same result, from the same source, to be settled anew."""
    return NewResult(
        result.match_id,
        result.kind,
        result.regulation,
        result.after_extra_time,
        result.shoot_out,
        cause,
        result.source,
    )


async def _keep_waiting(
    connection: "AsyncConnection", outranked: Sequence[NewResult], latest: Mapping[MatchId, AcceptedResult]
) -> None:
    """Keep what providers say against admins, once; what an admin has dismissed is not asked about again."""
    if not outranked:
        return
    agreed = {result.match_id for result in outranked if rules.says_the_same(latest[result.match_id], result)}
    await store.withdraw_pending(connection, sorted(agreed))
    last = await store.last_pending(connection, [result.match_id for result in outranked])

    def is_known(result: NewResult) -> bool:
        pending = last.get(result.match_id)
        return pending is not None and (pending.is_open or pending.was_refused) and rules.says_the_same(pending, result)

    differing = [result for result in outranked if result.match_id not in agreed]
    await store.put_pending(connection, [result for result in differing if not is_known(result)])


async def _set_by_admin(
    connection: "AsyncConnection", new: Iterable[NewResult], revisions: Mapping[MatchId, int]
) -> None:
    set_now = [result for result in new if result.cause == "CORRECTION"]
    if not set_now:
        return
    await store.show_results(connection, set_now)
    waiting = await store.last_pending(connection, [result.match_id for result in set_now])
    for result in set_now:
        pending = waiting.get(result.match_id)
        if pending is not None and pending.is_open and rules.says_the_same(pending, result):
            await store.accept_pending(connection, result.match_id, revisions[result.match_id])
