"""Links of leagues remember when a tournament was given up in between, so that earlier totals leave it out then.

Revision ID: 0011
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Gaps of before count as if there had been none."""
    op.execute("ALTER TABLE league_tournaments ADD COLUMN gaps tstzmultirange NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    """Earlier totals forget the gaps."""
    op.execute("ALTER TABLE league_tournaments DROP COLUMN gaps")
