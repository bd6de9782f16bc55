"""Tournaments and what hangs on them."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import NotFound
from domain.ids import RoundId, TeamId, TournamentId
from domain.tournament import commands, rules
from domain.tournament import service as tournaments
from domain.tournament.model import Round, Team, Tournament, TournamentChange, TournamentStatus
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, page_size, place, words
from resolvers.permissions import allow, anyone, member, platform_admin


@allow(anyone)
async def page(
    context: Context, *, statuses: Sequence[TournamentStatus] | None, joined: bool | None, first: int, after: str | None
) -> Page[Tournament]:
    """Tournaments, those played now first; `joined` needs a signed-in member."""
    joined_by = context.member_id if joined is not None else None
    cursors = Cursors("tournaments", sorted(statuses) if statuses is not None else None, joined)
    rows = await tournaments.page(
        context.database,
        statuses=statuses,
        joined_by=joined_by,
        joined=joined,
        first=page_size(first),
        after=cursors.read(after, place, words, _tournament_id) if after is not None else None,
    )
    context.loaders.tournament.prime_many({row.id: row for row in rows})
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(*rules.list_position(row)))


@allow(anyone)
async def read(context: Context, *, tournament_id: TournamentId) -> Tournament | None:
    """One tournament."""
    return await context.loaders.tournament.load(tournament_id)


@allow(anyone)
async def read_round(context: Context, *, round_id: RoundId) -> Round | None:
    """One round."""
    return await context.loaders.round.load(round_id)


@allow(anyone)
async def read_team(context: Context, *, team_id: TeamId) -> Team | None:
    """One team."""
    return await context.loaders.team.load(team_id)


@allow(member)
async def join(context: Context, *, tournament_id: TournamentId) -> Tournament:
    """Enter the viewer into a tournament; a second time changes nothing."""
    await tournaments.join(context.database, context.member_id, tournament_id, context.request.id)
    context.renew_loaders()
    found = await context.loaders.tournament.load(tournament_id)
    if found is None:
        raise NotFound("There is no such tournament.", field=("tournamentId",))
    return found


@allow(platform_admin)
async def update(context: Context, *, tournament_id: TournamentId, change: TournamentChange, reason: str) -> Tournament:
    """Change what ingestion does not own of a tournament."""
    tournament = await commands.update(
        context.database,
        tournament_id,
        change,
        actor_id=context.member_id,
        reason=reason,
        request_id=context.request.id,
    )
    context.renew_loaders()
    return tournament


async def round_by_slug(context: Context, tournament: Tournament, slug: str | None) -> Round | None:
    """A round by its slug, or the current one."""
    if slug is not None:
        return await tournaments.round_by_slug(context.database, tournament.id, slug)
    if tournament.current_round_id is None:
        return None
    return await context.loaders.round.load(tournament.current_round_id)


def _tournament_id(text: str) -> TournamentId:
    return TournamentId(UUID(text))
