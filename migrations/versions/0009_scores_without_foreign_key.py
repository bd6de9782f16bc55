"""Scores of members refer to nothing: the foreign key was looked at again for each row that a settlement writes.

Revision ID: 0009
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NAME = "fk_member_scores_member"


def upgrade() -> None:
    """Only the definition of the table changes."""
    op.drop_constraint(_NAME, "member_scores", type_="foreignkey")


def downgrade() -> None:
    """Reads all scores once."""
    key = ["tournament_id", "member_id"]
    op.create_foreign_key(_NAME, "member_scores", "tournament_members", key, key)
