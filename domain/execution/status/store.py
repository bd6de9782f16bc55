"""SQL of the state of operations: the one place that counts queues, for the API and for metrics alike."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, and_, cast, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from domain.execution.dead_letter.tables import dead_letters
from domain.execution.model import LIVE, ExecutionState, Operation
from domain.execution.status.model import Process, ProcessKind, QueueStatus, RecentlyEnded
from domain.execution.status.tables import processes
from domain.execution.tables import executions
from domain.match.model import MatchStatus, ResultState
from domain.match.tables import match_results, matches
from domain.outbox.tables import outbox
from domain.settlement.tables import settlements
from domain.tournament.model import TournamentStatus
from domain.tournament.tables import tournaments

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, ScalarSelect
    from sqlalchemy.ext.asyncio import AsyncConnection

HEARD_WITHIN = timedelta(minutes=1)
FORGOTTEN_AFTER = timedelta(hours=1)
RECENT = timedelta(hours=1)
# Nobody tells when a match without a score ended: from then on it is late.
_PLAYED_WITHIN = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of the platform as a whole; the fields are those of `OperationsStatus`."""

    at: datetime
    outbox_backlog: int
    scheduler_seen_at: datetime | None
    workers: int
    settlement_lag_seconds: int | None


async def queues(connection: "AsyncConnection") -> dict[Operation, QueueStatus]:
    """The operations that have live executions; their dead letters are not counted here."""
    now, due_at = func.statement_timestamp(), executions.c.not_before
    is_queued = executions.c.state == ExecutionState.QUEUED
    is_due = and_(is_queued, due_at <= now)
    statement = (
        select(
            executions.c.operation,
            func.count().filter(is_due).label("queued"),
            func.count().filter(and_(is_queued, due_at > now)).label("waiting"),
            func.count().filter(executions.c.state == ExecutionState.IN_PROGRESS).label("in_progress"),
            _seconds(now - func.min(due_at).filter(is_due)).label("oldest_seconds"),
        )
        .where(executions.c.state.in_(LIVE))
        .group_by(executions.c.operation)
    )
    rows = await connection.execute(statement)
    return {
        Operation(row.operation): QueueStatus(
            Operation(row.operation), row.queued, row.waiting, row.in_progress, row.oldest_seconds
        )
        for row in rows
    }


async def open_dead_letters(connection: "AsyncConnection") -> dict[Operation, int]:
    statement = (
        select(dead_letters.c.operation, func.count().label("number"))
        .where(dead_letters.c.resolution.is_(None))
        .group_by(dead_letters.c.operation)
    )
    return {Operation(row.operation): row.number for row in await connection.execute(statement)}


async def figures(connection: "AsyncConnection") -> Figures:
    """What is known of the platform as a whole, in one statement."""
    now = func.statement_timestamp()
    statement = select(
        now.label("at"),
        select(func.count()).select_from(outbox).where(outbox.c.not_before <= now).scalar_subquery(),
        select(func.max(processes.c.seen_at)).where(processes.c.kind == ProcessKind.SCHEDULER).scalar_subquery(),
        select(func.count())
        .where(processes.c.kind == ProcessKind.WORKER, processes.c.seen_at > now - HEARD_WITHIN)
        .scalar_subquery(),
        _seconds(now - _oldest_unsettled()),
    )
    return Figures(*(await connection.execute(statement)).one())


async def recently_ended(connection: "AsyncConnection") -> list[RecentlyEnded]:
    """What ended within the last hour, by operation and state."""
    statement = (
        select(
            executions.c.operation,
            executions.c.state,
            func.count().label("number"),
            func.sum(func.greatest(executions.c.attempt - 1, 0)).label("retries"),
        )
        .where(executions.c.finished_at > func.statement_timestamp() - RECENT)
        .group_by(executions.c.operation, executions.c.state)
    )
    return [
        RecentlyEnded(Operation(row.operation), ExecutionState(row.state), row.number, int(row.retries))
        for row in await connection.execute(statement)
    ]


async def beat(connection: "AsyncConnection", process: Process) -> None:
    """Note that a process is alive."""
    now = func.clock_timestamp()
    values = {"name": process.name, "kind": process.kind, "seen_at": now}
    await connection.execute(
        insert(processes).values(values).on_conflict_do_update(index_elements=["name"], set_={"seen_at": now})
    )


async def forget(connection: "AsyncConnection", process: Process) -> None:
    """Take a process off the list."""
    await connection.execute(delete(processes).where(processes.c.name == process.name))


async def forget_silent(connection: "AsyncConnection") -> None:
    """Take processes off the list that were long silent; the latest scheduler stays, as the answer to `since when`."""
    later = processes.alias()
    was_followed = (
        select(later.c.name)
        .where(later.c.kind == processes.c.kind, later.c.seen_at > processes.c.seen_at)
        .correlate(processes)
        .exists()
    )
    statement = delete(processes).where(
        processes.c.seen_at < func.clock_timestamp() - FORGOTTEN_AFTER,
        or_(processes.c.kind != ProcessKind.SCHEDULER, was_followed),
    )
    await connection.execute(statement)


def _oldest_unsettled() -> "ScalarSelect[Any]":
    """Since when the oldest result waits: since it was accepted, or since the match must have ended without a score."""
    ended_at = func.least(matches.c.kick_off + _PLAYED_WITHIN, func.statement_timestamp())
    since = func.coalesce(match_results.c.accepted_at, ended_at)
    is_pending = and_(
        matches.c.result_state.in_([ResultState.FINAL, ResultState.VOID]),
        matches.c.result_revision > func.coalesce(settlements.c.revision, 0),
    )
    is_held = and_(matches.c.result_state == ResultState.AWAITING_CONFIRMATION, matches.c.status == MatchStatus.ENDED)
    newest = and_(match_results.c.match_id == matches.c.id, match_results.c.revision == matches.c.result_revision)
    active = and_(settlements.c.match_id == matches.c.id, settlements.c.superseded_version.is_(None))
    return (
        select(func.min(since))
        .select_from(matches)
        .join(tournaments, tournaments.c.id == matches.c.tournament_id)
        .outerjoin(settlements, active)
        .outerjoin(match_results, newest)
        .where(or_(is_pending, is_held), tournaments.c.status != TournamentStatus.CANCELLED)
        .scalar_subquery()
    )


def _seconds(age: "ColumnElement[Any]") -> "ColumnElement[int]":
    """Whole seconds of an interval. Cut towards zero: what was committed since the statement began is not yet old."""
    return cast(func.trunc(func.extract("epoch", age)), Integer)
