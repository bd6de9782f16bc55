"""Sessions that were found live a moment ago, so that not every request asks the database."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from time import monotonic

from domain.ids import MemberId
from schema.transport.terms import Term

_MOST = 20_000


class _Known(Term):
    """Headers, by which a member asks, or nobody."""

    __slots__ = ("member_id",)

    def __init__(self, member_id: MemberId | None, asked_at: float, seconds: float) -> None:
        super().__init__(asked_at, seconds)
        self.member_id = member_id


class KnownSessions:
    """One per process. A session that ends elsewhere is known for `seconds` more; what its own process ends, no longer.

    It tells nothing but that credentials are good, for answers that are the same for everybody.
    """

    def __init__(self, *, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._doubted: OrderedDict[MemberId, float] = OrderedDict()
        """Members one of whose sessions may have ended. By the time told nothing is known any more of what was then."""

    def note(self, authorization: bytes, cookie: bytes, member_id: MemberId | None, asked_at: float) -> None:
        """That a request with these headers may be answered, by what the database said when it was asked."""
        self._known[_name(authorization, cookie)] = _Known(member_id, asked_at, self._seconds)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def forget(self, authorization: bytes, cookie: bytes) -> None:
        """Ask the database again."""
        self._known.pop(_name(authorization, cookie), None)

    def doubt(self, member_id: MemberId) -> None:
        """Ask the database again for all sessions of a member: what it was asked before now counts no longer."""
        now = self._clock()
        while self._doubted and next(iter(self._doubted.values())) <= now:
            self._doubted.popitem(last=False)
        self._doubted[member_id] = now + self._seconds
        self._doubted.move_to_end(member_id)

    def are_good(self, authorization: bytes, cookie: bytes) -> bool:
        """Whether these headers are known to be good; without any nobody need be known. One asks anew."""
        if not authorization and not cookie:
            return True
        known = self._known.get(_name(authorization, cookie))
        if known is None or (known.member_id is not None and known.until <= self._doubted.get(known.member_id, 0)):
            return False
        return not known.is_to_renew(self._clock())

    def now(self) -> float:
        """The time on the clock that sessions are known by."""
        return self._clock()


def _name(authorization: bytes, cookie: bytes) -> bytes:
    """Tokens are not kept."""
    return sha256(b"%b\n%b" % (authorization, cookie)).digest()
