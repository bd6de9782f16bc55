"""Owns equal subscriptions: they are rendered once for each event, and every client is handed the bytes.

A cohort is one task however many clients it has. Clients that have been sent the same are in step: the cohort reads
for all of them at once, and of each it touches no more than its sink. Who could not take something stands alone until
it has been sent what it missed: its mailbox has one slot, and its socket wakes it when it takes more.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Any, Generic

from domain.errors import DomainError, Unavailable
from live.batches import Batch, batches_of
from live.events import ResyncReason
from live.feeds import D, K, N, S
from live.mailboxes import Mailbox
from live.payloads import Payloads, Render
from live.readers import Reader
from live.rights import Right
from live.seats import Seat, Sink
from live.streams import Stream
from live.topics import Pace

_log = logging.getLogger(__name__)
_ALONE = 100
"""So many clients that stand alone are served before others have a turn of the event loop: some 3 ms."""
_BATCH = 250
"""So many that are in step: 3 to 4 ms, by a server that lends no transport up to 6."""


class Cohort(Generic[K, S, N, D]):
    """Equal subscriptions of one topic."""

    def __init__(self, render: Render, pace: Pace, forget: Callable[[], None]) -> None:
        """`forget` is called when the last client has left."""
        self._payloads = Payloads(render)
        self._pace = pace
        self._forget = forget
        self._in_step: dict[Sink, Seat[K, S, N, D]] = {}
        self._batches: Sequence[Batch] | None = None
        """All that are in step; None when some have come or gone, or are reached otherwise."""
        self._alone: set[Seat[K, S, N, D]] = set()
        self._common: Reader[K, S, N, D] | None = None
        """Stands where all clients in step stand, and hears of the topic for them."""
        self._woken: list[Seat[K, S, N, D]] = []
        self._wake = asyncio.Event()
        self.due_at = inf
        """When it is to be reminded at the latest."""
        self._is_private = False
        self._task: asyncio.Task[None] | None = None

    async def join(self, stream: Stream[K, S, N, D], sink: Sink) -> Seat[K, S, N, D]:
        """A client more, whose right has been asked. It may be refused meanwhile: its sink has ended then."""
        seat: Seat[K, S, N, D] = Seat(self, sink)
        seat.reader = reader = stream.reader(Mailbox(seat.wake))
        if reader.is_private:
            self._is_private, seat.right = True, stream.right
        self._alone.add(seat)
        try:
            await reader.known()
        except BaseException:
            seat.leave()
            raise
        if seat.has_left:  # it was refused meanwhile, and this cohort may be forgotten
            return seat
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        seat.wake()
        return seat

    def woken(self, seat: Seat[K, S, N, D]) -> None:
        """From a seat."""
        self._woken.append(seat)
        self._wake.set()

    def left(self, seat: Seat[K, S, N, D]) -> None:
        """From a seat."""
        self._in_step.pop(seat.sink, None)
        self._batches = None
        self._alone.discard(seat)
        if seat.reader is not None:
            seat.reader.leave()
        if self._in_step or self._alone:
            return
        self._forget()
        if self._common is not None:
            self._common.leave()
        if self._task is not None:
            self._task.cancel()
            self._task = None  # it knows this one, and the two would wait for the garbage collector

    def reached_otherwise(self) -> None:
        """From a seat."""
        self._batches = None

    async def stop(self) -> None:
        """End every subscription in good order."""
        task = self._task
        self._end_all(None)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._work()
        except Exception as problem:  # noqa: BLE001 an edge: whatever fails, no client is left in silence
            _log.exception("live_cohort_failed")
            self._end_all(problem)

    async def _work(self) -> None:
        beat_at, check_at = monotonic() + self._pace.heartbeat, monotonic() + self._pace.recheck
        while True:
            self.due_at = min(beat_at, check_at) if self._is_private else beat_at
            await self._wake.wait()
            self._wake.clear()
            woken, self._woken = self._woken, []
            if await self._serve_in_step() + await self._serve_alone(woken) >= len(self._in_step) + len(self._alone):
                beat_at = monotonic() + self._pace.heartbeat
            self._payloads.let_go()
            if monotonic() >= beat_at:
                beat_at = monotonic() + self._pace.heartbeat
                await self._beat()
            if self._is_private and monotonic() >= check_at:
                check_at = await self._confirm_in_time()

    def remind(self, now: float) -> bool:
        """Whether it is time for something; then it wakes."""
        if now < self.due_at:
            return False
        self._wake.set()
        return True

    async def _serve_in_step(self) -> int:
        """Send what is new to all clients in step; how many have been sent it."""
        common = self._common
        if common is None or common.mailbox.is_empty:
            return 0
        if common.mailbox.closed:
            self._dissolve(common)
            return 0
        behind = common.twin(lambda: None)
        try:
            events = common.take()
            if self._is_private:
                for seat in await self._confirm(list(self._in_step.values())):
                    self._set_apart(seat, behind)
                    self._take_back(seat)
            await self._give([await self._payloads.of(event) for event in events], behind)
        except Unavailable:
            for seat in list(self._in_step.values()):
                self._set_apart(seat, behind)
                self._take_back(seat)
        finally:
            behind.leave()
        return len(self._in_step)

    async def _give(self, payloads: Sequence[bytes], behind: Reader[K, S, N, D]) -> None:
        """Who takes nothing is left where all stood before."""
        payload, *more = payloads
        batches = self._batches = self._batches or batches_of(self._in_step, _BATCH)
        for number, batch in enumerate(batches):
            if number:
                await asyncio.sleep(0)
            if batch.deliver is not None and not more and self._batches is batches:  # nearly all messages go this way
                batch.deliver(batch.peers, payload)
                continue
            for sink in batch.sinks:
                if sink in self._in_step and not sink.put(payloads):
                    self._set_apart(self._in_step[sink], behind)

    async def _serve_alone(self, woken: list[Seat[K, S, N, D]]) -> int:
        """Send the woken what waits for them; how many have been sent something."""
        frames: list[tuple[Seat[K, S, N, D], Sequence[object]]] = []
        for seat in woken:
            seat.is_woken = False
            if seat.has_left or seat.reader is None:
                continue
            if seat.reader.mailbox.closed:
                self._end(seat, seat.reader.mailbox.error)
            elif seat.sink.is_ready and (events := seat.reader.take()):
                frames.append((seat, events))
        if frames and self._is_private:
            unknown = await self._confirm([seat for seat, _ in frames])
            for seat in unknown:
                self._take_back(seat)
            frames = [frame for frame in frames if frame[0] not in unknown]
        return await self._send(frames)

    async def _send(self, frames: Sequence[tuple[Seat[K, S, N, D], Sequence[object]]]) -> int:
        """Each its own events; who has had them and waits for nothing more falls in with the others."""
        sent = 0
        for number, (seat, events) in enumerate(frames, 1):
            try:
                sent += self._put(seat, [await self._payloads.of(event) for event in events])
            except Unavailable:
                self._take_back(seat)
            if number % _ALONE == 0:
                await asyncio.sleep(0)
        return sent

    def _put(self, seat: Seat[K, S, N, D], payloads: Sequence[bytes]) -> bool:
        if seat.reader is None or seat.has_left:
            return False
        if not seat.sink.put(payloads):
            seat.reader.take_back(ResyncReason.SLOW_CLIENT)
            return False
        self._fall_in(seat, seat.reader)
        return True

    async def _beat(self) -> None:
        """Heartbeats, one object for all of a version; who has something to come, or never had anything, needs none.

        Who may see it no longer has none either; while nobody can tell, the others and they do, for these tell of that.
        """
        common = self._common
        is_quiet = common is not None and common.mailbox.is_empty
        in_step = list(self._in_step.items()) if is_quiet else []
        alone = [seat for seat in self._alone if _may_hear(seat)]
        if self._is_private:
            await self._confirm([*(seat for _, seat in in_step), *alone])
        if common is not None and in_step:
            payloads = [await self._payloads.of(common.heartbeat())]
            for sink, seat in in_step:
                if not seat.has_left:
                    sink.put(payloads)
        made: dict[tuple[str, int], list[bytes]] = {}
        for seat in alone:
            reader = seat.reader
            if reader is None or seat.has_left:
                continue
            if reader.position not in made:
                made[reader.position] = [await self._payloads.of(reader.heartbeat())]
            if not seat.has_left:
                seat.sink.put(made[reader.position])

    async def _confirm(self, seats: Sequence[Seat[K, S, N, D]]) -> set[Seat[K, S, N, D]]:
        """Ask whether their clients may see it at this moment. The refused end; of the others nobody can tell."""
        asked = [(seat, seat.right) for seat in seats if seat.right is not None]
        answers = await _answers([right for _, right in asked])
        unknown = set()
        for (seat, _), answer in zip(asked, answers, strict=True):
            if isinstance(answer, DomainError):
                self._end(seat, answer)
            elif answer is not True and not seat.has_left:
                unknown.add(seat)
        return unknown

    async def _confirm_in_time(self) -> float:
        """Ask for those who have not been asked for long, and when to do so again: events have asked for others."""
        now = monotonic()
        rights = {seat: seat.right for seat in (*self._in_step.values(), *self._alone) if seat.right is not None}
        await self._confirm([seat for seat, right in rights.items() if right.due_at <= now])
        return min((right.due_at for right in rights.values()), default=now + self._pace.recheck)

    def _take_back(self, seat: Seat[K, S, N, D]) -> None:
        """What was taken for it was not sent after all, and is made good later."""
        if seat.reader is not None:
            seat.reader.take_back(ResyncReason.SOURCE_RESTORED)
            asyncio.get_running_loop().call_later(min(1.0, self._pace.recheck), seat.wake)

    def _fall_in(self, seat: Seat[K, S, N, D], reader: Reader[K, S, N, D]) -> None:
        """Get in step with the others if they stand there too; the first is where all will stand.

        What waits for it has come since it was sent something, and so waits for the others as well.
        """
        if self._common is None:
            self._common = reader.twin(self._wake.set)
        if not self._common.mailbox.closed and reader.standing == self._common.standing:
            reader.leave()
            seat.reader = None
            self._alone.discard(seat)
            self._in_step[seat.sink] = seat
            self._batches = None

    def _set_apart(self, seat: Seat[K, S, N, D], behind: Reader[K, S, N, D]) -> None:
        """Let it take alone, from where it was left behind."""
        del self._in_step[seat.sink]
        self._batches = None
        self._alone.add(seat)
        seat.reader = behind.twin(seat.wake)
        if seat.reader.mailbox.closed:
            seat.wake()

    def _dissolve(self, common: Reader[K, S, N, D]) -> None:
        """The topic is over, for all clients in step; who came later may have another."""
        common.leave()
        self._common = None
        for seat in list(self._in_step.values()):
            self._end(seat, common.mailbox.error)

    def _end_all(self, problem: Exception | None) -> None:
        for seat in [*self._in_step.values(), *self._alone]:
            self._end(seat, problem)

    def _end(self, seat: Seat[K, S, N, D], problem: Exception | None) -> None:
        if not seat.has_left:
            seat.leave()
            seat.sink.end(problem)


def _may_hear(seat: Seat[Any, Any, Any, Any]) -> bool:
    """Whether a heartbeat tells a client that stands alone something."""
    return seat.reader is not None and seat.reader.is_told and seat.sink.is_ready and not seat.is_woken


async def _answers(rights: Sequence[Right]) -> Sequence[bool | BaseException]:
    """What is answered to each; one alone needs no task."""
    if len(rights) > 1:
        return await asyncio.gather(*(right.confirm() for right in rights), return_exceptions=True)
    try:
        return [await right.confirm() for right in rights]
    except DomainError as refusal:
        return [refusal]
