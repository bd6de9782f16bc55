"""How long Valkey is waited for: a server that is away or hangs costs one caller a moment, and the others nothing."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from redis.exceptions import AskError, ClusterDownError, ResponseError

from domain.leaderboard.ports import ProjectionUnavailable
from integrations.valkey.client import AWAY, drop_connections, server_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

_GRACE = 0.05
_WRITING = 10
"""So many times as long as a reader waits who writes."""


@dataclass(slots=True)
class _Server:
    """How one has answered of late."""

    is_suspect: bool = False
    closed_until: float = 0.0

    def has_answered(self) -> None:
        self.is_suspect, self.closed_until = False, 0.0


class Patience:
    """Every exchange goes through it. Of a cluster, a server that is away closes none of the others."""

    def __init__(self, client: "Redis", *, timeout: float, pause: float, connections: int) -> None:
        """Durations in seconds; see `ValkeyProjection`."""
        self._client = client
        self._timeout = timeout
        self._pause = pause
        self._places = asyncio.Semaphore(connections)
        self._servers: defaultdict[str, _Server] = defaultdict(_Server)

    @asynccontextmanager
    async def exchange(self, key: str, *, once: bool = True) -> AsyncIterator[None]:
        """One exchange in time with the server of a key, or with `once` False several, each `in_time`.

        After a failure that server is asked nothing for a while; then one caller tries, and the others go on without
        an answer until it has one. Who holds what by now is looked for meanwhile, and nobody waits for that. A refusal
        by the server, such as of a key of another type, is an answer.

        Raises:
            ProjectionUnavailable: there is no answer, or it is a refusal.
        """
        server = self._servers[server_of(self._client, key)]
        is_trial = False
        try:
            async with self._places:
                is_trial = self._enter(server)
                async with _answered_within(self._timeout) if once else nullcontext():
                    yield
            server.has_answered()
        except asyncio.CancelledError:  # says nothing of the server: the next one tries
            if is_trial:
                server.closed_until = 0.0
            raise
        except ResponseError as error:
            if not isinstance(error, ClusterDownError):  # the client has waited for that itself: others need not
                server.has_answered()
            if isinstance(error, AskError):  # another server of the cluster has it by now
                await drop_connections(self._client, key, wait=False)
            raise ProjectionUnavailable(f"Valkey refused: {error}") from error
        except AWAY as error:
            server.is_suspect = True
            server.closed_until = monotonic() + self._pause
            await drop_connections(self._client, key, wait=False)
            raise ProjectionUnavailable(f"Valkey does not answer: {error}") from error

    async def in_time(self, answer: Awaitable[Any]) -> Any:
        """One answer to who writes, and can wait longer than a reader."""
        async with _answered_within(_WRITING * self._timeout):  # `wait_for` of Python 3.11 may swallow a cancellation
            return await answer

    def _enter(self, server: _Server) -> bool:
        """Whether this is the one that tries."""
        now = monotonic()
        if now < server.closed_until:
            raise ProjectionUnavailable("Valkey did not answer a moment ago.")
        if server.is_suspect:
            server.closed_until = now + self._timeout + self._pause
        return server.is_suspect


@asynccontextmanager
async def _answered_within(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError when it takes longer.

    A loop that was held up itself finds the time over and the answer there in one turn, and looks at the time first.
    So once the time is over what has come by then is still read.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as deadline:
        timer = loop.call_later(seconds, lambda: deadline.reschedule(loop.time() + _GRACE))
        try:
            yield
        finally:
            timer.cancel()


def raise_unless_refused(*answers: Any) -> None:
    """A cluster's pipeline hands out as an answer what went wrong with one of its servers."""
    for answer in answers:
        if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
            raise answer
