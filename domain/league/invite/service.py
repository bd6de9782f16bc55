"""Invites: making, reading and revoking the codes by which people join a league."""

from datetime import datetime

from domain.database import Database
from domain.errors import NotFound, Refused
from domain.ids import LeagueId, LeagueInviteId, MemberId
from domain.league import rules
from domain.league.invite import store
from domain.league.model import LeagueInvite, LeagueInvitePreview, LeagueRole
from domain.league.record import record
from domain.league.rights import as_admin


async def create(
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
        await as_admin(connection, viewer_id, league_id)
        expired = expires_at is not None and await store.is_past(connection, expires_at)
        if faults := rules.invite_faults(role, max_uses, expired=expired):
            raise Refused(faults)
        await record(connection, "createLeagueInvite", viewer_id, league_id, request_id)
        return await store.insert_invite(
            connection,
            league_id,
            code=rules.new_code(),
            role=role,
            expires_at=expires_at,
            max_uses=max_uses,
            created_by=viewer_id,
        )


async def revoke(
    database: Database, viewer_id: MemberId, league_id: LeagueId, invite_id: LeagueInviteId, request_id: str
) -> LeagueInvite:
    """Make an invite code unusable; a second time changes nothing. League admins.

    Raises:
        NotFound: the viewer is not in the league, or it has no such invite.
        Forbidden: the viewer is no admin of it.
    """
    async with database.begin() as connection:
        await as_admin(connection, viewer_id, league_id, "inviteId")
        found = await store.read_invite(connection, league_id, invite_id)
        if found is None:
            raise NotFound("There is no such invite.", field=("inviteId",))
        if found.revoked_at is not None:
            return found
        await record(connection, "revokeLeagueInvite", viewer_id, league_id, request_id)
        return await store.revoke_invite(connection, invite_id)


async def read(database: Database, league_id: LeagueId, invite_id: LeagueInviteId) -> LeagueInvite | None:
    """An invite, usable or not. Who may see it is not asked here."""
    async with database.read() as connection:
        return await store.read_invite(connection, league_id, invite_id)


async def page(
    database: Database, league_id: LeagueId, *, first: int, after: tuple[datetime, LeagueInviteId] | None
) -> list[LeagueInvite]:
    """Invites that can be used, latest first: up to `first` + 1 of those behind `after`. As `read`."""
    async with database.read() as connection:
        return await store.page_of_usable(connection, league_id, first=first, after=after)


async def preview(database: Database, code: str) -> LeagueInvitePreview | None:
    """What a person who holds a code may see before joining; None when the code cannot be used."""
    async with database.read() as connection:
        return await store.invite_preview(connection, rules.same_code(code))
