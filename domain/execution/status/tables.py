"""Table of the processes that are heard of."""

from sqlalchemy import Column, Index, Table

from domain.execution.status.model import ProcessKind
from domain.tables import created_at, metadata, one_of, text

processes = Table(
    "processes",
    metadata,
    Column("name", text("name").type, primary_key=True),
    text("kind"),
    created_at("seen_at"),
    one_of("kind", ProcessKind),
)
Index("ix_processes_seen_at", processes.c.kind, processes.c.seen_at)
