"""The installation knows its database, so that a restore is noticed.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Null until a worker has looked."""
    op.add_column("installation", sa.Column("identity", sa.Text(), nullable=True))


def downgrade() -> None:
    """The epoch stays."""
    op.drop_column("installation", "identity")
