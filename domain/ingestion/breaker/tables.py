"""Table of the providers' circuit breakers; a provider that was never asked has no row."""

from sqlalchemy import CheckConstraint, Column, Integer, Table

from domain.execution.model import ExecutionErrorCode
from domain.ingestion.breaker.model import BreakerState
from domain.tables import Instant, metadata, one_of, text
from domain.tournament.model import Provider

provider_states = Table(
    "provider_states",
    metadata,
    Column("provider", text("provider").type, primary_key=True),
    text("breaker", server_default=BreakerState.CLOSED),
    text("reason", nullable=True),
    Column("retry_at", Instant),
    Column("last_good_at", Instant),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("openings", Integer, nullable=False, server_default="0"),
    one_of("provider", Provider),
    one_of("breaker", BreakerState),
    one_of("reason", ExecutionErrorCode),
    CheckConstraint("(breaker = 'CLOSED') = (retry_at IS NULL)", name="retry_at"),
    CheckConstraint("(breaker = 'CLOSED') = (reason IS NULL)", name="open_reason"),
)
