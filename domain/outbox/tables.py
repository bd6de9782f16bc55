"""Table of the outbox."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, Table
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB

from domain.outbox.model import Topic
from domain.tables import Instant, created_at, metadata, one_of, text

# Messages committed with the data that they speak of; a relay sends and removes them. Consumers need no order.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    text("topic"),
    Column("message", JSONB, nullable=False),
    text("debounce_key", nullable=True),
    Column("not_before", Instant, nullable=False, server_default=sql("clock_timestamp()")),
    Column("attempts", Integer, nullable=False, server_default="0"),
    created_at(),
    text("last_error", nullable=True),
    one_of("topic", Topic),
)
Index("ix_outbox_due", outbox.c.not_before, outbox.c.id)
Index("uq_outbox_debounce", outbox.c.debounce_key, unique=True, postgresql_where=outbox.c.debounce_key.is_not(None))
