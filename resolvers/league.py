"""Leagues: read by their members, made by anyone, entered by invite."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.ids import LeagueId, LeagueInviteId, LeagueMembershipId, MemberId, RulesetId, TournamentId
from domain.league import service as leagues
from domain.league.invite import service as invites
from domain.league.link import service as links
from domain.league.membership import service as memberships
from domain.league.model import (
    League,
    LeagueChange,
    LeagueInvite,
    LeagueInvitePreview,
    LeagueMembership,
    LeaguePermission,
    LeagueRole,
    LeagueTournament,
    LinkChange,
)
from domain.league.rules import permissions
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, instant, page_size, words
from resolvers.permissions import allow, anyone, league_admin, league_founder, league_member, member


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
async def revoke_invite(context: Context, *, league_id: LeagueId, invite_id: LeagueInviteId) -> LeagueInvite:
    """Make an invite code of a league that the viewer runs unusable."""
    return await invites.revoke(context.database, context.member_id, league_id, invite_id, context.request.id)


@allow(league_admin)
async def update(context: Context, *, league_id: LeagueId, change: LeagueChange) -> League:
    """Change name or description of a league that the viewer runs."""
    league = await leagues.update(context.database, context.member_id, league_id, change, context.request.id)
    context.renew_loaders()
    return league


@allow(league_founder)
async def delete(context: Context, *, league_id: LeagueId) -> LeagueId:
    """Delete a league that the viewer founded, or was handed."""
    await leagues.delete(context.database, context.member_id, league_id, context.request.id)
    context.renew_loaders()
    return league_id


@allow(league_founder)
async def transfer(context: Context, *, league_id: LeagueId, member_id: MemberId) -> League:
    """Hand a league to another of its members."""
    league = await memberships.transfer(context.database, context.member_id, league_id, member_id, context.request.id)
    context.renew_loaders()
    return league


@allow(league_member)
async def leave(context: Context, *, league_id: LeagueId) -> LeagueId:
    """Go out of a league."""
    await memberships.leave(context.database, context.member_id, league_id, context.request.id)
    context.renew_loaders()
    return league_id


@allow(league_admin)
async def remove_member(context: Context, *, league_id: LeagueId, membership_id: LeagueMembershipId) -> League:
    """Put a member out of a league that the viewer runs."""
    league = await memberships.remove(context.database, context.member_id, league_id, membership_id, context.request.id)
    context.renew_loaders()
    return league


@allow(league_admin)
async def change_role(
    context: Context, *, league_id: LeagueId, membership_id: LeagueMembershipId, role: LeagueRole
) -> LeagueMembership:
    """Give a member of a league that the viewer runs another role."""
    membership = await memberships.change_role(
        context.database, context.member_id, league_id, membership_id, role, context.request.id
    )
    context.renew_loaders()
    return membership


@allow(league_admin)
async def add_tournament(
    context: Context, *, league_id: LeagueId, tournament_id: TournamentId, ruleset_id: RulesetId | None
) -> League:
    """Play a tournament in a league that the viewer runs."""
    league = await links.add(
        context.database, context.member_id, league_id, tournament_id, ruleset_id, context.request.id
    )
    context.renew_loaders()
    return league


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


@allow(league_admin)
async def remove_tournament(context: Context, *, league_id: LeagueId, tournament_id: TournamentId) -> League:
    """Stop playing a tournament in a league that the viewer runs."""
    league = await links.remove(context.database, context.member_id, league_id, tournament_id, context.request.id)
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
    members = await context.loaders.member.load_many([row.member_id for row in rows])
    names = {row.id: found for row, found in zip(rows, members, strict=True)}

    def cursor(row: LeagueMembership) -> str:
        found = names[row.id]
        return cursors.write(row.role.value, found.nick_name if found else "", row.id)

    return cut(rows, first, after=after, cursor=cursor, total=total)


async def invites_page(context: Context, league: League, *, first: int, after: str | None) -> Page[LeagueInvite] | None:
    """Invites that can be used, latest first; None unless the viewer, for whom the league was read, may invite."""
    if LeaguePermission.INVITE not in permissions(league, context.member_id):
        return None
    cursors = Cursors("league.invites", league.id)
    place = cursors.read(after, instant, _invite_id) if after is not None else None
    rows = await invites.page(context.database, league.id, first=page_size(first), after=place)
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.created_at.isoformat(), row.id))


def _invite_id(text: str) -> LeagueInviteId:
    return LeagueInviteId(UUID(text))
