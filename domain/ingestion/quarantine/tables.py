"""Table of records that were set aside: none of our matches is surely meant by them."""

from sqlalchemy import Column, ForeignKey, Table

from domain.tables import Uuid, created_at, metadata, text

quarantined_records = Table(
    "quarantined_records",
    metadata,
    Column("tournament_id", Uuid, ForeignKey("tournaments.id"), primary_key=True),
    Column("external_id", text("external_id").type, primary_key=True),
    text("reason"),
    created_at("found_at"),
)
