"""The audit log: one act, and who did it. Append-only in the database itself."""

from dataclasses import dataclass, field
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
