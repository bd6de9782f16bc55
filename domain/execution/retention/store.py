"""SQL of retention: what is past its time, counted, and removed batch by batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, exists, func, not_, or_, select, tuple_

from domain.audit.tables import audit_log
from domain.execution.dead_letter.tables import dead_letters
from domain.execution.exports import ENDING, OPERATIONS
from domain.execution.model import LIVE
from domain.execution.retention.rules import History, Retention
from domain.execution.tables import executions
from domain.ids import ExecutionId
from domain.member.tables import sessions
from domain.outbox.tables import outbox
from domain.schedule.tables import schedule_runs
from domain.settlement.tables import idempotency_keys, settlements
from domain.tables import among

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

_OLD = (executions.c.id, executions.c.fence, executions.c.params[ENDING].astext)
_TABLES: "dict[History, Table]" = {
    History.SCHEDULE_RUNS: schedule_runs,
    History.DEAD_LETTERS: dead_letters,
    History.EXPORTS: executions,
    History.EXECUTIONS: executions,
    History.SESSIONS: sessions,
    History.OUTBOX: outbox,
}


async def count(connection: "AsyncConnection", retention: Retention, keeps: dict[History, timedelta]) -> int:
    """How many rows are past their time. `keeps` are those of every kind, for what refers to an execution."""
    statement = select(func.count()).select_from(_TABLES[retention.history]).where(_is_due(retention.history, keeps))
    number: int = (await connection.execute(statement)).scalar_one()
    return number


async def remove(
    connection: "AsyncConnection", retention: Retention, keeps: dict[History, timedelta], limit: int
) -> int:
    """Remove up to `limit` rows that are past their time and that nobody holds; how many were removed."""
    table = _TABLES[retention.history]
    key = tuple_(*table.primary_key.columns)
    due = (
        select(*table.primary_key.columns)
        .where(_is_due(retention.history, keeps))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await connection.execute(delete(table).where(key.in_(due)))).rowcount


@dataclass(frozen=True, slots=True)
class OldExecution:
    """An execution past its time, whose tries may have left files."""

    id: ExecutionId
    tries: int
    ending: str | None
    """Of the file that it made for a member, if it makes any."""


async def take_executions(
    connection: "AsyncConnection", history: History, keeps: dict[History, timedelta], limit: int
) -> list[OldExecution]:
    """Lock up to `limit` executions that are past their time."""
    statement = (
        select(*_OLD)
        .where(_is_due(history, keeps))
        .order_by(executions.c.queued_at, executions.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [OldExecution(*row) for row in await connection.execute(statement)]


async def kept_exports(connection: "AsyncConnection", keeps: dict[History, timedelta]) -> list[OldExecution]:
    """Executions that stay although their files' time is over."""
    statement = select(*_OLD).where(_is_old_export(keeps), or_(*keepers(keeps)))
    return [OldExecution(*row) for row in await connection.execute(statement)]


async def remove_executions(connection: "AsyncConnection", ids: Sequence[ExecutionId]) -> int:
    """Remove executions with their steps; how many."""
    return (await connection.execute(delete(executions).where(among(executions.c.id, ids)))).rowcount


def _is_due(history: History, keeps: dict[History, timedelta]) -> "ColumnElement[bool]":
    before = func.clock_timestamp() - keeps[history]
    match history:
        case History.SCHEDULE_RUNS:
            return _is_old_run(keeps)
        case History.DEAD_LETTERS:
            return _is_old_letter(keeps)
        case History.EXPORTS:
            return and_(_is_old_export(keeps), *(not_(kept) for kept in keepers(keeps)))
        case History.EXECUTIONS:
            is_old = and_(executions.c.queued_at < before, executions.c.finished_at < before)
            return and_(executions.c.state.not_in(LIVE), is_old, *(not_(kept) for kept in keepers(keeps)))
        case History.SESSIONS:
            return or_(sessions.c.expires_at < before, sessions.c.revoked_at < before)
        case History.OUTBOX:
            return outbox.c.not_before < before


def _is_old_export(keeps: dict[History, timedelta]) -> "ColumnElement[bool]":
    is_old = executions.c.finished_at < func.clock_timestamp() - keeps[History.EXPORTS]
    return and_(executions.c.operation.in_(OPERATIONS), executions.c.state.not_in(LIVE), is_old)


def _is_old_run(keeps: dict[History, timedelta]) -> "ColumnElement[bool]":
    later = schedule_runs.alias()
    has_later = exists().where(later.c.schedule_id == schedule_runs.c.schedule_id, later.c.slot > schedule_runs.c.slot)
    return and_(schedule_runs.c.at < func.clock_timestamp() - keeps[History.SCHEDULE_RUNS], has_later)


def _is_old_letter(keeps: dict[History, timedelta]) -> "ColumnElement[bool]":
    # NULL, and so not old, while unresolved.
    return func.coalesce(dead_letters.c.resolved_at < func.clock_timestamp() - keeps[History.DEAD_LETTERS], False)


def keepers(keeps: dict[History, timedelta]) -> "list[ColumnElement[bool]]":
    """Whether anything that stays refers to an execution; each table with a foreign key to it is here."""
    retry = executions.alias()
    columns = (
        audit_log.c.execution_id,
        settlements.c.execution_id,
        idempotency_keys.c.execution_id,
        retry.c.retry_of,
    )
    plain = [exists().where(column == executions.c.id) for column in columns]
    run = exists().where(schedule_runs.c.execution_id == executions.c.id, not_(_is_old_run(keeps)))
    letter = exists().where(dead_letters.c.execution_id == executions.c.id, not_(_is_old_letter(keeps)))
    return [*plain, run, letter]
