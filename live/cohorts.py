"""Owns shared execution: equal subscriptions are rendered once for each event, and every client is handed the bytes.

A cohort is one task however many clients it has. What a client has not been able to take waits in its mailbox, which
has one slot; its socket wakes it when it takes more.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from time import monotonic
from typing import Any, Generic, Protocol

from domain.errors import DomainError, Unavailable
from live.events import ResyncReason
from live.feeds import D, K, N, S
from live.mailboxes import Mailbox
from live.readers import Reader
from live.streams import Stream
from live.topics import Pace

_log = logging.getLogger(__name__)
_SLICE = 200
"""So many clients are served before others have a turn of the event loop: some 3 ms."""

Render = Callable[[Any], Awaitable[bytes]]
"""Makes the payload of an event, the same for every client of a cohort."""


class Sink(Protocol):
    """Takes what one subscription is sent. Its calls return at once and never raise."""

    @property
    def is_ready(self) -> bool:
        """Whether it takes more now. When it does again, it wakes its seat."""
        ...

    def put(self, payloads: Sequence[bytes]) -> None:
        """Send these, in this order."""
        ...

    def end(self, problem: Exception | None) -> None:
        """The subscription is over, for a reason or in good order."""
        ...


class Seat(Generic[K, S, N, D]):
    """One client of a cohort."""

    __slots__ = ("_cohort", "has_left", "is_woken", "reader", "right", "sink")

    def __init__(self, cohort: "Cohort[K, S, N, D]", stream: Stream[K, S, N, D], sink: Sink) -> None:
        self._cohort = cohort
        self.reader: Reader[K, S, N, D] = stream.reader(Mailbox(self.wake))
        self.right = stream.right
        self.sink = sink
        self.is_woken = False
        self.has_left = False

    def wake(self) -> None:
        """There may be something to send, or it may be taken again."""
        if not self.is_woken:
            self.is_woken = True
            self._cohort.woken(self)

    def leave(self) -> None:
        """Nothing more is sent."""
        if not self.has_left:
            self.has_left = True
            self._cohort.left(self)


class Cohort(Generic[K, S, N, D]):
    """Equal subscriptions of one topic."""

    def __init__(self, render: Render, pace: Pace, forget: Callable[[], None]) -> None:
        """`forget` is called when the last client has left."""
        self._render = render
        self._pace = pace
        self._forget = forget
        self._seats: set[Seat[K, S, N, D]] = set()
        self._woken: list[Seat[K, S, N, D]] = []
        self._wake = asyncio.Event()
        self._is_private = False
        self._rendered: dict[int, tuple[object, bytes]] = {}
        self._task: asyncio.Task[None] | None = None

    async def join(self, stream: Stream[K, S, N, D], sink: Sink) -> Seat[K, S, N, D]:
        """A client more, whose right has been asked."""
        seat = Seat(self, stream, sink)
        self._seats.add(seat)
        try:
            await seat.reader.known()
        except BaseException:
            seat.leave()
            raise
        self._is_private = seat.reader.is_private
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        seat.wake()
        return seat

    def woken(self, seat: Seat[K, S, N, D]) -> None:
        """From a seat."""
        if not self._woken:
            self._wake.set()
        self._woken.append(seat)

    def left(self, seat: Seat[K, S, N, D]) -> None:
        """From a seat."""
        seat.reader.leave()
        self._seats.discard(seat)
        if not self._seats:
            self._forget()
            if self._task is not None:
                self._task.cancel()

    async def stop(self) -> None:
        """End every subscription in good order."""
        for seat in list(self._seats):
            self._end(seat, None)
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._work()
        except Exception as problem:  # noqa: BLE001 an edge: whatever fails, no client is left in silence
            _log.exception("live_cohort_failed")
            for seat in list(self._seats):
                self._end(seat, problem)

    async def _work(self) -> None:
        beat_at, check_at = monotonic() + self._pace.heartbeat, monotonic() + self._pace.recheck
        while True:
            await self._wait(min(beat_at, check_at) if self._is_private else beat_at)
            woken, self._woken = self._woken, []
            self._wake.clear()
            if await self._serve(woken) >= len(self._seats):
                beat_at = monotonic() + self._pace.heartbeat
            if monotonic() >= beat_at:
                beat_at = monotonic() + self._pace.heartbeat
                await self._beat()
            if self._is_private and monotonic() >= check_at:
                check_at = monotonic() + self._pace.recheck
                await self._confirmed(list(self._seats))

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(until - monotonic(), 0)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _serve(self, woken: list[Seat[K, S, N, D]]) -> int:
        """Send the woken what waits for them; how many have been sent something."""
        frames: list[tuple[Seat[K, S, N, D], Sequence[object]]] = []
        for seat in woken:
            seat.is_woken = False
            if seat.has_left:
                continue
            if seat.reader.mailbox.closed:
                self._end(seat, seat.reader.mailbox.error)
            elif seat.sink.is_ready and (events := seat.reader.take()):
                frames.append((seat, events))
        if frames and self._is_private:
            permitted = await self._confirmed([seat for seat, _ in frames], ResyncReason.SOURCE_RESTORED)
            frames = [frame for frame in frames if frame[0] in permitted]
        await self._send(frames)
        return len(frames)

    async def _beat(self) -> None:
        """Heartbeats, one object for all of a version."""
        made: dict[tuple[str, int], object] = {}
        frames: list[tuple[Seat[K, S, N, D], Sequence[object]]] = []
        for seat in self._seats:
            if seat.sink.is_ready and not seat.is_woken:
                position = seat.reader.position
                if position not in made:
                    made[position] = seat.reader.heartbeat()
                frames.append((seat, (made[position],)))
        await self._send(frames)

    async def _send(self, frames: list[tuple[Seat[K, S, N, D], Sequence[object]]]) -> None:
        rendered = self._rendered
        for number, (seat, events) in enumerate(frames, 1):
            payloads = []
            for event in events:
                known = rendered.get(id(event))
                payloads.append(known[1] if known is not None else await self._payload(event))
            if not seat.has_left:
                seat.sink.put(payloads)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        while len(self._rendered) > 16:
            del self._rendered[next(iter(self._rendered))]

    async def _payload(self, event: object) -> bytes:
        payload = await self._render(event)
        self._rendered[id(event)] = (event, payload)  # held, so that its id stays its own
        return payload

    async def _confirmed(
        self, seats: Sequence[Seat[K, S, N, D]], otherwise: ResyncReason | None = None
    ) -> set[Seat[K, S, N, D]]:
        """Those of the seats whose clients may see it at this moment; the refused ones have ended.

        Of whom nobody can tell, what was taken is made good later, for the reason `otherwise`.
        """
        answers = await asyncio.gather(*(seat.right.confirm() for seat in seats), return_exceptions=True)
        permitted = set()
        for seat, answer in zip(seats, answers, strict=True):
            if answer is True:
                permitted.add(seat)
            elif isinstance(answer, DomainError):
                self._end(seat, answer)
            elif otherwise is not None:
                seat.reader.take_back(otherwise)
                asyncio.get_running_loop().call_later(min(1.0, self._pace.recheck), seat.wake)
        return permitted

    def _end(self, seat: Seat[K, S, N, D], problem: Exception | None) -> None:
        if not seat.has_left:
            seat.leave()
            seat.sink.end(problem)


class Cohorts:
    """All cohorts of a process, by what is equal."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._cohorts: dict[Hashable, Cohort[Any, Any, Any, Any]] = {}

    async def join(
        self, key: Hashable, stream: Stream[Any, Any, Any, Any], render: Render, sink: Sink
    ) -> Seat[Any, Any, Any, Any]:
        """Share the execution of a stream with all who ask for the same: equal keys mean equal payloads.

        Raises:
            NotFound, Unavailable, Unauthenticated, Forbidden: as the stream would.
        """
        await stream.right.require()
        if stream.watch.closed:
            raise Unavailable("This server is stopping; connect again.")
        cohort = self._cohorts.get(key)
        if cohort is None:
            cohort = self._cohorts[key] = Cohort(render, self._pace, lambda: self._forget(key))
        return await cohort.join(stream, sink)

    def _forget(self, key: Hashable) -> None:
        del self._cohorts[key]

    async def stop(self) -> None:
        """End all subscriptions."""
        for cohort in list(self._cohorts.values()):
            await cohort.stop()
