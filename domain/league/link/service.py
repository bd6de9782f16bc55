"""What a league plays: taking a tournament up, its status and ruleset there, and giving it up. League admins.

Tournaments are kept from changing before the league is locked: links follow them in that order.
"""

from typing import TYPE_CHECKING

from domain.database import Database
from domain.errors import LimitReached, NotFound
from domain.ids import LeagueId, MemberId, RulesetId, TournamentId
from domain.league import rules
from domain.league import store as league_store
from domain.league.link import store
from domain.league.membership.store import member_ids
from domain.league.model import League, LeagueTournament, LinkChange
from domain.league.record import record
from domain.league.rights import as_admin
from domain.league.rules import LeagueLimits, shown_link
from domain.match.store import has_locked
from domain.scoring.rules import frozen
from domain.scoring.store import read_rulesets
from domain.tournament import store as tournament_store
from domain.tournament.model import Tournament

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_LIMITS = LeagueLimits()
_FIELD = "leagueTournamentId"


async def add(
    database: Database,
    viewer_id: MemberId,
    league_id: LeagueId,
    tournament_id: TournamentId,
    ruleset_id: RulesetId | None,
    request_id: str,
    *,
    limits: LeagueLimits = _LIMITS,
) -> League:
    """Play a tournament in a league; all its members join it. One that it plays already changes nothing.

    `ruleset_id`: None is the tournament's own. A league that played it before goes on under the one it had.

    Raises:
        NotFound: the viewer is not in the league, or there is no such tournament or ruleset.
        Forbidden: the viewer is no admin of it.
        LimitReached: the league plays, or would count, more than it may.
        RulesetFrozen: a match has locked, and it is not the tournament's own ruleset.
    """
    async with database.begin() as connection:
        found = await tournament_store.read_unmoved(connection, [tournament_id])
        league = await as_admin(connection, viewer_id, league_id)
        if not found:
            raise NotFound("There is no such tournament.", field=("tournamentId",))
        played = [link.tournament_id for link in await store.tournaments_of(connection, [league_id])]
        if tournament_id in played:
            return league
        await _check_limits(connection, [*played, tournament_id], limits)
        await _take_up(connection, league_id, found[0], ruleset_id)
        await league_store.raise_version(connection, league_id)
        link = await store.lock_link(connection, league_id, tournament_id)
        assert link is not None
        await record(connection, "addLeagueTournament", viewer_id, league_id, request_id, after=shown_link(link))
        await tournament_store.join_all(connection, found[0], await member_ids(connection, league_id))
        return rules.raised(league)


async def update(
    database: Database,
    viewer_id: MemberId,
    league_id: LeagueId,
    tournament_id: TournamentId,
    change: LinkChange,
    request_id: str,
) -> League:
    """Change the status or the ruleset of a tournament in a league; what stays as it is changes nothing.

    Raises:
        NotFound: the viewer is not in the league, it does not play the tournament, or there is no such ruleset.
        Forbidden: the viewer is no admin of it.
        RulesetFrozen: a match of the tournament has locked.
    """
    async with database.begin() as connection:
        league, link = await _played(connection, viewer_id, league_id, tournament_id)
        changed = rules.changed_link(link, change)
        if changed.ruleset_id != link.ruleset_id:
            await _check_ruleset(connection, changed.ruleset_id, is_frozen=link.ruleset_frozen)
        if changed == link:
            return league
        await store.write_link(connection, changed)
        await league_store.raise_version(connection, league_id)
        told = {"before": shown_link(link), "after": shown_link(changed)}
        await record(connection, "updateLeagueTournament", viewer_id, league_id, request_id, **told)
        return rules.raised(league)


async def remove(
    database: Database, viewer_id: MemberId, league_id: LeagueId, tournament_id: TournamentId, request_id: str
) -> League:
    """Stop playing a tournament in a league. Its members stay in the tournament.

    Raises:
        NotFound: the viewer is not in the league, or it does not play the tournament.
        Forbidden: the viewer is no admin of it.
    """
    async with database.begin() as connection:
        league, link = await _played(connection, viewer_id, league_id, tournament_id)
        await store.remove_link(connection, league_id, tournament_id)
        await league_store.raise_version(connection, league_id)
        await record(connection, "removeLeagueTournament", viewer_id, league_id, request_id, before=shown_link(link))
        return rules.raised(league)


async def _played(
    connection: "AsyncConnection", viewer_id: MemberId, league_id: LeagueId, tournament_id: TournamentId
) -> tuple[League, LeagueTournament]:
    # Its status follows that of the tournament, which therefore stays for now.
    await tournament_store.read_unmoved(connection, [tournament_id])
    league = await as_admin(connection, viewer_id, league_id, _FIELD)
    link = await store.lock_link(connection, league_id, tournament_id)
    if link is None:
        raise NotFound("The league does not play this tournament.", field=(_FIELD,))
    return league, link


async def _check_limits(
    connection: "AsyncConnection", tournament_ids: list[TournamentId], limits: LeagueLimits
) -> None:
    if len(tournament_ids) > limits.tournaments:
        raise LimitReached(f"A league plays at most {limits.tournaments} tournaments.", field=("tournamentId",))
    if await store.count_matches(connection, tournament_ids) > limits.matches:
        raise LimitReached(f"A league's total counts at most {limits.matches} matches.", field=("tournamentId",))


async def _take_up(
    connection: "AsyncConnection", league_id: LeagueId, tournament: Tournament, ruleset_id: RulesetId | None
) -> None:
    status = rules.link_status(tournament.status)
    if await store.take_up_again(connection, league_id, tournament.id, status):
        return
    chosen = ruleset_id or tournament.ruleset_id
    if chosen != tournament.ruleset_id:
        is_frozen = await has_locked(connection, tournament.id)
        await _check_ruleset(connection, chosen, is_frozen=is_frozen)
    await store.insert_links(connection, league_id, [store.Link(tournament.id, chosen, status)])


async def _check_ruleset(connection: "AsyncConnection", ruleset_id: RulesetId, *, is_frozen: bool) -> None:
    if not await read_rulesets(connection, [ruleset_id]):
        raise NotFound("There is no such ruleset.", field=("rulesetId",))
    if is_frozen:
        raise frozen()
