"""Tables of executions, their steps, and the outbox."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
)
from sqlalchemy import (
    text as sql,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.execution.model import ExecutionErrorCode, ExecutionState, ExecutionTrigger, Operation
from domain.tables import Instant, Uuid, created_at, metadata, one_of, text

COUNTS = ("created", "updated", "unchanged", "failed")


def _counts() -> list["Column[int]"]:
    return [Column("total", Integer), *(Column(name, Integer, nullable=False, server_default="0") for name in COUNTS)]


executions = Table(
    "executions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False, server_default="1"),
    text("operation"),
    Column("tournament_id", Uuid, ForeignKey("tournaments.id")),
    Column("round_id", Uuid, ForeignKey("rounds.id")),
    Column("match_id", Uuid, ForeignKey("matches.id")),
    Column("params", JSONB, nullable=False),
    text("operation_key"),
    text("state"),
    Column("dry_run", Boolean, nullable=False, server_default="false"),
    text("trigger"),
    Column("schedule_id", Uuid, ForeignKey("schedules.id")),
    Column("actor_id", Uuid, ForeignKey("members.id")),
    text("reason", nullable=True),
    text("request_id"),
    Column("retry_of", Uuid, ForeignKey("executions.id")),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False),
    # Tries that ended with the loss of their worker.
    Column("losses", Integer, nullable=False, server_default="0"),
    Column("not_before", Instant, nullable=False),
    text("lease_owner", nullable=True),
    Column("lease_until", Instant),
    # The job that brought the present try, or the last one, to its worker.
    Column("job_id", Uuid),
    # Rises with every claim; each write of a worker names the one it was given, so a lost worker cannot write.
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("cancel_requested_at", Instant),
    text("error_code", nullable=True),
    text("error_message", nullable=True),
    *_counts(),
    text("report_key", nullable=True),
    # What a correction or replay would change, or has changed, in scores; its digest is what an apply must name.
    Column("effect", JSONB(none_as_null=True)),
    # When a job message for it was last put into the outbox: the sweeper sends another when that one got lost.
    created_at("enqueued_at"),
    created_at("queued_at"),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    one_of("operation", Operation),
    one_of("state", ExecutionState),
    one_of("trigger", ExecutionTrigger),
    one_of("error_code", ExecutionErrorCode),
    CheckConstraint("(state = 'IN_PROGRESS') = (lease_until IS NOT NULL)", name="lease"),
    CheckConstraint("(state IN ('COMPLETED', 'FAILED', 'CANCELLED')) = (finished_at IS NOT NULL)", name="finished"),
    CheckConstraint("state <> 'FAILED' OR error_code IS NOT NULL", name="error"),
    CheckConstraint("attempt BETWEEN 0 AND max_attempts", name="attempt"),
    CheckConstraint("state <> 'QUEUED' OR cancel_requested_at IS NULL", name="cancel"),
)
# At most one live execution a command. What the system starts is equal only to one that no worker has had, so
# that a change accepted while its predecessor runs, or waits for a retry, is not missed (contract, Commands).
Index(
    "uq_executions_live_key",
    executions.c.operation_key,
    unique=True,
    postgresql_where=sql("trigger <> 'SYSTEM' AND state IN ('QUEUED', 'IN_PROGRESS')"),
)
Index(
    "uq_executions_system_key",
    executions.c.operation_key,
    unique=True,
    postgresql_where=sql("trigger = 'SYSTEM' AND state = 'QUEUED' AND fence = 0"),
)
Index("ix_executions_queued_at", executions.c.queued_at.desc(), executions.c.id)
Index("ix_executions_finished_at", executions.c.finished_at, postgresql_where=executions.c.finished_at.is_not(None))
Index("ix_executions_tournament", executions.c.tournament_id, executions.c.queued_at.desc())
Index("ix_executions_retry_of", executions.c.retry_of, postgresql_where=executions.c.retry_of.is_not(None))
Index(
    "ix_executions_live",
    executions.c.state,
    executions.c.not_before,
    postgresql_where=sql("state IN ('QUEUED', 'IN_PROGRESS')"),
)

execution_steps = Table(
    "execution_steps",
    metadata,
    Column("execution_id", Uuid, ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    text("name"),
    text("state"),
    *_counts(),
    text("note", nullable=True),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    one_of("state", ExecutionState),
)
