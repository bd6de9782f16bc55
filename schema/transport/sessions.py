"""Sessions that were found live a moment ago, so that not every request asks the database."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from time import monotonic

_MOST = 20_000


class KnownSessions:
    """One per process. A session that ends is known for `seconds` more; what its own process ends, no longer.

    It tells nothing but that credentials are good, for answers that are the same for everybody.
    """

    def __init__(self, *, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def note(self, authorization: bytes, cookie: bytes, asked_at: float) -> None:
        """That a request with these headers may be answered, by what the database said when it was asked."""
        self._until[_name(authorization, cookie)] = asked_at + self._seconds
        if len(self._until) > _MOST:
            self._until.popitem(last=False)

    def forget(self, authorization: bytes, cookie: bytes) -> None:
        """Ask the database again."""
        self._until.pop(_name(authorization, cookie), None)

    def are_good(self, authorization: bytes, cookie: bytes) -> bool:
        """Whether these headers are known to be good; without any nobody need be known."""
        if not authorization and not cookie:
            return True
        until = self._until.get(_name(authorization, cookie))
        return until is not None and self._clock() < until

    def now(self) -> float:
        """The time on the clock that sessions are known by."""
        return self._clock()


def _name(authorization: bytes, cookie: bytes) -> bytes:
    """Tokens are not kept."""
    return sha256(b"%b\n%b" % (authorization, cookie)).digest()
