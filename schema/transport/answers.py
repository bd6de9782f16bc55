"""Answers of equal queries, executed once and kept as bytes for as long as nothing that they show has moved.

Only shareable queries of one tournament (`schema.sharing`) are kept. A tick of the tournament ends them at once; a tick
that was lost is made good by their age.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from sys import getsizeof
from time import monotonic
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from domain.outbox.model import TickKind
from schema.transport.terms import Term

Execute: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
"""Answers a query as if nobody were signed in."""
Generation: TypeAlias = tuple[int, int]
Request: TypeAlias = tuple[bytes, ...]
"""As its client wrote it."""
_MOVING = frozenset({TickKind.BOARD, TickKind.MATCHES})
_MOST_REQUESTS = 32
"""That are remembered of an answer: clients write the same query in few ways."""
_LONGEST_REQUEST = 16 * 1024
_LARGEST_KEY = 16 * 1024
"""Of an answer that is kept: whoever asks chooses its document and its variables."""
_BESIDE = 1024
"""Bytes that an answer takes beside its key, its data and its requests."""


@dataclass(frozen=True, slots=True)
class Query:
    """A shareable query: what it is equal by, and the tournament that it shows."""

    key: Hashable
    tournament_id: UUID
    cost: int
    is_versioned: bool = False
    """Whether the key says of which version it is: then it is kept also while no ticks are heard."""


class Kept(Term):
    """An answer without errors, as JSON; one who asks has it executed anew, and the others have it meanwhile."""

    __slots__ = ("data", "generation", "query", "requests")

    def __init__(self, data: bytes, query: Query, generation: Generation, began_at: float, seconds: float) -> None:
        super().__init__(began_at, seconds)
        self.data = data
        self.query = query
        self.generation = generation
        self.requests: list[Request] = []
        """What is remembered to ask for it, and forgotten with it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is kept for a request, and the media type in which its client takes it."""

    kept: Kept
    media: bytes


class SharedAnswers:
    """One per process. It hears ticks: see `live.ports.TickListener`."""

    def __init__(
        self,
        hears: Callable[[], bool],
        *,
        seconds: float,
        most_bytes: int = 32 * 1024 * 1024,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`hears`: whether ticks are listened to; while they are not, only what has a version in its key is kept.

        `seconds`: the greatest age.
        """
        self._hears = hears
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._bytes = 0
        self._flights: dict[tuple[Hashable, Generation], asyncio.Task[Kept | None]] = {}
        self._requests: dict[Request, tuple[Hashable, bytes]] = {}
        """Which query each asks for, and in which media type."""
        self._beginnings = 0
        self._moves: dict[UUID, int] = {}

    async def answer(self, query: Query, execute: Execute) -> Kept | None:
        """The answer: kept, or executed once for all who ask meanwhile; None when it has errors, or nothing is kept.

        What `execute` raises is raised to all of them.
        """
        kept = self._find(query.key)
        if not self._may_keep(query) or (kept is not None and kept.renewed_at < kept.until):
            return kept
        flight = (query.key, self._generation(query.tournament_id))
        if flight not in self._flights:
            task = self._flights[flight] = asyncio.create_task(self._execute(query, execute))
            task.add_done_callback(lambda _: self._flights.pop(flight))
        # Who is cancelled does not cancel what others wait for.
        return await asyncio.shield(self._flights[flight])

    def remember(self, request: Request, query: Query, media: bytes) -> None:
        """That a request asks for this query in this media type."""
        kept = self._kept.get(query.key)
        if kept is None or sum(map(len, request)) > _LONGEST_REQUEST or request in kept.requests:
            return
        self._forget(request)  # it asked for an earlier version
        if len(kept.requests) == _MOST_REQUESTS:
            self._forget(kept.requests[0])
        self._requests[request] = (query.key, media)
        kept.requests.append(request)
        self._bytes += _size(request)
        self._make_room()

    def find(self, request: Request) -> Found | None:
        """The answer that is kept for a request."""
        wish = self._requests.get(request)
        kept = self._find(wish[0]) if wish is not None else None
        return Found(kept, wish[1]) if kept is not None and wish is not None else None

    def is_to_renew(self, kept: Kept) -> bool:
        """Whether the one who asks has the answer executed anew: one is told so, once it is time."""
        return kept.is_to_renew(self._clock())

    def tick(self, kind: str, entity_id: UUID, version: int | None) -> None:  # noqa: ARG002 -- whatever it is now
        """Something moved."""
        if kind in _MOVING:
            self.moved(entity_id)

    def moved(self, tournament_id: UUID) -> None:
        """Boards or matches of a tournament moved."""
        self._moves[tournament_id] = self._moves.get(tournament_id, 0) + 1

    def subscribed(self) -> None:
        """Listening began; ticks may have been missed before."""
        self._beginnings += 1

    def heard(self) -> None:
        """The source of ticks answered: nothing moved."""

    def _find(self, key: Hashable) -> Kept | None:
        kept = self._kept.get(key)
        if kept is None or not self._may_keep(kept.query) or self._clock() >= kept.until:
            return None
        return kept if kept.generation == self._generation(kept.query.tournament_id) else None

    def _may_keep(self, query: Query) -> bool:
        return query.is_versioned or self._hears()

    def _generation(self, tournament_id: UUID) -> Generation:
        return self._beginnings, self._moves.get(tournament_id, 0)

    async def _execute(self, query: Query, execute: Execute) -> Kept | None:
        # Taken before anything is read: what moves meanwhile makes the answer old.
        generation, now = self._generation(query.tournament_id), self._clock()
        answer = await execute()
        if "errors" in answer:
            return None
        # A copy: what orjson returns keeps the buffer that it was written in, several times as large.
        data = bytes(memoryview(orjson.dumps(answer["data"])))
        kept = Kept(data, query, generation, now, self._seconds)
        self._keep(kept)
        return kept

    def _keep(self, kept: Kept) -> None:
        key = kept.query.key
        if _size(key) > _LARGEST_KEY:
            return
        if key in self._kept:
            former = self._kept.pop(key)
            self._bytes -= _room(former)
            kept.requests = former.requests
        self._kept[key] = kept
        self._bytes += _room(kept)
        self._make_room()

    def _make_room(self) -> None:
        while self._kept and self._is_to_go(next(iter(self._kept.values()))):
            _, gone = self._kept.popitem(last=False)
            self._bytes -= _room(gone)
            for request in gone.requests:
                del self._requests[request]

    def _forget(self, request: Request) -> None:
        if request in self._requests:
            key, _ = self._requests.pop(request)
            self._kept[key].requests.remove(request)
            self._bytes -= _size(request)

    def _is_to_go(self, oldest: Kept) -> bool:
        return self._bytes > self._most_bytes or oldest.until <= self._clock()


def _room(kept: Kept) -> int:
    """Bytes that an answer takes, with what is remembered to ask for it."""
    return len(kept.data) + _size(kept.query.key) + sum(map(_size, kept.requests)) + _BESIDE


def _size(key: Hashable) -> int:
    return getsizeof(key) + (sum(map(_size, key)) if isinstance(key, tuple) else 0)
