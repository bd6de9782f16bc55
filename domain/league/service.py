"""Founding, entering and reading leagues. To outsiders a league does not exist."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from domain.audit import service as audit
from domain.audit.model import Act
from domain.database import Database
from domain.errors import Fault, Forbidden, LimitReached, NotFound, Refused
from domain.ids import LeagueId, LeagueInviteId, LeagueMembershipId, MemberId, TournamentId, new_id
from domain.league import rules, store
from domain.league.model import (
    League,
    LeagueInvite,
    LeagueInvitePreview,
    LeagueMembership,
    LeagueRole,
    LeagueTournament,
    LinkChange,
)
from domain.league.rules import LeagueLimits
from domain.member import store as member_store
from domain.scoring.rules import frozen
from domain.scoring.store import read_rulesets
from domain.tournament import store as tournament_store

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_LIMITS = LeagueLimits()


async def create(
    database: Database,
    founder_id: MemberId,
    name: str,
    description: str | None,
    tournament_ids: Sequence[TournamentId],
    request_id: str,
    *,
    limits: LeagueLimits = _LIMITS,
) -> League:
    """Found a league that plays the given tournaments, which its founder joins with it.

    Raises:
        Refused: all that is wrong with the input.
        LimitReached: the founder is in as many leagues as one may be.
    """
    name, description = name.strip(), (description or "").strip() or None
    faults = rules.league_faults(name, description, tournament_ids, limits)
    league_id = LeagueId(new_id())
    async with database.begin() as connection:
        links, unknown = await _links(connection, tournament_ids)
        if faults or unknown:
            raise Refused(faults + unknown)
        await member_store.lock_member(connection, founder_id)
        await _check_leagues(connection, founder_id, limits)
        await store.insert_league(connection, league_id, name=name, description=description, founder_id=founder_id)
        await store.insert_links(connection, league_id, links)
        await audit.record(connection, _act("createLeague", founder_id, league_id, request_id))
        await tournament_store.join_many(connection, founder_id, [link.tournament_id for link in links])
        return await _read_one(connection, founder_id, league_id)


async def join(
    database: Database, member_id: MemberId, code: str, request_id: str, *, limits: LeagueLimits = _LIMITS
) -> League:
    """Enter a league by invite code, and with it the tournaments that it plays. A second time changes nothing.

    Raises:
        InviteInvalid: the code is unknown, expired, revoked or used up.
        LimitReached: the league is full, or the member is in as many leagues as one may be.
    """
    code = rules.same_code(code)
    async with database.begin() as connection:
        await member_store.lock_member(connection, member_id)
        league_id = await store.lock_league_of_code(connection, code)
        if league_id is None:
            raise _invite_invalid()
        if not await store.read_roles(connection, member_id, [league_id]):
            await _enter(connection, member_id, league_id, code, limits)
            await audit.record(connection, _act("joinLeague", member_id, league_id, request_id))
            links = await store.tournaments_of(connection, [league_id])
            await tournament_store.join_many(connection, member_id, [link.tournament_id for link in links])
        return await _read_one(connection, member_id, league_id)


async def create_invite(
    database: Database,
    viewer_id: MemberId,
    league_id: LeagueId,
    role: LeagueRole,
    expires_at: datetime | None,
    max_uses: int | None,
    request_id: str,
) -> LeagueInvite:
    """Make an invite code; `expires_at` and `max_uses` None mean without limit. League admins.

    Raises:
        NotFound: the viewer is not in the league.
        Forbidden: the viewer is no admin of it.
        Refused: all that is wrong with the input.
    """
    async with database.begin() as connection:
        await _check_admin(connection, viewer_id, league_id, "leagueId")
        expired = expires_at is not None and await store.is_past(connection, expires_at)
        if faults := rules.invite_faults(role, max_uses, expired=expired):
            raise Refused(faults)
        await audit.record(connection, _act("createLeagueInvite", viewer_id, league_id, request_id))
        return await store.insert_invite(
            connection,
            league_id,
            code=rules.new_code(),
            role=role,
            expires_at=expires_at,
            max_uses=max_uses,
            created_by=viewer_id,
        )


async def update_tournament(
    database: Database,
    viewer_id: MemberId,
    league_id: LeagueId,
    tournament_id: TournamentId,
    change: LinkChange,
    request_id: str,
) -> League:
    """Change the status or the ruleset of a tournament in a league; what stays as it is changes nothing. League admins.

    Raises:
        NotFound: the viewer is not in the league, it does not play the tournament, or there is no such ruleset.
        Forbidden: the viewer is no admin of it.
        RulesetFrozen: a match of the tournament has locked.
    """
    async with database.begin() as connection:
        await _check_admin(connection, viewer_id, league_id, "leagueTournamentId")
        # Its status follows that of the tournament, which therefore stays for now: tournaments come before leagues.
        await tournament_store.read_unmoved(connection, [tournament_id])
        link = await store.lock_link(connection, league_id, tournament_id)
        if link is None:
            raise NotFound("The league does not play this tournament.", field=("leagueTournamentId",))
        changed = rules.changed_link(link, change)
        if changed.ruleset_id != link.ruleset_id:
            await _check_ruleset(connection, changed)
        if changed != link:
            await store.write_link(connection, changed)
            await store.raise_version(connection, league_id)
            act = _act("updateLeagueTournament", viewer_id, league_id, request_id)
            act = replace(act, before=rules.shown_link(link), after=rules.shown_link(changed))
            await audit.record(connection, act)
        return await _read_one(connection, viewer_id, league_id)


async def invite_preview(database: Database, code: str) -> LeagueInvitePreview | None:
    """What a person who holds a code may see before joining; None when the code cannot be used."""
    async with database.read() as connection:
        return await store.invite_preview(connection, rules.same_code(code))


async def read(database: Database, viewer_id: MemberId, ids: Iterable[LeagueId]) -> dict[LeagueId, League]:
    """Those of the leagues that the viewer is in."""
    async with database.read() as connection:
        return {league.id: league for league in await store.read_leagues(connection, viewer_id, ids)}


async def page_of_member(
    database: Database, member_id: MemberId, first: int, after: tuple[str, LeagueId] | None = None
) -> list[League]:
    """Leagues that a member is in, by name: up to `first` + 1 of those after `after` (see `rules.list_position`)."""
    async with database.read() as connection:
        return await store.page_of_member(connection, member_id, first=first, after=after)


async def members_page(
    database: Database,
    league_id: LeagueId,
    first: int,
    after: tuple[LeagueRole, str, LeagueMembershipId] | None = None,
) -> tuple[list[LeagueMembership], int]:
    """Members by role, then nick name. For a league that was read for a viewer: who may see it is not asked here.

    Up to `first` + 1 of those after `after` (role, nick name and id of a membership), and how many there are in all.
    """
    async with database.read() as connection:
        return await store.members_page(connection, league_id, first=first, after=after)


async def read_membership(
    database: Database, league_id: LeagueId, membership_id: LeagueMembershipId
) -> LeagueMembership | None:
    """A present membership. For a league that was read for a viewer: who may see it is not asked here."""
    async with database.read() as connection:
        return await store.read_membership(connection, league_id, membership_id)


async def read_invite(database: Database, league_id: LeagueId, invite_id: LeagueInviteId) -> LeagueInvite | None:
    """An invite, usable or not. Who may see it is not asked here."""
    async with database.read() as connection:
        return await store.read_invite(connection, league_id, invite_id)


async def tournaments_of(database: Database, league_ids: Iterable[LeagueId]) -> dict[LeagueId, list[LeagueTournament]]:
    """What leagues play, in the order in which it was added; a league that plays nothing is left out."""
    links: dict[LeagueId, list[LeagueTournament]] = {}
    async with database.read() as connection:
        for link in await store.tournaments_of(connection, league_ids):
            links.setdefault(link.league_id, []).append(link)
    return links


async def roles(database: Database, member_id: MemberId, league_ids: Iterable[LeagueId]) -> dict[LeagueId, LeagueRole]:
    """The member's role in those of the leagues that the member is in."""
    async with database.read() as connection:
        return await store.read_roles(connection, member_id, league_ids)


async def _links(
    connection: "AsyncConnection", tournament_ids: Sequence[TournamentId]
) -> tuple[list[store.Link], list[Fault]]:
    """Tournaments as a league begins them, each under its own ruleset; and those that do not exist."""
    # A tournament that begins at this moment either waits for the league or is found begun: else its link would be
    # left behind by `store.follow_tournament`.
    found = {found.id: found for found in await tournament_store.read_unmoved(connection, tournament_ids)}
    unknown = [
        Fault("NOT_FOUND", "There is no such tournament.", ("tournamentIds", str(index)))
        for index, tournament_id in enumerate(tournament_ids)
        if tournament_id not in found
    ]
    known = [found[tournament_id] for tournament_id in dict.fromkeys(tournament_ids) if tournament_id in found]
    return [store.Link(each.id, each.ruleset_id, rules.link_status(each.status)) for each in known], unknown


async def _check_admin(connection: "AsyncConnection", viewer_id: MemberId, league_id: LeagueId, field: str) -> None:
    roles = await store.read_roles(connection, viewer_id, [league_id])
    if league_id not in roles:
        raise NotFound("There is no such league.", field=(field,))
    if roles[league_id] is not LeagueRole.ADMIN:
        raise Forbidden("Only admins of the league may do this.")


async def _check_ruleset(connection: "AsyncConnection", changed: LeagueTournament) -> None:
    if not await read_rulesets(connection, [changed.ruleset_id]):
        raise NotFound("There is no such ruleset.", field=("rulesetId",))
    if changed.ruleset_frozen:
        raise frozen()


async def _enter(
    connection: "AsyncConnection", member_id: MemberId, league_id: LeagueId, code: str, limits: LeagueLimits
) -> None:
    role = await store.use_invite(connection, code)
    if role is None:
        raise _invite_invalid()
    await _check_leagues(connection, member_id, limits)
    if await store.count_members(connection, league_id) >= limits.members:
        raise LimitReached(f"The league is full: it has {limits.members} members.")
    await store.insert_membership(connection, league_id, member_id, role)
    await store.raise_version(connection, league_id)


async def _check_leagues(connection: "AsyncConnection", member_id: MemberId, limits: LeagueLimits) -> None:
    """Refuse one league too many. With the member's row locked, so that two at once are counted one after the other."""
    if await store.count_leagues(connection, member_id) >= limits.leagues:
        raise LimitReached(f"You are in {limits.leagues} leagues, which is the most.")


async def _read_one(connection: "AsyncConnection", member_id: MemberId, league_id: LeagueId) -> League:
    (league,) = await store.read_leagues(connection, member_id, [league_id])
    return league


def _invite_invalid() -> rules.InviteInvalid:
    return rules.InviteInvalid("This invite code cannot be used.", field=("code",))


def _act(action: str, member_id: MemberId, league_id: LeagueId, request_id: str) -> Act:
    return Act(action, member_id, request_id, subject_kind="LEAGUE", subject_id=league_id)
