"""What a connection sends: answers in turn, and what its streams bring gathered, so that several leave in one write."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from schema.transport.wires import Gone, Message, Wire, nobody_waits


class Follower(Protocol):
    """A stream of the connection."""

    def wake(self) -> None:
        """More may be sent."""
        ...

    def lend(self, wire: Wire | None) -> None:
        """The way out is its own until it is told otherwise: nothing waits to go before what it brings."""
        ...


class Outlet:
    """One connection's. What it holds is bounded: it takes nothing of streams while the peer takes nothing."""

    __slots__ = ("_followers", "_gathered", "_is_posted", "_post", "_ready", "_wire")

    def __init__(self, wire: Wire, post: "Post") -> None:
        self._wire = wire
        self._post = post
        self._gathered: list[tuple[Follower | None, Message]] = []
        self._followers: set[Follower] = set()
        self._is_posted = False
        self._ready: asyncio.Event | None = None
        wire.on_change = self._on_change

    @property
    def is_ready(self) -> bool:
        """Whether the peer takes what it is sent."""
        return self._wire.is_ready

    @property
    def blocked_at(self) -> float | None:
        """Since when it does not."""
        return self._wire.blocked_at

    def join(self, follower: Follower) -> None:
        """Wake it when the peer takes messages again."""
        self._followers.add(follower)
        self._settle()

    def leave(self, follower: Follower) -> None:
        """Send no more of it, not even what is gathered."""
        self._followers.discard(follower)
        if self._gathered:
            self._gathered = [entry for entry in self._gathered if entry[0] is not follower]
        self._settle()

    def put(self, follower: Follower, messages: Sequence[Message]) -> bool:
        """Send what a stream brings: at once if it is the only one, else soon, together with what the others bring.

        False, and nothing is sent, when the peer takes nothing.
        """
        if not self._wire.is_ready:
            return False
        if self._is_direct:
            self._wire.write(messages)
            return True
        for message in messages:
            self._gathered.append((follower, message))
        if not self._is_posted:
            self._is_posted = True
            self._post.add(self)
        return True

    def put_now(self, message: Message) -> None:
        """Send after all that is gathered, without waiting for more; it is held while the peer takes nothing."""
        self._gathered.append((None, message))
        self.flush()

    async def ready(self) -> None:
        """Wait until the peer takes what it is sent.

        Raises:
            Gone: it never will.
        """
        while not self._wire.is_ready:
            if not self._wire.is_open:
                raise Gone
            if self._ready is None:
                self._ready = asyncio.Event()
            await self._ready.wait()

    async def send(self, message: Message) -> None:
        """Send after all that is gathered, once the peer takes it. Raises what `ready` raises."""
        await self.ready()
        self.put_now(message)

    def flush(self) -> None:
        """Write what is gathered, if the peer takes it."""
        self._is_posted = False
        if self._gathered and self._wire.is_ready:
            gathered, self._gathered = self._gathered, []
            self._wire.write([message for _, message in gathered])
        self._settle()

    def cut(self, code: int, reason: str) -> None:
        """Close although the peer takes nothing."""
        self._gathered.clear()
        self._wire.cut(code, reason)

    def forget(self) -> None:
        """The connection is over: outlet and wire, which know each other, would wait for the garbage collector."""
        self._wire.on_change = nobody_waits

    @property
    def _is_direct(self) -> bool:
        """Whether there is one stream only, and nothing waits."""
        return len(self._followers) == 1 and not self._gathered

    def _settle(self) -> None:
        wire = self._wire if self._is_direct and self._wire.is_ready else None
        for follower in self._followers:
            follower.lend(wire)

    def _on_change(self) -> None:
        self.flush()
        if not self._wire.is_ready and self._wire.is_open:
            return
        if self._ready is not None:
            self._ready.set()
            self._ready = None
        for follower in self._followers:
            follower.wake()


class Post:
    """One per process: has outlets of several streams write what these bring at about the same time.

    While other boards are still being read it waits, up to `patience` seconds: what a client follows often moves
    together, and one write for all of it costs a fraction.
    """

    _ROUND = 100
    """So many outlets write before others have a turn of the event loop: some 3 ms."""
    _LOOK = 0.005
    """Seconds between two looks at whether others are read; what was read needs as long to be rendered."""

    def __init__(self, is_busy: Callable[[], bool], patience: float = 0.05) -> None:
        self._is_busy = is_busy
        self._patience = patience
        self._outlets: list[Outlet] = []
        self._is_due = False
        self._until = 0.0

    def add(self, outlet: Outlet) -> None:
        """It has gathered something."""
        self._outlets.append(outlet)
        if not self._is_due:
            self._is_due = True
            loop = asyncio.get_running_loop()
            self._until = loop.time() + self._patience
            loop.call_later(self._LOOK, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if self._is_busy() and loop.time() < self._until:
            loop.call_later(self._LOOK, self._look)
        else:
            self._deliver()

    def _deliver(self) -> None:
        due, self._outlets = self._outlets[: self._ROUND], self._outlets[self._ROUND :]
        for outlet in due:
            outlet.flush()
        self._is_due = bool(self._outlets)
        if self._is_due:
            asyncio.get_running_loop().call_soon(self._deliver)
