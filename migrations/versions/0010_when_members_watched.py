"""Leagues remember when members only watched, so that earlier boards rank who played then. Today's VIEWERs always did.

Revision ID: 0010
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NOTE = """
CREATE FUNCTION note_watching() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := CASE TG_OP WHEN 'INSERT' THEN NEW.joined_at ELSE clock_timestamp() END;
BEGIN
    IF NEW.role = 'VIEWER' AND (TG_OP = 'INSERT' OR OLD.role <> 'VIEWER') THEN
        NEW.watched := NEW.watched + tstzmultirange(tstzrange(moment, NULL));
    ELSIF NEW.role <> 'VIEWER' THEN
        NEW.watched := NEW.watched * tstzmultirange(tstzrange(NULL, moment));
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Writes the rows of VIEWERs."""
    op.execute("ALTER TABLE league_members ADD COLUMN watched tstzmultirange NOT NULL DEFAULT '{}'")
    op.execute("UPDATE league_members SET watched = tstzmultirange(tstzrange(joined_at, NULL)) WHERE role = 'VIEWER'")
    op.execute(_NOTE)
    op.execute(
        "CREATE TRIGGER note_watching BEFORE INSERT OR UPDATE OF role ON league_members FOR EACH ROW "
        "EXECUTE FUNCTION note_watching()"
    )


def downgrade() -> None:
    """Earlier boards rank by today's roles again."""
    op.execute("DROP TRIGGER note_watching ON league_members")
    op.execute("DROP FUNCTION note_watching()")
    op.execute("ALTER TABLE league_members DROP COLUMN watched")
