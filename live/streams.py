"""Owns the life of one stream that is followed alone: it waits, asks for the right, and hands events over."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from time import monotonic
from typing import Generic

from live.events import Heartbeat, Resync, ResyncReason, StreamPosition
from live.feeds import D, K, N, S
from live.mailboxes import Mailbox
from live.readers import Beat, Reader
from live.rights import Right
from live.topics import Pace
from live.watch import Watch


class Stream(Generic[K, S, N, D]):
    """One subscription to one window, as it was asked for. Iterated, it runs; `live.cohorts` shares it instead."""

    def __init__(
        self,
        watch: Watch[K, S, N, D],
        key: K,
        after: StreamPosition | None,
        right: Right,
        pace: Pace,
        beat: Beat,
    ) -> None:
        self.watch = watch
        self.right = right
        self.key = key
        self._after = after
        self._beat = beat
        self._pace = pace

    def reader(self, mailbox: Mailbox[D]) -> Reader[K, S, N, D]:
        """Where this client stands from now on; whoever asks for it leaves it."""
        return Reader(self.watch, self.key, mailbox, self._after, self._beat)

    async def events(self) -> AsyncGenerator[N | D | Resync | Heartbeat, None]:
        """The events, until the hub stops, the right is lost, or the window is gone."""
        await self.right.require_soon()
        if self.watch.closed:
            return
        self._wake = asyncio.Event()
        reader = self.reader(Mailbox(self._wake.set))
        try:
            await reader.known()
            events = reader.take()
            if reader.is_private:
                await self.right.require_soon()  # the state was read after the first answer
            while events:
                for event in events:
                    yield event
                events = await self._next(reader)
        finally:
            reader.leave()

    async def _next(self, reader: Reader[K, S, N, D]) -> Sequence[N | D | Resync | Heartbeat]:
        """The next events; none when the stream is over."""
        heartbeat_at = monotonic() + self._pace.heartbeat
        while not reader.mailbox.closed:
            await self._wait(min(heartbeat_at, self.right.due_at))
            is_due = monotonic() >= heartbeat_at
            if self._wake.is_set() and not reader.mailbox.closed:
                if events := await self._frame(reader):
                    return events
            elif monotonic() >= self.right.due_at or (is_due and reader.is_private):
                await self.right.confirm()
            if is_due:
                return (reader.heartbeat(),)
        if reader.mailbox.error is not None:
            raise reader.mailbox.error
        return ()

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(until - monotonic(), 0)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _frame(self, reader: Reader[K, S, N, D]) -> Sequence[N | D | Resync | Heartbeat]:
        """What the mailbox holds, if the client may see it. No frame is newer than its check."""
        self._wake.clear()
        events = reader.take()
        if not events:
            return ()
        must_ask = reader.is_private or monotonic() >= self.right.due_at
        if must_ask and not await self.right.confirm() and reader.is_private:
            # Nobody can tell whether it may be seen: it is left out and made good later.
            reader.take_back(ResyncReason.SOURCE_RESTORED)
            self._wake.set()
            await asyncio.sleep(min(1.0, self._pace.recheck))
            return ()
        return events
