"""Table of dead letters."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from domain.execution.dead_letter.model import DeadLetterResolution
from domain.execution.model import ExecutionErrorCode, Operation
from domain.tables import Instant, Uuid, created_at, metadata, one_of, text

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("execution_id", Uuid, ForeignKey("executions.id"), nullable=False),
    text("operation"),
    Column("message", JSONB, nullable=False),
    Column("attempts", Integer, nullable=False),
    text("error_code"),
    text("error_message"),
    text("trace", nullable=True),
    created_at("died_at"),
    text("resolution", nullable=True),
    # An operator at the command line has no account: then it is null, and the audit log says OPERATOR.
    Column("resolved_by", Uuid, ForeignKey("members.id")),
    Column("resolved_at", Instant),
    text("reason", nullable=True),
    UniqueConstraint("execution_id"),
    one_of("operation", Operation),
    one_of("error_code", ExecutionErrorCode),
    one_of("resolution", DeadLetterResolution),
    CheckConstraint(
        "(resolution IS NULL) = (resolved_at IS NULL) AND (resolution IS NULL) = (reason IS NULL)"
        " AND (resolution IS NOT NULL OR resolved_by IS NULL)",
        name="resolved",
    ),
)
Index("ix_dead_letters_died_at", dead_letters.c.died_at.desc(), dead_letters.c.id)
Index(
    "ix_dead_letters_open",
    dead_letters.c.died_at.desc(),
    dead_letters.c.id,
    postgresql_where=dead_letters.c.resolution.is_(None),
)
