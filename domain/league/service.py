"""Founding, entering and reading leagues. To outsiders a league does not exist."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from domain.database import Database
from domain.errors import Fault, LimitReached, Refused
from domain.ids import LeagueId, MemberId, TournamentId, new_id
from domain.league import rules, store
from domain.league.invite import store as invites
from domain.league.link import store as links
from domain.league.model import League, LeagueChange, LeagueRole, LeagueTournament
from domain.league.record import record
from domain.league.rights import as_admin, as_founder
from domain.league.rules import LeagueLimits
from domain.member import store as member_store
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
        begun, unknown = await _begun(connection, tournament_ids)
        faults += unknown + await _match_faults(connection, tournament_ids, limits)
        if faults:
            raise Refused(faults)
        await member_store.lock_member(connection, founder_id)
        await _check_leagues(connection, founder_id, limits)
        await store.insert_league(connection, league_id, name=name, description=description, founder_id=founder_id)
        await links.insert_links(connection, league_id, begun)
        await record(connection, "createLeague", founder_id, league_id, request_id)
        await tournament_store.join_many(connection, founder_id, [link.tournament_id for link in begun])
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
        league_id = await invites.lock_league_of_code(connection, code)
        if league_id is None:
            raise _invite_invalid()
        if not await store.read_roles(connection, member_id, [league_id]):
            await _enter(connection, member_id, league_id, code, limits)
            await record(connection, "joinLeague", member_id, league_id, request_id)
            played = await links.tournaments_of(connection, [league_id])
            await tournament_store.join_many(connection, member_id, [link.tournament_id for link in played])
        return await _read_one(connection, member_id, league_id)


async def update(
    database: Database, viewer_id: MemberId, league_id: LeagueId, change: LeagueChange, request_id: str
) -> League:
    """Change name or description; what stays as it is changes nothing. League admins.

    Raises:
        NotFound: the viewer is not in the league.
        Forbidden: the viewer is no admin of it.
        Refused: all that is wrong with the input.
    """
    async with database.begin() as connection:
        league = await as_admin(connection, viewer_id, league_id)
        changed = rules.changed_league(league, change)
        if faults := rules.text_faults(changed.name, changed.description):
            raise Refused(faults)
        if changed == league:
            return league
        await store.write_league(connection, changed)
        await store.raise_version(connection, league_id)
        names = [name for name in ("name", "description") if getattr(changed, name) != getattr(league, name)]
        await record(connection, "updateLeague", viewer_id, league_id, request_id, after={"changed": names})
    return rules.raised(changed)


async def delete(database: Database, viewer_id: MemberId, league_id: LeagueId, request_id: str) -> None:
    """Take a league from all its members: it is found by nobody any more. Founder only.

    Raises:
        NotFound: the viewer is not in the league.
        Forbidden: the viewer is not its founder.
    """
    async with database.begin() as connection:
        await as_founder(connection, viewer_id, league_id)
        await store.delete_league(connection, league_id)
        await store.raise_version(connection, league_id)
        await record(connection, "deleteLeague", viewer_id, league_id, request_id)


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


async def tournaments_of(database: Database, league_ids: Iterable[LeagueId]) -> dict[LeagueId, list[LeagueTournament]]:
    """What leagues play, in the order in which it was added; a league that plays nothing is left out."""
    played: dict[LeagueId, list[LeagueTournament]] = {}
    async with database.read() as connection:
        for link in await links.tournaments_of(connection, league_ids):
            played.setdefault(link.league_id, []).append(link)
    return played


async def roles(database: Database, member_id: MemberId, league_ids: Iterable[LeagueId]) -> dict[LeagueId, LeagueRole]:
    """The member's role in those of the leagues that the member is in."""
    async with database.read() as connection:
        return await store.read_roles(connection, member_id, league_ids)


async def _begun(
    connection: "AsyncConnection", tournament_ids: Sequence[TournamentId]
) -> tuple[list[links.Link], list[Fault]]:
    """Tournaments as a league begins them, each under its own ruleset; and those that do not exist."""
    # A tournament that begins at this moment either waits for the league or is found begun: else its link would be
    # left behind by `links.follow_tournament`.
    found = {found.id: found for found in await tournament_store.read_unmoved(connection, tournament_ids)}
    unknown = [
        Fault("NOT_FOUND", "There is no such tournament.", ("tournamentIds", str(index)))
        for index, tournament_id in enumerate(tournament_ids)
        if tournament_id not in found
    ]
    known = [found[tournament_id] for tournament_id in dict.fromkeys(tournament_ids) if tournament_id in found]
    return [links.Link(each.id, each.ruleset_id, rules.link_status(each.status)) for each in known], unknown


async def _match_faults(
    connection: "AsyncConnection", tournament_ids: Sequence[TournamentId], limits: LeagueLimits
) -> list[Fault]:
    if await links.count_matches(connection, tournament_ids) <= limits.matches:
        return []
    message = f"A league's total counts at most {limits.matches} matches."
    return [Fault("LIMIT_REACHED", message, ("tournamentIds",))]


async def _enter(
    connection: "AsyncConnection", member_id: MemberId, league_id: LeagueId, code: str, limits: LeagueLimits
) -> None:
    role = await invites.use_invite(connection, code)
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
        raise LimitReached(f"You are in {limits.leagues} leagues, the most that is allowed.")


async def _read_one(connection: "AsyncConnection", member_id: MemberId, league_id: LeagueId) -> League:
    (league,) = await store.read_leagues(connection, member_id, [league_id])
    return league


def _invite_invalid() -> rules.InviteInvalid:
    return rules.InviteInvalid("This invite code cannot be used.", field=("code",))
