"""Leagues: read by their members, made by anyone, entered by invite."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.ids import LeagueId, LeagueInviteId, LeagueMembershipId, TournamentId
from domain.league import service as leagues
from domain.league.invite import service as invites
from domain.league.link import service as links
from domain.league.membership import service as memberships
from domain.league.model import (
    League,
    LeagueInvite,
    LeagueInvitePreview,
    LeagueMembership,
    LeagueRole,
    LeagueTournament,
    LinkChange,
)
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, page_size, words
from resolvers.permissions import allow, anyone, league_admin, member


@allow(anyone)
async def read(context: Context, *, league_id: LeagueId) -> League | None:
    """One league; None unless the viewer is in it."""
    return await context.loaders.league.load(league_id)


@allow(anyone)
async def read_membership(
    context: Context, *, league_id: LeagueId, membership_id: LeagueMembershipId
) -> LeagueMembership | None:
    """One membership; None unless the viewer is in the league."""
    if await context.loaders.league.load(league_id) is None:
        return None
    return await memberships.read(context.database, league_id, membership_id)


@allow(anyone)
async def read_link(context: Context, *, league_id: LeagueId, tournament_id: TournamentId) -> LeagueTournament | None:
    """One tournament of a league; None unless the viewer is in the league."""
    if await context.loaders.league.load(league_id) is None:
        return None
    links = await context.loaders.league_tournaments.load(league_id) or ()
    return next((link for link in links if link.tournament_id == tournament_id), None)


@allow(league_admin)
async def read_invite(context: Context, *, league_id: LeagueId, invite_id: LeagueInviteId) -> LeagueInvite | None:
    """One invite of a league that the viewer runs."""
    return await invites.read(context.database, league_id, invite_id)


@allow(anyone)
async def invite_preview(context: Context, *, code: str) -> LeagueInvitePreview | None:
    """What a person who holds a code may see before joining; None when the code cannot be used."""
    await context.count_attempt("invite")
    return await invites.preview(context.database, code)


@allow(member)
async def create(
    context: Context, *, name: str, description: str | None, tournament_ids: Sequence[TournamentId]
) -> League:
    """Found a league."""
    request_id = context.request.id
    return await leagues.create(
        context.database, context.member_id, name, description, list(tournament_ids), request_id
    )


@allow(league_admin)
async def create_invite(
    context: Context, *, league_id: LeagueId, role: LeagueRole, expires_at: datetime | None, max_uses: int | None
) -> LeagueInvite:
    """Make an invite code of a league that the viewer runs."""
    return await invites.create(
        context.database, context.member_id, league_id, role, expires_at, max_uses, context.request.id
    )


@allow(league_admin)
async def update_tournament(
    context: Context, *, league_id: LeagueId, tournament_id: TournamentId, change: LinkChange
) -> League:
    """Change the status or the ruleset of a tournament in a league that the viewer runs."""
    league = await links.update(
        context.database, context.member_id, league_id, tournament_id, change, context.request.id
    )
    context.renew_loaders()
    return league


@allow(member)
async def join(context: Context, *, code: str) -> League:
    """Enter a league by invite code, and with it the tournaments that it plays."""
    await context.count_attempt("invite")
    league = await leagues.join(context.database, context.member_id, code, context.request.id)
    context.renew_loaders()
    return league


async def members_page(context: Context, league: League, *, first: int, after: str | None) -> Page[LeagueMembership]:
    """Members by role, then nick name. Only for a league that was read for the viewer."""
    cursors = Cursors("league.members", league.id)
    place = cursors.read(after, LeagueRole, words, UUID) if after is not None else None
    rows, total = await memberships.page(context.database, league.id, page_size(first), place)
    names = {row.id: await context.loaders.member.load(row.member_id) for row in rows}

    def cursor(row: LeagueMembership) -> str:
        found = names[row.id]
        return cursors.write(row.role.value, found.nick_name if found else "", row.id)

    return cut(rows, first, after=after, cursor=cursor, total=total)
