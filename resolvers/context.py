"""What one operation knows: who asks, by which request, and the parts of the application that answer it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from domain.clock import Clock
from domain.database import Database
from domain.errors import Unauthenticated
from domain.execution.desk import CommandDesk
from domain.ids import MemberId
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.service import Boards
from domain.member import service as members
from domain.member.model import Account, Member, PlatformRole, Session
from resolvers.desks import Desks
from resolvers.loaders import Loaders


class RateLimiter(Protocol):
    """Counts attempts, so that codes and passwords cannot be tried out."""

    async def hit(self, what: str, who: str) -> None:
        """Count one attempt.

        Raises:
            RateLimited: one too many; says when to come back.
        """
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the application that resolvers use, wired once a process."""

    database: Database
    boards: Boards
    desks: Desks
    commands: CommandDesk
    limiter: RateLimiter
    report_url: Callable[[str], str]
    """Makes a signed, short-lived address of a stored report from its key."""
    public_url: str
    session_days: float
    clock: Clock


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is signed in, and by which session."""

    session: Session
    account: Account


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What is known of the request itself."""

    id: str
    address: str
    """Network address of the client, for rate limits."""
    user_agent: str | None


@dataclass(slots=True)
class CookieChange:
    """What the answer does to the session cookie."""

    token: str | None = None
    """A new session's token, to be set."""
    ended: bool = False
    """Whether the cookie is to be deleted."""


@dataclass(slots=True)
class Context:
    """Lives as long as one operation. Its loaders remember what was read, so a stream renews them at each event."""

    services: Services
    request: RequestFacts
    viewer: Viewer | None
    is_new_viewer: bool = False
    """Whether the viewer was read for this very operation, and not when a socket was opened."""
    cookie: CookieChange = field(default_factory=CookieChange)
    askers: tuple[MemberId, ...] = field(init=False, default=())
    """The viewer, and who signed in by it: all whose sessions it may have ended, also when nobody is the viewer now."""
    boards: list[OpenBoard] = field(init=False, default_factory=list)
    """Those that were opened for it."""
    _loaders: Loaders | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.viewer is not None:
            account = self.viewer.account
            self.askers = (account.id,)
            if self.is_new_viewer:
                self.loaders.member.prime(account.id, Member(account.id, account.nick_name))

    @property
    def loaders(self) -> Loaders:
        """Made when they are first needed: a stream that is shared has a context, and never needs them."""
        if self._loaders is None:
            self._loaders = self._new_loaders()
        return self._loaders

    def _new_loaders(self) -> Loaders:
        viewer_id = self.viewer.account.id if self.viewer else None
        return Loaders(self.services.database, self.services.desks, viewer_id)

    def renew_loaders(self) -> None:
        """Forget what was read."""
        self._loaders = None
        self.boards.clear()

    @property
    def database(self) -> Database:
        return self.services.database

    @property
    def member_id(self) -> MemberId:
        """The signed-in member.

        Raises:
            Unauthenticated: nobody is signed in.
        """
        if self.viewer is None:
            raise Unauthenticated("Sign in first.")
        return self.viewer.account.id

    async def require_session(self) -> None:
        """Whether the viewer is still signed in, if anybody is.

        Raises:
            Unauthenticated: the session has ended.
        """
        if self.viewer is not None:
            session_id = self.viewer.session.id
            if session_id not in await self.services.desks.read(members.live_sessions, [session_id]):
                raise Unauthenticated("Sign in again.")

    async def platform_role(self) -> PlatformRole | None:
        """The role that the viewer has now. As it was read with the session it counts once: then it may have changed.

        Raises:
            Unauthenticated: nobody is signed in.
        """
        member_id = self.member_id
        if self.viewer is not None and self.is_new_viewer:
            self.is_new_viewer = False
            return self.viewer.account.platform_role
        return await members.platform_role(self.database, member_id)

    async def count_attempt(self, what: str) -> None:
        """Count an attempt of this client's address against its limit."""
        await self.services.limiter.hit(what, self.request.address)
