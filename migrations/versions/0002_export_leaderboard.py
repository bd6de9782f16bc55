"""Boards as files: the operation EXPORT_LEADERBOARD.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("schedules", "executions", "dead_letters")
BEFORE = (
    "INGEST_TOURNAMENT",
    "INGEST_ROUNDS",
    "INGEST_TEAMS",
    "INGEST_MATCHES",
    "INGEST_ROUND_MATCHES",
    "INGEST_MATCH",
    "INGEST_STANDINGS",
    "INGEST_KNOCKOUT_ROUNDS",
    "SYNC_CURRENT_ROUND",
    "POLL_OPEN_MATCHES",
    "SETTLE_MATCH",
    "SETTLE_PENDING",
    "REBUILD_PROJECTION",
    "VERIFY_PROJECTION",
    "PRUNE_HISTORY",
    "CORRECT_RESULT",
    "REPLAY_SETTLEMENT",
)
NEW = ("EXPORT_LEADERBOARD",)


def upgrade() -> None:
    """Accept the operation."""
    _allow((*BEFORE, *NEW))


def downgrade() -> None:
    """Executions of the operation go with it, but for those that the audit log, which keeps all, refers to."""
    gone = ", ".join(f"'{operation}'" for operation in NEW)
    op.execute(f"DELETE FROM dead_letters WHERE operation IN ({gone})")  # noqa: S608 -- names of this file
    op.execute(
        f"DELETE FROM executions WHERE operation IN ({gone})"  # noqa: S608
        " AND id NOT IN (SELECT execution_id FROM audit_log WHERE execution_id IS NOT NULL)"
    )
    _allow(BEFORE, "NOT VALID")


def _allow(operations: tuple[str, ...], how: str = "") -> None:
    values = ", ".join(f"'{operation}'" for operation in operations)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_operation")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_operation CHECK (operation IN ({values})) {how}")
