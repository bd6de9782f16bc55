"""Accounts are deleted: the operation ERASE_MEMBER, versions that a removal makes, and guesses that go for good.

Revision ID: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

OPERATIONS = (
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
    "EXPORT_LEADERBOARD",
)
KINDS = ("SETTLED", "CORRECTED", "VOIDED", "ROUND_MOVED", "REPLAYED")
# Append-only but for who has deleted the account.
KEEP_REVISIONS = """
CREATE FUNCTION keep_revisions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM members WHERE id = OLD.member_id AND erased_at IS NOT NULL) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME;
END $$
"""


def upgrade() -> None:
    """Accept what erases members."""
    for table in ("schedules", "executions", "dead_letters"):
        _allow(table, "operation", (*OPERATIONS, "ERASE_MEMBER"))
    _allow("score_versions", "kind", (*KINDS, "MEMBER_REMOVED"))
    op.add_column("tournaments", sa.Column("removals", sa.BigInteger(), server_default="0", nullable=False))
    op.execute(KEEP_REVISIONS)
    _guard_revisions("keep_revisions")


def downgrade() -> None:
    """Executions of the operation go with it; versions that a removal has made stay, or versions would have gaps."""
    _guard_revisions("refuse_change")
    op.execute("DROP FUNCTION keep_revisions")
    op.drop_column("tournaments", "removals")
    _allow("score_versions", "kind", KINDS, "NOT VALID")
    op.execute("DELETE FROM dead_letters WHERE operation = 'ERASE_MEMBER'")
    op.execute(
        "DELETE FROM executions WHERE operation = 'ERASE_MEMBER'"
        " AND id NOT IN (SELECT execution_id FROM audit_log WHERE execution_id IS NOT NULL)"
    )
    for table in ("schedules", "executions", "dead_letters"):
        _allow(table, "operation", OPERATIONS, "NOT VALID")


def _allow(table: str, column: str, names: tuple[str, ...], how: str = "") -> None:
    values = ", ".join(f"'{name}'" for name in names)
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{column}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{column} CHECK ({column} IN ({values})) {how}")


def _guard_revisions(function: str) -> None:
    op.execute("DROP TRIGGER refuse_change ON guess_revisions")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON guess_revisions"
        f" FOR EACH ROW EXECUTE FUNCTION {function}()"
    )
