"""Table of results that wait: what a provider says of a match whose result an admin has set."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, Table

from domain.match.model import ResultKind
from domain.match.tables import RESULT_PARTS, part_checks, part_columns
from domain.tables import Instant, Uuid, created_at, metadata, one_of, text

# Not in `match_results`, whose rows are revisions and never change: a result gets its number when it is accepted.
pending_results = Table(
    "pending_results",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("match_id", Uuid, ForeignKey("matches.id"), nullable=False),
    text("kind"),
    *part_columns(RESULT_PARTS),
    created_at("found_at"),
    Column("accepted_at", Instant),
    Column("accepted_revision", Integer),
    # By an admin, or by nobody: then the provider itself no longer says it.
    Column("dismissed_at", Instant),
    Column("dismissed_by", Uuid, ForeignKey("members.id")),
    ForeignKeyConstraint(
        ["match_id", "accepted_revision"],
        ["match_results.match_id", "match_results.revision"],
        name="fk_pending_results_accepted",
    ),
    CheckConstraint("accepted_at IS NULL OR dismissed_at IS NULL", name="one_end"),
    CheckConstraint("(accepted_at IS NULL) = (accepted_revision IS NULL)", name="numbered"),
    CheckConstraint("dismissed_by IS NULL OR dismissed_at IS NOT NULL", name="dismissed"),
    *part_checks(RESULT_PARTS),
    one_of("kind", ResultKind),
)
IS_OPEN = pending_results.c.accepted_at.is_(None) & pending_results.c.dismissed_at.is_(None)
Index("uq_pending_results_open", pending_results.c.match_id, unique=True, postgresql_where=IS_OPEN)
Index("ix_pending_results_match", pending_results.c.match_id, pending_results.c.found_at)
