"""Who may change a league, asked in the transaction of the change.

The league's row is locked first: who is in it, their roles and what it plays stay as they were read until the commit.
Whoever changes the status of a tournament, or keeps it from changing, does so before.
"""

from typing import TYPE_CHECKING

from domain.errors import Forbidden, NotFound
from domain.ids import LeagueId, MemberId
from domain.league import store
from domain.league.model import League, LeagueRole

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def as_member(
    connection: "AsyncConnection", viewer_id: MemberId, league_id: LeagueId, field: str = "leagueId"
) -> League:
    """The league for one of its members; `field` of the input has named it.

    Raises:
        NotFound: the viewer is not in it, or it was deleted.
    """
    await store.lock_league(connection, league_id)
    found = await store.read_leagues(connection, viewer_id, [league_id])
    if not found:
        raise NotFound("There is no such league.", field=(field,))
    return found[0]


async def as_admin(
    connection: "AsyncConnection", viewer_id: MemberId, league_id: LeagueId, field: str = "leagueId"
) -> League:
    """The same for one of its admins.

    Raises:
        NotFound: as `as_member`.
        Forbidden: the viewer is no admin of it.
    """
    league = await as_member(connection, viewer_id, league_id, field)
    if league.viewer_role is not LeagueRole.ADMIN:
        raise Forbidden("Only admins of the league may do this.")
    return league


async def as_founder(
    connection: "AsyncConnection", viewer_id: MemberId, league_id: LeagueId, field: str = "leagueId"
) -> League:
    """The same for its founder.

    Raises:
        NotFound: as `as_member`.
        Forbidden: the viewer is another member.
    """
    league = await as_member(connection, viewer_id, league_id, field)
    if league.founder_id != viewer_id:
        raise Forbidden("Only the founder of the league may do this.")
    return league
