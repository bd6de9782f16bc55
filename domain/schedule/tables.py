"""Tables of schedules and their slots."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table
from sqlalchemy.dialects.postgresql import JSONB

from domain.execution.model import Operation
from domain.schedule.model import ScheduleRunOutcome, ScheduleStatus
from domain.tables import Instant, Uuid, created_at, metadata, one_of, text

schedules = Table(
    "schedules",
    metadata,
    Column("id", Uuid, primary_key=True),
    text("name", unique=True),
    text("operation"),
    Column("tournament_id", Uuid, ForeignKey("tournaments.id")),
    Column("round_id", Uuid, ForeignKey("rounds.id")),
    Column("match_id", Uuid, ForeignKey("matches.id")),
    Column("params", JSONB, nullable=False),
    text("cron", nullable=True),
    Column("run_at", Instant),
    text("time_zone", server_default="UTC"),
    text("status"),
    Column("next_slot", Instant),
    created_at(),
    one_of("operation", Operation),
    one_of("status", ScheduleStatus),
    CheckConstraint("(cron IS NULL) <> (run_at IS NULL)", name="kind"),
    CheckConstraint("(status = 'ACTIVE') = (next_slot IS NOT NULL)", name="next_slot"),
)
Index("ix_schedules_due", schedules.c.next_slot, postgresql_where=schedules.c.next_slot.is_not(None))

schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("schedule_id", Uuid, ForeignKey("schedules.id"), primary_key=True),
    Column("slot", Instant, primary_key=True),
    text("outcome"),
    Column("missed_slots", Integer, nullable=False, server_default="0"),
    Column("execution_id", Uuid, ForeignKey("executions.id")),
    created_at("at"),
    one_of("outcome", ScheduleRunOutcome),
)
Index(
    "ix_schedule_runs_execution",
    schedule_runs.c.execution_id,
    postgresql_where=schedule_runs.c.execution_id.is_not(None),
)
