"""An erased account keeps no name of its own.

Revision ID: 0012
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ERASED = "erased_at IS NULL OR (email IS NULL AND password_hash IS NULL"


def upgrade() -> None:
    """Writes the rows of accounts that have been erased."""
    op.execute("UPDATE members SET nick_name = 'Former member' WHERE erased_at IS NOT NULL")
    _replace(f"{_ERASED} AND nick_name = 'Former member')")


def downgrade() -> None:
    """Names that are gone stay gone."""
    _replace(f"{_ERASED})")


def _replace(condition: str) -> None:
    op.execute(
        f"ALTER TABLE members DROP CONSTRAINT ck_members_erased, ADD CONSTRAINT ck_members_erased CHECK ({condition})"
    )
