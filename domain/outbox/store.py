"""Writes the outbox, and lets a relay take what is due. A relay is woken by NOTIFY; polling is the truth."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Integer, Text, bindparam, cast, delete, exists, func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.ids import TournamentId
from domain.outbox.model import OutboxMessage, TickKind, Topic
from domain.outbox.tables import outbox
from domain.tables import Instant, among, any_of

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.sql.dml import ReturningInsert

CHANNEL = "palpite_outbox"
WAKE = func.pg_notify(CHANNEL, "")
"""To be selected where another statement puts messages."""
_MEMBERS = "members:"
"""Before the tournament's id: the debounce key of what its members have changed."""


def _put_and_wake(**more: "BindParameter[Any]") -> "Select[Any]":
    """One statement, built once: nearly every commit has one."""
    values = {"topic": bindparam("of", type_=Text), "message": bindparam("content", type_=JSONB), **more}
    return select(WAKE).select_from(insert(outbox).values(values).returning(outbox.c.id).cte())


_PUT = _put_and_wake()
_PUT_MANY = select(WAKE).add_cte(
    insert(outbox)
    .from_select(
        ["topic", "message"],
        select(func.unnest(bindparam("of", type_=ARRAY(Text))), func.unnest(bindparam("contents", type_=ARRAY(JSONB)))),
    )
    .returning(outbox.c.id)
    .cte("put")
)
_PUT_LATER = _put_and_wake(not_before=bindparam("due_at", type_=Instant))

_DUE = (
    select(outbox.c.id, outbox.c.topic, outbox.c.message, outbox.c.attempts)
    .where(outbox.c.not_before <= func.clock_timestamp(), any_of(outbox.c.topic, "topics"))
    .order_by(outbox.c.not_before, outbox.c.id)
    .limit(bindparam("most", type_=Integer))
)
_TAKE_DUE = _DUE.with_for_update(skip_locked=True)
_REMOVE = delete(outbox).where(any_of(outbox.c.id, "ids"))
_FREE = select(outbox.c.id).where(any_of(outbox.c.id, "ids")).with_for_update(skip_locked=True)
_REMOVE_FREE = delete(outbox).where(outbox.c.id.in_(_FREE)).returning(outbox.c.id)


async def put(
    connection: "AsyncConnection", topic: Topic, message: dict[str, Any], *, not_before: datetime | None = None
) -> None:
    """Add a message to the caller's transaction; it is sent after the commit, not before `not_before`."""
    values: dict[str, Any] = {"of": topic, "content": message}
    if not_before is None:
        await connection.execute(_PUT, values)
    else:
        await connection.execute(_PUT_LATER, {**values, "due_at": not_before})


async def put_many(connection: "AsyncConnection", messages: list[tuple[Topic, dict[str, Any]]]) -> None:
    """Add many messages that are due at once, in one statement."""
    if messages:
        topics, contents = zip(*messages, strict=True)
        await connection.execute(_PUT_MANY, {"of": list(topics), "contents": list(contents)})


async def tick(connection: "AsyncConnection", kind: TickKind, entity_id: UUID) -> None:
    """Tell, after the commit, that something which streams follow has changed."""
    await put(connection, *a_tick(kind, entity_id))


async def tick_many(connection: "AsyncConnection", kind: TickKind, ids: Iterable[UUID]) -> None:
    """The same for many at once."""
    await put_many(connection, [a_tick(kind, each) for each in ids])


def a_tick(kind: TickKind, entity_id: UUID) -> tuple[Topic, dict[str, Any]]:
    """What tells of something that streams follow."""
    return Topic.TICK, {"kind": kind.value, "id": str(entity_id)}


def ticks_for(kind: TickKind, changed: "ColumnElement[UUID]") -> "ReturningInsert[Any]":
    """A part of another statement: a tick for each of the ids that it has changed."""
    message = func.jsonb_build_object("kind", kind.value, "id", changed)
    ticks = select(literal(Topic.TICK.value, Text), message)
    return insert(outbox).from_select(["topic", "message"], ticks).returning(outbox.c.id)


async def members_changed(connection: "AsyncConnection", tournament_ids: Iterable[TournamentId]) -> None:
    """Have each tournament's board version raised within a second or so, once for all that joined meanwhile.

    Call it last in a transaction. The order of locks is: tournaments, members, leagues, the rows of who plays (by
    tournament, then by member), these messages. Who holds a message waits for nothing but another one; and who raises
    a version and removes its message has the tournament before it, as a league does that takes the tournament up.
    """
    key = outbox.c.debounce_key
    # In one order: concurrent calls wait for each other.
    missing = {f"{_MEMBERS}{tournament_id}": str(tournament_id) for tournament_id in sorted(tournament_ids)}
    while missing:
        # Held until our commit, so that no relay takes a message that was there already before our change can be seen;
        # and before others are added, so that none is taken meanwhile and then added behind its turn.
        held = select(key).where(among(key, list(missing))).order_by(key).with_for_update(read=True, key_share=True)
        there = {row.debounce_key for row in await connection.execute(held)}
        values = [
            {
                "topic": Topic.MEMBERS,
                "message": {"id": tournament_id},
                "debounce_key": name,
                "not_before": func.clock_timestamp() + text("interval '1 second'"),
            }
            for name, tournament_id in missing.items()
            if name not in there
        ]
        if values:
            added = upsert(outbox).values(values).on_conflict_do_nothing().returning(key)
            there |= {row.debounce_key for row in await connection.execute(added)}
        missing = {name: tournament_id for name, tournament_id in missing.items() if name not in there}


def members_are_changing(tournament_id: "ColumnElement[UUID]") -> "ColumnElement[bool]":
    """Whether something of a tournament's members has been changed that no board version tells yet."""
    return exists().where(outbox.c.debounce_key == literal(_MEMBERS) + cast(tournament_id, Text))


async def take_due(connection: "AsyncConnection", topics: tuple[Topic, ...], limit: int) -> list[OutboxMessage]:
    """Lock up to `limit` due messages that no other relay holds; they stay locked until the transaction ends."""
    return await _read(connection, _TAKE_DUE, topics, limit)


async def read_due(connection: "AsyncConnection", topics: tuple[Topic, ...], limit: int) -> list[OutboxMessage]:
    """Up to `limit` due messages, whoever holds them."""
    return await _read(connection, _DUE, topics, limit)


async def _read(
    connection: "AsyncConnection", statement: "Select[Any]", topics: tuple[Topic, ...], limit: int
) -> list[OutboxMessage]:
    rows = await connection.execute(statement, {"topics": list(topics), "most": limit})
    return [OutboxMessage(row.id, Topic(row.topic), row.message, row.attempts) for row in rows]


async def remove(connection: "AsyncConnection", ids: list[int]) -> None:
    if ids:
        await connection.execute(_REMOVE, {"ids": ids})


async def remove_free(connection: "AsyncConnection", message_id: int) -> bool:
    """Remove a message unless it is gone, or somebody holds it; whether it was removed. Waits for nobody."""
    return (await connection.execute(_REMOVE_FREE, {"ids": [message_id]})).one_or_none() is not None


async def postpone(connection: "AsyncConnection", ids: list[int], *, error: str, seconds: float) -> None:
    """Keep messages that could not be sent, to be tried again after `seconds`."""
    due = func.clock_timestamp() + text("make_interval(secs => :seconds)").bindparams(seconds=seconds)
    await connection.execute(
        update(outbox)
        .where(among(outbox.c.id, ids))
        .values(attempts=outbox.c.attempts + 1, last_error=error[:500], not_before=due)
    )
