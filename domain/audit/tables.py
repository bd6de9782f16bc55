"""Table of the audit log: append-only by a trigger."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Identity, Index, Table
from sqlalchemy.dialects.postgresql import JSONB

from domain.tables import Uuid, created_at, metadata, text

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    created_at("at"),
    Column("actor_id", Uuid, ForeignKey("members.id")),
    text("actor_kind"),
    text("action"),
    text("subject_kind", nullable=True),
    Column("subject_id", Uuid),
    text("reason", nullable=True),
    text("request_id"),
    Column("execution_id", Uuid, ForeignKey("executions.id")),
    Column("before", JSONB),
    Column("after", JSONB),
    CheckConstraint("actor_kind IN ('MEMBER', 'SYSTEM', 'OPERATOR')", name="actor_kind"),
)
Index("ix_audit_log_at", audit_log.c.at.desc(), audit_log.c.id.desc())
# One for each filter that may find few among many.
_LATEST_FIRST = (audit_log.c.at.desc(), audit_log.c.id.desc())
Index("ix_audit_log_actor", audit_log.c.actor_id, *_LATEST_FIRST)
Index("ix_audit_log_subject", audit_log.c.subject_id, *_LATEST_FIRST)
Index("ix_audit_log_action", audit_log.c.action, *_LATEST_FIRST)
Index("ix_audit_log_execution", audit_log.c.execution_id, postgresql_where=audit_log.c.execution_id.is_not(None))
