"""Corrections: the log is public, the commands are for platform admins."""

from uuid import UUID

from domain.correction import service as corrections
from domain.correction.model import Correction
from domain.execution.service import Accepted
from domain.ids import MatchId, TournamentId
from domain.match.model import Goals, ResultKind
from domain.settlement.rules import NewResult
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, instant, page_size, small_number
from resolvers.permissions import allow, anyone, platform_admin


@allow(platform_admin)
async def correct_result(
    context: Context,
    *,
    match_id: MatchId,
    kind: ResultKind,
    regulation: Goals | None,
    after_extra_time: Goals | None,
    shoot_out: Goals | None,
    reason: str,
    dry_run: bool,
    expected_digest: str | None,
) -> Accepted:
    """Queue a correction, or a dry run of it; answers with its execution, or with an equal one that is live."""
    wanted = NewResult(
        match_id,
        kind,
        regulation,
        after_extra_time,
        shoot_out,
        cause="CORRECTION",
        source="OVERRIDE",
        actor_id=context.member_id,
        reason=reason.strip(),
    )
    return await corrections.correct_result(
        context.database, wanted, dry_run=dry_run, expected_digest=expected_digest, request_id=context.request.id
    )


@allow(platform_admin)
async def replay_settlement(
    context: Context,
    *,
    tournament_id: TournamentId,
    match_id: MatchId | None,
    reason: str,
    dry_run: bool,
    expected_digest: str | None,
) -> Accepted:
    """Queue a replay, or a dry run of it; answers with its execution, or with an equal one that is live."""
    return await corrections.replay_settlement(
        context.database,
        tournament_id,
        match_id,
        dry_run=dry_run,
        expected_digest=expected_digest,
        actor_id=context.member_id,
        reason=reason.strip(),
        request_id=context.request.id,
    )


@allow(anyone)
async def read(context: Context, *, match_id: MatchId, revision: int) -> Correction | None:
    """One correction."""
    return await corrections.read(context.database, match_id, revision)


async def page_of_tournament(
    context: Context, tournament_id: TournamentId, *, first: int, after: str | None
) -> Page[Correction]:
    """The log of a tournament, latest first."""
    cursors = Cursors("tournament.corrections", tournament_id)
    place = cursors.read(after, instant, _match_id, small_number) if after is not None else None
    rows = await corrections.page(context.database, tournament_id, first=page_size(first), after=place)
    return cut(
        rows,
        first,
        after=after,
        cursor=lambda row: cursors.write(row.corrected_at.isoformat(), row.match_id, row.after.revision),
    )


def _match_id(value: str) -> MatchId:
    return MatchId(UUID(value))
