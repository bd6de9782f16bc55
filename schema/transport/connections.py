"""All connections of the process that stay open, websockets and event streams: how many, how long, and why they end."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum
from time import monotonic
from typing import Protocol

from domain.database import Database
from domain.ids import MemberId, SessionId
from domain.member import service as members
from schema.transport.outlet import Post

_log = logging.getLogger(__name__)
_LEAST_SHARE = 0.9
RESTART = "Connect again, with `after`"
FULL = "This server has as many connections as it can hold; connect again later"
_PATIENCE = 5.0
"""Seconds for asking which sessions have ended, and for closing: silent databases and peers must not hold it up."""


class Close(IntEnum):
    """Close codes of the protocol, and of websockets."""

    RESTART = 1012
    TRY_LATER = 1013
    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    SUBPROTOCOL = 4406
    INIT_TIMEOUT = 4408
    ID_IN_USE = 4409
    TWO_INITS = 4429


@dataclass(frozen=True, slots=True)
class Times:
    """What bounds a connection, in seconds."""

    init: float
    """How long a client may wait before `connection_init`."""
    life: float
    blocked: float
    """How long a client may take nothing of what it is sent."""


class Connection(Protocol):
    """One that stays open."""

    @property
    def session_id(self) -> SessionId | None:
        """The session behind it."""
        ...

    @property
    def blocked_at(self) -> float | None:
        """Since when (`time.monotonic`) its client takes nothing."""
        ...

    @property
    def ends_at(self) -> float:
        """When (`time.monotonic`) its life is over."""
        ...

    async def close(self, code: Close, reason: str) -> None:
        """Close it once; never raises."""
        ...


class Connections:
    """One per process. `random` spreads reconnections, 0 to 1."""

    def __init__(
        self,
        database: Database,
        post: Post,
        *,
        most: int,
        most_a_member: int,
        times: Times,
        watch_seconds: float,
        random: Callable[[], float],
    ) -> None:
        self.post = post
        self.most = most
        self.most_a_member = most_a_member
        self.times = times
        self._database = database
        self._watch_seconds = watch_seconds
        self._random = random
        self._open: set[Connection] = set()
        self._late: set[asyncio.Task[None]] = set()
        """Closings that wait for their peers."""
        self._members: Counter[MemberId] = Counter()

    def ends_at(self) -> float:
        """When (`time.monotonic`) the life of one that begins now is over; those that came together part one by one."""
        return monotonic() + self.times.life * (_LEAST_SHARE + (1 - _LEAST_SHARE) * self._random())

    @property
    def is_full(self) -> bool:
        """Whether the process has as many as it can hold."""
        return len(self._open) >= self.most

    def add(self, connection: Connection) -> None:
        """It is open, until it is removed."""
        self._open.add(connection)

    def remove(self, connection: Connection) -> None:
        """It is closed."""
        self._open.discard(connection)

    def admit(self, member_id: MemberId) -> bool:
        """Count one more of a member, unless that is one too many; who is admitted is released later."""
        if self._members[member_id] >= self.most_a_member:
            return False
        self._members[member_id] += 1
        return True

    def release(self, member_id: MemberId) -> None:
        """One of a member's is closed."""
        self._members[member_id] -= 1
        if self._members[member_id] <= 0:
            del self._members[member_id]

    async def watch(self) -> None:
        """Close, again and again, those that are old, whose clients are too slow or whose sessions have ended.

        Until cancelled. A timer of its own would cost each of them two thirds of a kilobyte.
        """
        while True:
            await asyncio.sleep(self._watch_seconds)
            try:
                await self.close_old()
                await self.close_slow()
                await self.close_ended()
            except Exception as problem:  # noqa: BLE001 -- an edge: the database may be away, which ends no connection
                _log.warning("sessions of connections not checked", extra={"error": repr(problem)})

    async def close_old(self) -> None:
        """Have those whose lives are over connect again, perhaps elsewhere."""
        now = monotonic()
        await self._close([found for found in self._open if found.ends_at < now], Close.RESTART, RESTART)

    async def close_slow(self) -> None:
        """Close those whose clients have taken nothing for too long."""
        longest_ago = monotonic() - self.times.blocked
        slow = [found for found in self._open if found.blocked_at is not None and found.blocked_at < longest_ago]
        await self._close(slow, Close.TRY_LATER, "Messages were not taken; connect again, with `after`")

    async def close_ended(self) -> None:
        """Close those whose sessions are not live any more."""
        by_session = {found: found.session_id for found in self._open if found.session_id is not None}
        if not by_session:
            return
        async with asyncio.timeout(_PATIENCE):
            ended = await members.ended_among(self._database, set(by_session.values()))
        lost = [found for found, session_id in by_session.items() if session_id in ended]
        await self._close(lost, Close.UNAUTHORIZED, "The session has ended")

    async def _close(self, connections: Collection[Connection], code: Close, reason: str) -> None:
        """Close them at once: by plain ASGI one may wait for its peer to take that, and the others not for this one."""
        closing = {asyncio.create_task(found.close(code, reason)) for found in connections}
        if closing:
            _, late = await asyncio.wait(closing, timeout=_PATIENCE)
            self._late |= late
            for task in late:
                task.add_done_callback(self._late.discard)

    async def stop(self) -> None:
        """Have all clients connect again elsewhere."""
        for found in list(self._open):
            await found.close(Close.RESTART, RESTART)
