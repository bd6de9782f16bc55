"""Sessions that were found live a moment ago, so that not every request asks the database."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from time import monotonic

_MOST = 20_000
_RENEWED_AT = 0.75
"""Part of the time after which one request asks anew, so that those beside it need not all ask when it is over."""


class KnownSessions:
    """One per process. A session that ends is known for `seconds` more; what its own process ends, no longer.

    It tells nothing but that credentials are good, for answers that are the same for everybody.
    """

    def __init__(self, *, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        """Until when each is known, and from when on the next one asks anew."""

    def note(self, authorization: bytes, cookie: bytes, asked_at: float) -> None:
        """That a request with these headers may be answered, by what the database said when it was asked."""
        until, renewed_at = asked_at + self._seconds, asked_at + self._seconds * _RENEWED_AT
        self._known[_name(authorization, cookie)] = until, renewed_at
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def forget(self, authorization: bytes, cookie: bytes) -> None:
        """Ask the database again."""
        self._known.pop(_name(authorization, cookie), None)

    def are_good(self, authorization: bytes, cookie: bytes) -> bool:
        """Whether these headers are known to be good; without any nobody need be known. One asks anew."""
        if not authorization and not cookie:
            return True
        name, now = _name(authorization, cookie), self._clock()
        until, renewed_at = self._known.get(name, (now, now))
        if renewed_at <= now < until:
            self._known[name] = until, until
        return now < renewed_at

    def now(self) -> float:
        """The time on the clock that sessions are known by."""
        return self._clock()


def _name(authorization: bytes, cookie: bytes) -> bytes:
    """Tokens are not kept."""
    return sha256(b"%b\n%b" % (authorization, cookie)).digest()
