"""Signing up, in and out, and the signed-in member's own view."""

from uuid import UUID

from domain.errors import InvalidInput
from domain.ids import LeagueId, MemberId, SessionId
from domain.league import rules
from domain.league import service as leagues
from domain.league.model import League
from domain.member import service as members
from domain.member.administration import service as administration
from domain.member.erasure import service as erasure
from domain.member.erasure.model import ErasureMode
from domain.member.model import Account, ManagedMember, Member, NewSession, PlatformRole, Session
from domain.member.profile import service as profile
from domain.member.rules import is_plain
from resolvers.context import Context, Viewer
from resolvers.pages import Cursors, Page, cut, instant, page_size, words
from resolvers.permissions import allow, anyone, member, platform_admin


@allow(anyone)
async def sign_up(context: Context, *, email: str, password: str, nick_name: str, time_zone: str) -> NewSession:
    """Create an account and begin its first session."""
    await context.count_attempt("sign_up")
    session = await members.sign_up(
        context.database,
        email=email,
        password=password,
        nick_name=nick_name,
        time_zone=time_zone,
        user_agent=context.request.user_agent,
        session_days=context.services.session_days,
        request_id=context.request.id,
    )
    return _enter(context, session)


@allow(anyone)
async def sign_in(context: Context, *, email: str, password: str) -> NewSession:
    """Begin a session."""
    await context.count_attempt("sign_in")
    session = await members.sign_in(
        context.database,
        email=email,
        password=password,
        user_agent=context.request.user_agent,
        session_days=context.services.session_days,
        request_id=context.request.id,
    )
    return _enter(context, session)


@allow(member)
async def sign_out(context: Context) -> None:
    """End the session that the request came with."""
    if context.viewer is not None:
        await members.sign_out(context.database, context.viewer.session.id)
    _leave(context)


@allow(anyone)
async def viewer(context: Context) -> Account | None:
    """The signed-in member's own view; None when nobody is."""
    return context.viewer.account if context.viewer else None


@allow(anyone)
async def read(context: Context, *, member_id: MemberId) -> Member | None:
    """A member as everybody sees one."""
    return await context.loaders.member.load(member_id)


@allow(member)
async def own_leagues(context: Context, *, first: int, after: str | None) -> Page[League]:
    """Leagues that the viewer is in, by name."""
    cursors = Cursors("viewer.leagues")
    name_and_id = cursors.read(after, words, UUID) if after is not None else None
    place = (name_and_id[0], LeagueId(name_and_id[1])) if name_and_id else None
    rows = await leagues.page_of_member(context.database, context.member_id, page_size(first), place)
    context.loaders.league.prime_many({row.id: row for row in rows})
    return cut(rows, first, after=after, cursor=lambda league: cursors.write(*rules.list_position(league)))


@allow(member)
async def update_profile(context: Context, *, nick_name: str | None, time_zone: str | None) -> Account:
    """Change nick name or time zone of the viewer."""
    account = await profile.update(
        context.database,
        context.member_id,
        nick_name=nick_name,
        time_zone=time_zone,
        request_id=context.request.id,
    )
    if context.viewer is not None:
        context.viewer = Viewer(context.viewer.session, account)
    context.renew_loaders()
    return account


@allow(member)
async def own_sessions(context: Context, *, first: int, after: str | None) -> Page[Session]:
    """Live sessions of the viewer, latest seen first."""
    cursors = Cursors("viewer.sessions")
    place = cursors.read(after, instant, _session_id) if after is not None else None
    rows = await members.sessions_page(context.database, context.member_id, first=page_size(first), after=place)
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.last_seen_at.isoformat(), row.id))


@allow(member)
async def own_session(context: Context, *, session_id: SessionId) -> Session | None:
    """A live session of the viewer."""
    return await members.own_session(context.database, context.member_id, session_id)


@allow(member)
async def revoke_session(context: Context, *, session_id: SessionId) -> SessionId:
    """End a session of the viewer; that of this very request like signing out."""
    await members.revoke_session(context.database, context.member_id, session_id)
    if context.viewer is not None and context.viewer.session.id == session_id:
        _leave(context)
    return session_id


@allow(member)
async def delete_account(context: Context, *, mode: ErasureMode, confirm_nick_name: str) -> MemberId:
    """Delete the viewer's account, whose sessions end with it."""
    member_id = context.member_id
    await erasure.delete_account(
        context.database, member_id, mode, confirm_nick_name=confirm_nick_name, request_id=context.request.id
    )
    _leave(context)
    return member_id


@allow(platform_admin)
async def read_managed(context: Context, *, member_id: MemberId) -> ManagedMember | None:
    """A member as platform admins see one."""
    return await administration.read(context.database, member_id)


async def managed_page(context: Context, *, search: str | None, first: int, after: str | None) -> Page[ManagedMember]:
    """Members by nick name. Only below `Query.admin`.

    Raises:
        InvalidInput: `search` holds what no name does.
    """
    if search is not None and not is_plain(search):
        raise InvalidInput("`search` must not have control characters.", field=("search",))
    cursors = Cursors("admin.members", search)
    place = cursors.read(after, words, _member_id) if after is not None else None
    rows = await administration.page(context.database, search, first=page_size(first), after=place)
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.nick_name, row.id))


@allow(platform_admin)
async def change_platform_role(
    context: Context, *, member_id: MemberId, role: PlatformRole, reason: str
) -> ManagedMember:
    """Make a member a platform admin, or no longer one."""
    changed = await administration.change_role(
        context.database,
        member_id,
        role,
        actor_id=context.member_id,
        reason=reason,
        request_id=context.request.id,
    )
    context.renew_loaders()
    return changed


def _session_id(text: str) -> SessionId:
    return SessionId(UUID(text))


def _member_id(text: str) -> MemberId:
    return MemberId(UUID(text))


def _leave(context: Context) -> None:
    """The rest of the request is asked by nobody."""
    context.cookie.ended = True
    context.viewer = None
    context.renew_loaders()


def _enter(context: Context, session: NewSession) -> NewSession:
    """What follows in the same request is asked by the new member."""
    context.viewer = Viewer(session.session, session.account)
    context.askers += (session.account.id,)
    context.renew_loaders()
    return session
