"""Half of each page of members' scores stays free: a settlement may change every row of it in place.

Revision ID: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PARTITIONS = 8


def upgrade() -> None:
    """Pages that are full already get room when the table is next rewritten."""
    _fill(50)


def downgrade() -> None:
    """As it was."""
    _fill(70)


def _fill(percent: int) -> None:
    for part in range(PARTITIONS):
        op.execute(f"ALTER TABLE member_scores_p{part} SET (fillfactor = {percent})")
