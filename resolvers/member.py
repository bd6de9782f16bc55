"""Signing up, in and out, and the signed-in member's own view."""

from uuid import UUID

from domain.ids import LeagueId, MemberId
from domain.league import rules
from domain.league import service as leagues
from domain.league.model import League
from domain.member import service as members
from domain.member.model import Account, Member, NewSession
from resolvers.context import Context, Viewer
from resolvers.pages import Cursors, Page, cut, page_size, words
from resolvers.permissions import allow, anyone, member


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
    context.cookie.ended = True
    context.viewer = None
    context.renew_loaders()


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


def _enter(context: Context, session: NewSession) -> NewSession:
    """What follows in the same request is asked by the new member."""
    context.viewer = Viewer(session.session, session.account)
    context.renew_loaders()
    return session
