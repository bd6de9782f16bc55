"""Records of providers that were set aside, and problems of data that were dismissed.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Both are empty at first: the next whole reading of a tournament tells what is set aside."""
    op.create_table(
        "quarantined_records",
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _now("found_at"),
        sa.ForeignKeyConstraint(
            ["tournament_id"], ["tournaments.id"], name=op.f("fk_quarantined_records_tournament_id")
        ),
        sa.PrimaryKeyConstraint("tournament_id", "external_id", name=op.f("pk_quarantined_records")),
    )
    op.create_table(
        "dismissed_problems",
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        _now("dismissed_at"),
        sa.Column("dismissed_by", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(["dismissed_by"], ["members.id"], name=op.f("fk_dismissed_problems_dismissed_by")),
        sa.ForeignKeyConstraint(
            ["tournament_id"], ["tournaments.id"], name=op.f("fk_dismissed_problems_tournament_id")
        ),
        sa.PrimaryKeyConstraint("tournament_id", "problem", name=op.f("pk_dismissed_problems")),
    )


def downgrade() -> None:
    """What was dismissed is told again."""
    op.drop_table("dismissed_problems")
    op.drop_table("quarantined_records")


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False)
