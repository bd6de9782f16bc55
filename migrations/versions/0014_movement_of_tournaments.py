"""Tournaments remember what movement compares with, so that rounds keep when they first began.

Revision ID: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Movement compares with what it did: the beginning of the current round."""
    op.add_column("tournaments", sa.Column("movement_version", sa.BigInteger(), nullable=True))
    op.add_column("tournaments", sa.Column("movement_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE tournaments SET movement_version = rounds.baseline_version, movement_at = rounds.baseline_at"
        " FROM rounds WHERE rounds.id = tournaments.current_round_id AND rounds.baseline_version IS NOT NULL"
    )
    op.create_check_constraint(
        op.f("ck_tournaments_movement"), "tournaments", "(movement_version IS NULL) = (movement_at IS NULL)"
    )


def downgrade() -> None:
    """Movement compares with the first beginning of the current round again."""
    op.drop_constraint(op.f("ck_tournaments_movement"), "tournaments", type_="check")
    op.drop_column("tournaments", "movement_at")
    op.drop_column("tournaments", "movement_version")
