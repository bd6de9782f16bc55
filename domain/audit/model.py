"""The audit log: one act, and who did it. Append-only in the database itself."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.ids import ExecutionId, MemberId


@dataclass(frozen=True, slots=True)
class Act:
    """An act to record. `action` is the name of the mutation or of the system's act."""

    action: str
    actor_id: MemberId | None
    request_id: str
    subject_kind: str | None = None
    subject_id: UUID | None = None
    reason: str | None = None
    execution_id: ExecutionId | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    system: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An act as it was recorded."""

    id: int
    at: datetime
    actor_id: MemberId | None
    action: str
    subject_kind: str | None
    subject_id: UUID | None
    reason: str | None
    request_id: str
    execution_id: ExecutionId | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What an act was done to; `kind` as in `Act.subject_kind`."""

    kind: str
    id: UUID


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; an empty tuple and None mean all. `before` is exclusive."""

    actor_id: MemberId | None = None
    subject: Subject | None = None
    actions: tuple[str, ...] = ()
    since: datetime | None = None
    before: datetime | None = None
