"""The founder of a league is one of its admins, so a league never lacks one.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TRIGGERS = (
    """
-- Looked at when the transaction ends: a league may be handed on in any order of statements.
CREATE FUNCTION keep_founder() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed uuid := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END ->> TG_ARGV[0];
BEGIN
    IF EXISTS (
        SELECT 1 FROM leagues l WHERE l.id = changed AND l.deleted_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM league_members m
            WHERE m.league_id = l.id AND m.member_id = l.founder_id AND m.left_at IS NULL AND m.role = 'ADMIN'
        )
    ) THEN
        RAISE EXCEPTION 'the founder of league % must be one of its admins', changed;
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE CONSTRAINT TRIGGER keep_founder AFTER UPDATE OR DELETE ON league_members DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION keep_founder('league_id')
""",
    """
CREATE CONSTRAINT TRIGGER keep_founder AFTER UPDATE OF founder_id, deleted_at ON leagues
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keep_founder('id')
""",
)


def upgrade() -> None:
    """Refuse to let a founder go or be demoted."""
    for trigger in TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    """Leave it to the code."""
    op.execute("DROP FUNCTION keep_founder CASCADE")
