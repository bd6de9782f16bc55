"""Table of results that providers tell and that are not believed yet."""

from sqlalchemy import Column, ForeignKey, Table

from domain.tables import Instant, Uuid, metadata, text

# Not in `matches`: reading the same once more changes nothing that people see.
held_readings = Table(
    "held_readings",
    metadata,
    Column("match_id", Uuid, ForeignKey("matches.id"), primary_key=True),
    text("content"),
    Column("first_read_at", Instant, nullable=False),
)
