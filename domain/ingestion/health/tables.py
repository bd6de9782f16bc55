"""Table of problems that an admin has dismissed. Problems themselves are no rows: they are what the data show."""

from sqlalchemy import Column, ForeignKey, Table

from domain.tables import Uuid, created_at, metadata, text

dismissed_problems = Table(
    "dismissed_problems",
    metadata,
    Column("tournament_id", Uuid, ForeignKey("tournaments.id"), primary_key=True),
    # What the problem was and how it showed: the same again stays dismissed, anything else is another problem.
    Column("problem", text("problem").type, primary_key=True),
    created_at("dismissed_at"),
    Column("dismissed_by", Uuid, ForeignKey("members.id")),
)
