"""Ticks over pub/sub: word that something has a new version. A tick may be lost; the versions stand in the database.

`palpite:ticks` carries what the relay tells (`kind`, `id`), but for executions: theirs are many and of no interest to
a projector, so they have `palpite:executions`. `palpite:boards` carries what the projector tells when a
board can be read (`kind`, `id`, `version`), mostly with its first places (`front`).
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import orjson
from redis.asyncio import Redis

from domain.ids import TournamentId
from domain.outbox.model import Tick, TickKind
from integrations.valkey import fronts
from integrations.valkey.client import AWAY, drop_connections

if TYPE_CHECKING:
    from domain.leaderboard.front import Front
    from domain.leaderboard.ports import BoardTicks

TICKS = b"palpite:ticks"
EXECUTIONS = b"palpite:executions"
BOARDS = b"palpite:boards"

_HEARD_SECONDS = 1.0
_SILENT_SECONDS = 10.0
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 5.0

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Hears ticks. Every call returns at once and never raises."""

    def tick(self, kind: str, entity_id: UUID, version: int | None) -> None:
        """Something moved; the version is known for boards only."""
        ...

    def subscribed(self) -> None:
        """The channels are subscribed, at first or again: ticks may have been lost before."""
        ...

    def heard(self) -> None:
        """The server answered; called every second or two while the connection is alive."""
        ...


async def publish(client: "Redis", ticks: Collection[Tick]) -> None:
    """Tell that these have moved, in one round trip. Raises RedisError when it may not have been heard."""
    pipeline = client.pipeline(transaction=False)
    for tick in ticks:
        # Spelt out, for a pipeline of a cluster has no `publish`; all of them go to the server of the channel's name.
        channel = EXECUTIONS if tick.kind is TickKind.EXECUTION else TICKS
        pipeline.execute_command("PUBLISH", channel, orjson.dumps({"kind": tick.kind.value, "id": str(tick.id)}))
    await pipeline.execute()


class TickReader:
    """One supervised pub/sub connection. A lost connection is made again, for ever.

    What is heard on `palpite:ticks` of boards is not passed on when `palpite:boards` is read too: it comes too early.
    """

    def __init__(
        self,
        client: "Redis",
        channels: Sequence[bytes] = (TICKS, EXECUTIONS, BOARDS),
        *,
        early: Callable[[UUID], None] | None = None,
        front: "Callable[[TournamentId, int, Callable[[], Front | None]], None] | None" = None,
    ) -> None:
        """What is called besides the listener.

        `early`: with boards that moved and may not be readable from the projection yet. `front`: with a board, its
        version, and what reads its first places, just before the listener hears of them.
        """
        self._client = client
        self._channels = channels
        self._early = early
        self._front = front
        self._is_alive = False

    @property
    def is_alive(self) -> bool:
        """Whether the channels are subscribed at this moment."""
        return self._is_alive

    async def listen(self, listener: Listener) -> None:
        """Tell the listener every tick until cancelled."""
        wait = _FIRST_WAIT
        while True:
            try:
                await self._listen_once(listener)
            except AWAY as error:
                wait = _FIRST_WAIT if self._is_alive else min(wait * 2, _LONGEST_WAIT)
                _log.warning("ticks_lost", extra={"error": repr(error)})
            finally:
                self._is_alive = False
            await asyncio.sleep(wait)

    async def _listen_once(self, listener: Listener) -> None:
        await drop_connections(self._client, TICKS.decode())  # a cluster's servers may be others than before the loss
        await self._client.initialize()
        async with self._client.pubsub(push_handler_func=_pushed) as pubsub:
            await pubsub.subscribe(*self._channels)
            confirmed = 0
            silent = 0.0
            while True:
                message = await pubsub.get_message(timeout=_HEARD_SECONDS)
                if message is None:
                    silent += _HEARD_SECONDS
                    if silent >= _SILENT_SECONDS:
                        raise TimeoutError("the tick server does not answer")
                    await pubsub.ping()
                    continue
                silent = 0.0
                listener.heard()
                if message["type"] == "subscribe":
                    confirmed += 1
                    if confirmed % len(self._channels) == 0:
                        self._is_alive = True
                        listener.subscribed()
                elif message["type"] == "message":
                    self._tell(listener, message["channel"], message["data"])

    def _tell(self, listener: Listener, channel: bytes, data: bytes) -> None:
        try:
            tick: dict[str, Any] = orjson.loads(data)
            kind, entity_id, told = tick["kind"], UUID(tick["id"]), tick.get("version")
            version = None if told is None else int(told)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("tick_unreadable", extra={"error": repr(error)})
            return
        if channel == TICKS and kind == TickKind.BOARD and BOARDS in self._channels:
            if self._early is not None:
                self._early(entity_id)
            return
        if self._front is not None and version is not None and isinstance(told_front := tick.get("front"), str):
            self._front(TournamentId(entity_id), version, partial(fronts.decode, told_front))
        listener.tick(kind, entity_id, version)


async def _pushed(message: Any) -> Any:
    """What came, as it is: the client's own writes each message out for a log that nobody reads."""
    return message


class ProjectorTicks:
    """The board ticks of the relay, for the projector: each tournament once while it is not taken.

    Implements `domain.leaderboard.ports.BoardTicks`. `run` must run beside it.
    """

    def __init__(self, client: "Redis") -> None:
        self._reader = TickReader(client, (TICKS,))
        self._moved: OrderedDict[TournamentId | None, None] = OrderedDict()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._reader.listen(self)

    def tick(self, kind: str, entity_id: UUID, version: int | None) -> None:  # noqa: ARG002 the database is asked
        if kind == TickKind.BOARD:
            self._add(TournamentId(entity_id))

    def subscribed(self) -> None:
        self._add(None)

    def heard(self) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[TournamentId | None]:
        while True:
            await self._wake.wait()
            while self._moved:
                yield self._moved.popitem(last=False)[0]
            self._wake.clear()

    def _add(self, moved: TournamentId | None) -> None:
        self._moved[moved] = None
        self._wake.set()


if TYPE_CHECKING:
    _conforms: type[BoardTicks] = ProjectorTicks
