"""The relay: sends what the outbox holds. It runs in any number; a message may go out twice, but is never lost."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import structlog

from domain.database import Database
from domain.ids import TournamentId
from domain.outbox import store
from domain.outbox.model import OutboxMessage, Tick, TickKind, Topic
from domain.tournament.store import raise_versions, take_for_update

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_log = structlog.get_logger(__name__)

BATCH = 500
_FIRST_WAIT = 0.25
_LONGEST_WAIT = 5.0
_CHECK_SECONDS = 15.0
_SEND_SECONDS = 5.0


class Sender(Protocol):
    """Where messages go. Both raise when something may not have arrived."""

    async def jobs(self, jobs: Sequence[dict[str, Any]]) -> None: ...

    async def ticks(self, ticks: Collection[Tick]) -> None: ...


class Listener(Protocol):
    """A connection of its own that hears notifications (asyncpg's)."""

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None: ...

    def add_termination_listener(self, callback: Callable[..., None]) -> None: ...

    async def execute(self, query: str, *, timeout: float | None = None) -> str: ...


Listen = Callable[[], AbstractAsyncContextManager[Listener]]


async def relay_once(database: Database, sender: Sender, *, limit: int = BATCH) -> bool:
    """Send up to `limit` due jobs and ticks; whether more may be waiting.

    What cannot be sent stays, and is due again after a wait that grows with its failures.
    """
    async with database.begin() as connection:
        messages = await store.take_due(connection, (Topic.JOB, Topic.TICK), limit)
        if not messages:
            return False
        jobs = [message for message in messages if message.topic is Topic.JOB]
        ticks = [message for message in messages if message.topic is Topic.TICK]
        sent: list[int] = []
        for part, send in ((jobs, _send_jobs), (ticks, _send_ticks)):
            problem = await _problem(send(sender, part)) if part else None
            if problem is None:
                sent += [message.id for message in part]
            else:
                await _postpone(connection, part, problem)
        await store.remove(connection, sent)
    return len(messages) == limit and len(sent) == limit


async def raise_boards_once(database: Database) -> bool:
    """Raise the board versions of tournaments whose members changed; whether there may be more such."""
    async with database.read() as connection:
        due = await store.read_due(connection, (Topic.MEMBERS,), BATCH)
    raised = [await _raise_board(database, message) for message in due]
    return any(raised)


async def _raise_board(database: Database, message: OutboxMessage) -> bool:
    """Raise a tournament's version in place of its message; not while it is held by somebody who changes members."""
    tournament_id = TournamentId(UUID(message.message["id"]))
    async with database.begin() as connection:
        # Before the message: in the other order it and a league that takes the tournament up wait for each other.
        await take_for_update(connection, tournament_id)
        is_free = await store.remove_free(connection, message.id)
        if is_free:
            await raise_versions(connection, tournament_id, board=True)
    return is_free


async def listen(connect: Listen, wake: Callable[[], None]) -> None:
    """Wake the relay whenever the outbox is written to. Ends with an error when the connection is lost."""
    lost = asyncio.Event()
    async with connect() as connection:
        connection.add_termination_listener(lambda *_: lost.set())
        await connection.add_listener(store.CHANNEL, lambda *_: wake())
        wake()  # something may have come before we listened
        while not lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await lost.wait()
            if not lost.is_set():
                await connection.execute("SELECT 1", timeout=5)
    raise ConnectionError("the connection that listens was lost")


async def _send_jobs(sender: Sender, messages: Sequence[OutboxMessage]) -> None:
    await sender.jobs([message.message for message in messages])


async def _send_ticks(sender: Sender, messages: Sequence[OutboxMessage]) -> None:
    ticks = {Tick(TickKind(message.message["kind"]), UUID(message.message["id"])): None for message in messages}
    await sender.ticks(list(ticks))


async def _problem(sending: Awaitable[None]) -> Exception | None:
    try:
        async with asyncio.timeout(_SEND_SECONDS):
            await sending
    except Exception as error:  # noqa: BLE001 an edge: the queue's server may be away; the messages stay
        return error
    return None


async def _postpone(connection: "AsyncConnection", messages: Sequence[OutboxMessage], problem: Exception) -> None:
    _log.warning("outbox_not_sent", messages=len(messages), error=repr(problem))
    for failures in {message.attempts for message in messages}:
        ids = [message.id for message in messages if message.attempts == failures]
        wait = min(_FIRST_WAIT * 2**failures, _LONGEST_WAIT)
        await store.postpone(connection, ids, error=repr(problem), seconds=wait)
