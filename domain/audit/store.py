"""SQL of the audit log: lines are added and read, nothing else."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, literal, select, tuple_

from domain.audit.model import Act, AuditEntry, AuditFilter
from domain.audit.tables import audit_log
from domain.tables import among

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = tuple(column for column in audit_log.c if column.name != "actor_kind")

_ADD = insert(audit_log).inline()  # built once; its new id is not asked for


async def add(connection: "AsyncConnection", acts: Sequence[Act]) -> None:
    """Add a line each to the log, in the caller's transaction."""
    await connection.execute(_ADD, [_new_row(act) for act in acts])


async def page(
    connection: "AsyncConnection", wanted: AuditFilter, limit: int, after: tuple[datetime, int] | None
) -> list[AuditEntry]:
    """Latest first, starting behind `after`. Instants may be equal, so the id is part of the order."""
    place = tuple_(audit_log.c.at, audit_log.c.id)
    statement = select(*_COLUMNS).where(*_conditions(wanted))
    if after is not None:
        at, entry_id = after
        statement = statement.where(place < tuple_(literal(at, audit_log.c.at.type), literal(entry_id)))
    statement = statement.order_by(audit_log.c.at.desc(), audit_log.c.id.desc()).limit(limit)
    return [_to_entry(row) for row in await connection.execute(statement)]


async def read(connection: "AsyncConnection", ids: Iterable[int]) -> list[AuditEntry]:
    statement = select(*_COLUMNS).where(among(audit_log.c.id, ids))
    return [_to_entry(row) for row in await connection.execute(statement)]


def _new_row(act: Act) -> dict[str, Any]:
    return {
        "actor_id": act.actor_id,
        "actor_kind": _kind(act),
        "action": act.action,
        "subject_kind": act.subject_kind,
        "subject_id": act.subject_id,
        "reason": act.reason,
        "request_id": act.request_id,
        "execution_id": act.execution_id,
        "before": act.before,
        "after": act.after,
    }


def _conditions(wanted: AuditFilter) -> "list[ColumnElement[bool]]":
    columns = audit_log.c
    found = []
    if wanted.actor_id is not None:
        found.append(columns.actor_id == wanted.actor_id)
    if wanted.subject is not None:
        found += [columns.subject_kind == wanted.subject.kind, columns.subject_id == wanted.subject.id]
    if wanted.actions:
        found.append(among(columns.action, wanted.actions))
    if wanted.since is not None:
        found.append(columns.at >= wanted.since)
    if wanted.before is not None:
        found.append(columns.at < wanted.before)
    return found


def _to_entry(row: Any) -> AuditEntry:
    return AuditEntry(**row._mapping)  # noqa: SLF001 -- SQLAlchemy's public name for it


def _kind(act: Act) -> str:
    if act.actor_id is not None:
        return "MEMBER"
    return "SYSTEM" if act.system else "OPERATOR"
