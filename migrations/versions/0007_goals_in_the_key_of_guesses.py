"""The key of guesses holds their goals: a settlement reads the guesses of a match from it, without the table.

Revision ID: 0007
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEY = "PRIMARY KEY (tournament_id, match_id, member_id)"


def upgrade() -> None:
    """Builds the key anew: some seconds for millions of guesses, in which none is saved."""
    op.execute(f"ALTER TABLE guesses DROP CONSTRAINT pk_guesses, ADD CONSTRAINT pk_guesses {_KEY} INCLUDE (home, away)")


def downgrade() -> None:
    op.execute(f"ALTER TABLE guesses DROP CONSTRAINT pk_guesses, ADD CONSTRAINT pk_guesses {_KEY}")
