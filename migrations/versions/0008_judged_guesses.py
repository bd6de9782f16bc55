"""Guesses as settlements judged them, of matches whose guesses have changed since.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What changed before this is not known any more: those boards of then stay as the present guesses have them."""
    op.add_column(
        "settlements", sa.Column("keeps_guesses", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_table(
        "judged_guesses",
        sa.Column("settlement_id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("home", sa.SmallInteger(), nullable=False),
        sa.Column("away", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["settlement_id"], ["settlements.id"], name=op.f("fk_judged_guesses_settlement_id")),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_judged_guesses_member_id")),
        sa.PrimaryKeyConstraint("settlement_id", "member_id", name=op.f("pk_judged_guesses")),
    )


def downgrade() -> None:
    """Boards of then go by the present guesses again."""
    op.drop_table("judged_guesses")
    op.drop_column("settlements", "keeps_guesses")
