"""Who may call what. Each resolver of a root field names its rule with `@allow`; a test goes through all of them.

A rule looks at the context and at the resolver's keyword arguments and raises, or lets the call through.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from domain.errors import Forbidden, NotFound, Unauthenticated
from domain.ids import LeagueId
from domain.leaderboard.model import BoardKey
from domain.league import service as leagues
from domain.league.membership import service as memberships
from domain.league.model import LeagueRole
from domain.member.model import PlatformRole
from resolvers.context import Context

Rule = Callable[[Context, Mapping[str, Any]], Awaitable[None]]
P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Guarded(Protocol[P, T_co]):
    """A resolver that asks its rule first."""

    rule: Rule

    async def __call__(self, context: Context, *args: P.args, **kwargs: P.kwargs) -> T_co: ...


def allow(rule: Rule) -> Callable[[Callable[Concatenate[Context, P], Awaitable[T]]], Guarded[P, T]]:
    """Let a resolver be called only by whom the rule lets through."""

    def decorate(resolver: Callable[Concatenate[Context, P], Awaitable[T]]) -> Guarded[P, T]:
        @wraps(resolver)
        async def guarded(context: Context, *args: P.args, **kwargs: P.kwargs) -> T:
            await rule(context, kwargs)
            return await resolver(context, *args, **kwargs)

        result = cast("Guarded[P, T]", guarded)
        result.rule = rule
        return result

    return decorate


async def anyone(_context: Context, _arguments: Mapping[str, Any]) -> None:
    """Open to anyone, signed in or not."""


async def member(context: Context, _arguments: Mapping[str, Any]) -> None:
    """Whoever is signed in."""
    _ = context.member_id


async def platform_admin(context: Context, _arguments: Mapping[str, Any]) -> None:
    """Platform admins; the role is read from the database each time, so losing it takes effect at once."""
    if await context.platform_role() is not PlatformRole.ADMIN:
        raise Forbidden("Only platform admins may do this.")


async def reading_admin(context: Context, _arguments: Mapping[str, Any]) -> None:
    """The same for fields of lists: the role is read once an operation, or once an event of a stream."""
    if await context.loaders.platform_role.load(context.member_id) is not PlatformRole.ADMIN:
        raise Forbidden("Only platform admins may do this.")


async def league_admin(context: Context, arguments: Mapping[str, Any]) -> None:
    """League admins of `league_id`. To outsiders a league does not exist."""
    role = await _league_role(context, arguments["league_id"])
    if role is not LeagueRole.ADMIN:
        raise Forbidden("Only admins of the league may do this.")


async def league_member(context: Context, arguments: Mapping[str, Any]) -> None:
    """Members of `league_id`, VIEWERs too. To outsiders a league does not exist."""
    await _league_role(context, arguments["league_id"])


async def league_founder(context: Context, arguments: Mapping[str, Any]) -> None:
    """The founder of `league_id`. To outsiders a league does not exist."""
    viewer_id = context.member_id
    league = await context.loaders.league.load(arguments["league_id"])
    if league is None:
        raise NotFound("There is no such league.")
    if league.founder_id != viewer_id:
        raise Forbidden("Only the founder of the league may do this.")


async def board_reader(context: Context, arguments: Mapping[str, Any]) -> None:
    """Anyone for a tournament's board, members of the league for a league's (`key`)."""
    key: BoardKey = arguments["key"]
    if key.league_id is not None and await context.loaders.league.load(key.league_id) is None:
        raise NotFound("There is no such league.")


async def board_exporter(context: Context, arguments: Mapping[str, Any]) -> None:
    """Whoever is signed in for a tournament's board, members of the league for a league's (`key`)."""
    await member(context, arguments)
    await board_reader(context, arguments)


async def board_watcher(context: Context, arguments: Mapping[str, Any]) -> None:
    """The same for streams, which ask again and again: membership is read from the database each time."""
    key: BoardKey = arguments["key"]
    if key.league_id is not None:
        question = key.league_id, context.member_id
        if question not in await context.services.desks.read(memberships.roles_of, [question]):
            raise NotFound("There is no such league.")


def of_context(rule: Rule) -> Rule:
    """What of a rule can be asked before anything is known of what is asked for."""
    return rule if rule in (anyone, member, platform_admin) else member


async def _league_role(context: Context, league_id: LeagueId) -> LeagueRole:
    if context.viewer is None:
        raise Unauthenticated("Sign in first.")
    roles = await leagues.roles(context.database, context.member_id, [league_id])
    if league_id not in roles:
        raise NotFound("There is no such league.")
    return roles[league_id]
