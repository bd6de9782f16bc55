"""The first tables: members, football, play, leagues, control plane.

Revision ID: 0001
"""

import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PARTITIONS = 8
# Settlements change a third of the rows of a page in place: leave them room.
PARTITIONED = {"guesses": "", "guess_revisions": "", "member_scores": " WITH (fillfactor = 70)"}
APPEND_ONLY = ("audit_log", "guess_revisions", "match_results", "rulesets")
PRESETS = (  # code, label, then points for outcome, goal difference, home goals, away goals, exact
    ("default", "Outcome", 3, 0, 0, 0, 0),
    ("kicktipp", "2 / 3 / 4", 2, 1, 0, 0, 1),
    ("exact-bonus", "Outcome and exact bonus", 3, 0, 0, 0, 2),
)

STATEMENTS = (
    """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME;
END $$
""",
    """
-- A lock that has passed never moves but to an earlier kick-off: guesses were visible from then on.
CREATE FUNCTION keep_passed_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.lock_at <= clock_timestamp() AND (NEW.lock_at IS NULL OR NEW.lock_at > OLD.lock_at) THEN
        RAISE EXCEPTION 'the lock of match % has passed and cannot move', OLD.id;
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER keep_passed_lock BEFORE UPDATE OF lock_at ON matches FOR EACH ROW EXECUTE FUNCTION keep_passed_lock()
""",
    """
-- Second fence behind the condition in the statement that saves a guess: no writer gets past the lock.
CREATE FUNCTION refuse_late_guess() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM matches WHERE id = NEW.match_id AND lock_at <= NEW.saved_at) THEN
        RAISE EXCEPTION 'the lock of match % has passed', NEW.match_id;
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER refuse_late_guess BEFORE INSERT OR UPDATE ON guesses FOR EACH ROW EXECUTE FUNCTION refuse_late_guess()
""",
    """
-- Under which ruleset a tournament is played stands from the first lock on; a league that begins to play it later
-- takes the tournament's own.
CREATE FUNCTION keep_frozen_ruleset() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    played uuid := to_jsonb(NEW) ->> TG_ARGV[0];
BEGIN
    IF TG_OP = 'INSERT' AND NEW.ruleset_id = (SELECT ruleset_id FROM tournaments WHERE id = played) THEN
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT 1 FROM matches WHERE tournament_id = played AND lock_at <= clock_timestamp()) THEN
        RAISE EXCEPTION 'a match of tournament % has locked: its ruleset is frozen', played;
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER keep_frozen_ruleset BEFORE UPDATE OF ruleset_id ON tournaments FOR EACH ROW
WHEN (OLD.ruleset_id <> NEW.ruleset_id) EXECUTE FUNCTION keep_frozen_ruleset('id')
""",
    """
CREATE TRIGGER keep_frozen_ruleset BEFORE UPDATE OF ruleset_id ON league_tournaments FOR EACH ROW
WHEN (OLD.ruleset_id <> NEW.ruleset_id) EXECUTE FUNCTION keep_frozen_ruleset('tournament_id')
""",
    """
CREATE TRIGGER begin_with_frozen_ruleset BEFORE INSERT ON league_tournaments FOR EACH ROW
EXECUTE FUNCTION keep_frozen_ruleset('tournament_id')
""",
    """
-- The table of transitions of domain/execution/model.py; a test compares the two.
CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('QUEUED', 'IN_PROGRESS'), ('QUEUED', 'CANCELLED'), ('IN_PROGRESS', 'QUEUED'),
        ('IN_PROGRESS', 'COMPLETED'), ('IN_PROGRESS', 'FAILED'), ('IN_PROGRESS', 'CANCELLED')
    ) THEN
        RAISE EXCEPTION 'execution % cannot go from % to %', OLD.id, OLD.state, NEW.state;
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER refuse_transition BEFORE UPDATE OF state ON executions FOR EACH ROW EXECUTE FUNCTION refuse_transition()
""",
)

DROPS = (
    "DROP FUNCTION IF EXISTS refuse_change, keep_passed_lock, refuse_late_guess, keep_frozen_ruleset, "
    "refuse_transition CASCADE"
)


def upgrade() -> None:
    _create_tables()
    op.create_foreign_key(
        op.f("fk_tournaments_current_round_id"), "tournaments", "rounds", ["current_round_id"], ["id"]
    )
    for table, storage in PARTITIONED.items():
        for part in range(PARTITIONS):
            op.execute(
                f"CREATE TABLE {table}_p{part} PARTITION OF {table} "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part}){storage}"
            )
    for statement in STATEMENTS:
        op.execute(statement)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    _seed()


def downgrade() -> None:
    op.drop_constraint(op.f("fk_tournaments_current_round_id"), "tournaments", type_="foreignkey")
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute(DROPS)


def _seed() -> None:
    op.execute(
        sa.text("INSERT INTO installation (id, epoch) VALUES (1, :epoch)").bindparams(
            sa.bindparam("epoch", uuid.uuid4(), type_=sa.Uuid())
        )
    )
    for code, label, *weights in PRESETS:
        op.execute(
            sa.text(
                "INSERT INTO rulesets (id, code, version, label, basis, "
                "outcome, goal_difference, home_goals, away_goals, exact) "
                "VALUES (:id, :code, 1, :label, 'AFTER_EXTRA_TIME', :w0, :w1, :w2, :w3, :w4)"
            ).bindparams(
                sa.bindparam("id", uuid.uuid5(uuid.NAMESPACE_URL, f"palpite:ruleset:{code}:1"), type_=sa.Uuid()),
                code=code,
                label=label,
                **{f"w{i}": weight for i, weight in enumerate(weights)},
            )
        )


TABLES = (
    "guess_revisions",
    "installation",
    "members",
    "outbox",
    "processes",
    "provider_states",
    "rulesets",
    "teams",
    "leagues",
    "sessions",
    "tournaments",
    "league_invites",
    "league_members",
    "league_tournaments",
    "provider_refs",
    "rounds",
    "standings",
    "tournament_members",
    "matches",
    "held_readings",
    "member_scores",
    "schedules",
    "executions",
    "guesses",
    "match_results",
    "pending_results",
    "audit_log",
    "dead_letters",
    "execution_steps",
    "idempotency_keys",
    "schedule_runs",
    "settlements",
    "score_versions",
    "settlement_scorelines",
)


def _create_tables() -> None:
    op.create_table(
        "guess_revisions",
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("match_id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("home", sa.SmallInteger(), nullable=False),
        sa.Column("away", sa.SmallInteger(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tournament_id", "match_id", "member_id", "revision", name=op.f("pk_guess_revisions")),
        postgresql_partition_by="HASH (tournament_id)",
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.UUID(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "members",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("nick_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("email_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("platform_role", sa.Text(), server_default="MEMBER", nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("platform_role IN ('MEMBER', 'ADMIN')", name=op.f("ck_members_platform_role")),
        sa.CheckConstraint(
            "erased_at IS NULL OR (email IS NULL AND password_hash IS NULL)", name=op.f("ck_members_erased")
        ),
        sa.CheckConstraint("length(nick_name) BETWEEN 2 AND 30", name=op.f("ck_members_nick_name")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_members")),
    )
    op.create_index(
        "uq_members_email",
        "members",
        [sa.literal_column("lower(email)")],
        unique=True,
        postgresql_where=sa.text("erased_at IS NULL"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("message", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("debounce_key", sa.Text(), nullable=True),
        sa.Column(
            "not_before", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("topic IN ('JOB', 'TICK', 'MEMBERS')", name=op.f("ck_outbox_topic")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_due", "outbox", ["not_before", "id"], unique=False)
    op.create_index(
        "uq_outbox_debounce",
        "outbox",
        ["debounce_key"],
        unique=True,
        postgresql_where=sa.text("debounce_key IS NOT NULL"),
    )
    op.create_table(
        "processes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("kind IN ('WORKER', 'SCHEDULER')", name=op.f("ck_processes_kind")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_processes")),
    )
    op.create_index("ix_processes_seen_at", "processes", ["kind", "seen_at"], unique=False)
    op.create_table(
        "provider_states",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("breaker", sa.Text(), server_default="CLOSED", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_good_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("openings", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("(breaker = 'CLOSED') = (reason IS NULL)", name=op.f("ck_provider_states_open_reason")),
        sa.CheckConstraint("(breaker = 'CLOSED') = (retry_at IS NULL)", name=op.f("ck_provider_states_retry_at")),
        sa.CheckConstraint("breaker IN ('CLOSED', 'OPEN', 'HALF_OPEN')", name=op.f("ck_provider_states_breaker")),
        sa.CheckConstraint("provider IN ('SOFASCORE', 'OPENFOOTBALL')", name=op.f("ck_provider_states_provider")),
        sa.CheckConstraint(
            "reason IN ('PROVIDER_BLOCKED', 'PROVIDER_UNAVAILABLE', 'PROVIDER_NOT_FOUND', 'PROVIDER_BAD_DATA', 'PREREQUISITE_MISSING', 'RESULT_INCOMPLETE', 'STALE_PREVIEW', 'WORKER_LOST', 'INTERNAL')",
            name=op.f("ck_provider_states_reason"),
        ),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_provider_states")),
    )
    op.create_table(
        "rulesets",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("goal_difference", sa.SmallInteger(), nullable=False),
        sa.Column("home_goals", sa.SmallInteger(), nullable=False),
        sa.Column("away_goals", sa.SmallInteger(), nullable=False),
        sa.Column("exact", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("basis IN ('AFTER_EXTRA_TIME', 'REGULATION')", name=op.f("ck_rulesets_basis")),
        sa.CheckConstraint(
            "outcome BETWEEN 0 AND 100 AND goal_difference BETWEEN 0 AND 100 AND home_goals BETWEEN 0 AND 100 AND away_goals BETWEEN 0 AND 100 AND exact BETWEEN 0 AND 100",
            name=op.f("ck_rulesets_weights"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rulesets")),
        sa.UniqueConstraint("code", "version", name=op.f("uq_rulesets_code_version")),
    )
    op.create_table(
        "teams",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("short_name", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("badge_key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teams")),
    )
    op.create_table(
        "leagues",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("founder_id", sa.UUID(), nullable=False),
        sa.Column("board_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("length(description) <= 500", name=op.f("ck_leagues_description")),
        sa.CheckConstraint("length(name) BETWEEN 3 AND 60", name=op.f("ck_leagues_name")),
        sa.ForeignKeyConstraint(["founder_id"], ["members.id"], name=op.f("fk_leagues_founder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leagues")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_sessions_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sessions_token_hash")),
    )
    op.create_index(
        "ix_sessions_live", "sessions", ["member_id"], unique=False, postgresql_where=sa.text("revoked_at IS NULL")
    )
    op.create_table(
        "tournaments",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("competition", sa.Text(), nullable=False),
        sa.Column("provider_season", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("season", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("standings_mode", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("current_round_id", sa.UUID(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("ruleset_id", sa.UUID(), nullable=False),
        sa.Column("settled_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("board_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("match_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("logo_key", sa.Text(), nullable=True),
        sa.Column("matches_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("standings_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "mode IN ('REGULAR_SEASON', 'REGULAR_SEASON_AND_KNOCKOUT', 'KNOCKOUT')", name=op.f("ck_tournaments_mode")
        ),
        sa.CheckConstraint("provider IN ('SOFASCORE', 'OPENFOOTBALL')", name=op.f("ck_tournaments_provider")),
        sa.CheckConstraint("standings_mode IN ('SINGLE_TABLE', 'GROUPS')", name=op.f("ck_tournaments_standings_mode")),
        sa.CheckConstraint(
            "status IN ('UPCOMING', 'ACTIVE', 'COMPLETED', 'CANCELLED')", name=op.f("ck_tournaments_status")
        ),
        sa.CheckConstraint(
            "settled_version >= 0 AND board_version >= 0 AND match_version >= 0", name=op.f("ck_tournaments_versions")
        ),
        sa.ForeignKeyConstraint(["ruleset_id"], ["rulesets.id"], name=op.f("fk_tournaments_ruleset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tournaments")),
        sa.UniqueConstraint(
            "provider",
            "competition",
            "provider_season",
            name=op.f("uq_tournaments_provider_competition_provider_season"),
        ),
    )
    op.create_table(
        "league_invites",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("league_id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_uses", sa.Integer(), nullable=True),
        sa.Column("uses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_by", sa.UUID(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('MEMBER', 'VIEWER')", name=op.f("ck_league_invites_role")),
        sa.CheckConstraint("length(code) >= 10", name=op.f("ck_league_invites_code")),
        sa.CheckConstraint("uses BETWEEN 0 AND coalesce(max_uses, uses)", name=op.f("ck_league_invites_uses")),
        sa.ForeignKeyConstraint(["created_by"], ["members.id"], name=op.f("fk_league_invites_created_by")),
        sa.ForeignKeyConstraint(["league_id"], ["leagues.id"], name=op.f("fk_league_invites_league_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_league_invites")),
        sa.UniqueConstraint("code", name=op.f("uq_league_invites_code")),
    )
    op.create_index("ix_league_invites_league", "league_invites", ["league_id"], unique=False)
    op.create_table(
        "league_members",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("league_id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("left_cause", sa.Text(), nullable=True),
        sa.CheckConstraint("left_cause IN ('LEFT', 'REMOVED', 'ERASED')", name=op.f("ck_league_members_left_cause")),
        sa.CheckConstraint("role IN ('ADMIN', 'MEMBER', 'VIEWER')", name=op.f("ck_league_members_role")),
        sa.CheckConstraint("(left_at IS NULL) = (left_cause IS NULL)", name=op.f("ck_league_members_left_at")),
        sa.ForeignKeyConstraint(["league_id"], ["leagues.id"], name=op.f("fk_league_members_league_id")),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_league_members_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_league_members")),
    )
    op.create_index(
        "ix_league_members_member",
        "league_members",
        ["member_id"],
        unique=False,
        postgresql_where=sa.text("left_at IS NULL"),
    )
    op.create_index(
        "uq_league_members_live",
        "league_members",
        ["league_id", "member_id"],
        unique=True,
        postgresql_where=sa.text("left_at IS NULL"),
    )
    op.create_table(
        "league_tournaments",
        sa.Column("league_id", sa.UUID(), nullable=False),
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("ruleset_id", sa.UUID(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('UPCOMING', 'ACTIVE', 'COMPLETED')", name=op.f("ck_league_tournaments_status")),
        sa.ForeignKeyConstraint(["league_id"], ["leagues.id"], name=op.f("fk_league_tournaments_league_id")),
        sa.ForeignKeyConstraint(["ruleset_id"], ["rulesets.id"], name=op.f("fk_league_tournaments_ruleset_id")),
        sa.ForeignKeyConstraint(
            ["tournament_id"], ["tournaments.id"], name=op.f("fk_league_tournaments_tournament_id")
        ),
        sa.PrimaryKeyConstraint("league_id", "tournament_id", name=op.f("pk_league_tournaments")),
    )
    op.create_index("ix_league_tournaments_tournament", "league_tournaments", ["tournament_id"], unique=False)
    op.create_table(
        "provider_refs",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.UUID(), nullable=False),
        sa.Column("tournament_id", sa.UUID(), nullable=True),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("kind IN ('TEAM', 'MATCH')", name=op.f("ck_provider_refs_kind")),
        sa.CheckConstraint("provider IN ('SOFASCORE', 'OPENFOOTBALL')", name=op.f("ck_provider_refs_provider")),
        sa.ForeignKeyConstraint(["tournament_id"], ["tournaments.id"], name=op.f("fk_provider_refs_tournament_id")),
        sa.PrimaryKeyConstraint("provider", "kind", "external_id", name=op.f("pk_provider_refs")),
    )
    op.create_index("ix_provider_refs_entity", "provider_refs", ["kind", "entity_id"], unique=False)
    op.create_table(
        "rounds",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("baseline_version", sa.BigInteger(), nullable=True),
        sa.Column("baseline_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('SEASON', 'KNOCKOUT')", name=op.f("ck_rounds_kind")),
        sa.CheckConstraint("(baseline_version IS NULL) = (baseline_at IS NULL)", name=op.f("ck_rounds_baseline")),
        sa.ForeignKeyConstraint(["tournament_id"], ["tournaments.id"], name=op.f("fk_rounds_tournament_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rounds")),
        sa.UniqueConstraint("tournament_id", "id", name="uq_rounds_tournament"),
        sa.UniqueConstraint(
            "tournament_id", "position", deferrable=True, initially="DEFERRED", name="uq_rounds_position"
        ),
        sa.UniqueConstraint("tournament_id", "slug", name="uq_rounds_slug"),
    )
    op.create_table(
        "standings",
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.Column("is_computed", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("played", sa.Integer(), nullable=False),
        sa.Column("won", sa.Integer(), nullable=False),
        sa.Column("drawn", sa.Integer(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.Column("goals_for", sa.Integer(), nullable=False),
        sa.Column("goals_against", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.CheckConstraint("played = won + drawn + lost", name=op.f("ck_standings_played")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_standings_team_id")),
        sa.ForeignKeyConstraint(["tournament_id"], ["tournaments.id"], name=op.f("fk_standings_tournament_id")),
        sa.PrimaryKeyConstraint("tournament_id", "group_name", "team_id", name=op.f("pk_standings")),
    )
    op.create_table(
        "tournament_members",
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_tournament_members_member_id")),
        sa.ForeignKeyConstraint(
            ["tournament_id"], ["tournaments.id"], name=op.f("fk_tournament_members_tournament_id")
        ),
        sa.PrimaryKeyConstraint("tournament_id", "member_id", name=op.f("pk_tournament_members")),
    )
    op.create_index("ix_tournament_members_member", "tournament_members", ["member_id"], unique=False)
    op.create_table(
        "matches",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("round_id", sa.UUID(), nullable=False),
        sa.Column("home_team_id", sa.UUID(), nullable=True),
        sa.Column("away_team_id", sa.UUID(), nullable=True),
        sa.Column("home_label", sa.Text(), nullable=False),
        sa.Column("away_label", sa.Text(), nullable=False),
        sa.Column("kick_off", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kick_off_precision", sa.Text(), nullable=False),
        sa.Column("lock_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("minute", sa.SmallInteger(), nullable=True),
        sa.Column("home_goals", sa.SmallInteger(), nullable=True),
        sa.Column("away_goals", sa.SmallInteger(), nullable=True),
        sa.Column("home_regulation", sa.SmallInteger(), nullable=True),
        sa.Column("away_regulation", sa.SmallInteger(), nullable=True),
        sa.Column("home_extra_time", sa.SmallInteger(), nullable=True),
        sa.Column("away_extra_time", sa.SmallInteger(), nullable=True),
        sa.Column("home_shoot_out", sa.SmallInteger(), nullable=True),
        sa.Column("away_shoot_out", sa.SmallInteger(), nullable=True),
        sa.Column("result_state", sa.Text(), server_default="NONE", nullable=False),
        sa.Column("result_kind", sa.Text(), server_default="PLAYED", nullable=False),
        sa.Column("result_revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("hold_reason", sa.Text(), nullable=True),
        sa.Column("data_warning", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("stadium", sa.Text(), nullable=True),
        sa.Column("last_checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lock_announced_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kick_off_precision IN ('EXACT', 'DATE', 'UNKNOWN')", name=op.f("ck_matches_kick_off_precision")
        ),
        sa.CheckConstraint("result_kind IN ('PLAYED', 'AWARDED', 'VOID')", name=op.f("ck_matches_result_kind")),
        sa.CheckConstraint(
            "result_state IN ('NONE', 'PROVISIONAL', 'AWAITING_CONFIRMATION', 'FINAL', 'VOID')",
            name=op.f("ck_matches_result_state"),
        ),
        sa.CheckConstraint(
            "status IN ('NOT_STARTED', 'IN_PLAY', 'ENDED', 'POSTPONED', 'CANCELLED', 'ABANDONED')",
            name=op.f("ck_matches_status"),
        ),
        sa.CheckConstraint(
            "(home_extra_time IS NULL AND away_extra_time IS NULL) OR (home_extra_time BETWEEN 0 AND 99 AND away_extra_time BETWEEN 0 AND 99)",
            name=op.f("ck_matches_extra_time"),
        ),
        sa.CheckConstraint(
            "(home_goals IS NULL AND away_goals IS NULL) OR (home_goals BETWEEN 0 AND 99 AND away_goals BETWEEN 0 AND 99)",
            name=op.f("ck_matches_goals"),
        ),
        sa.CheckConstraint(
            "(home_regulation IS NULL AND away_regulation IS NULL) OR (home_regulation BETWEEN 0 AND 99 AND away_regulation BETWEEN 0 AND 99)",
            name=op.f("ck_matches_regulation"),
        ),
        sa.CheckConstraint(
            "(home_shoot_out IS NULL AND away_shoot_out IS NULL) OR (home_shoot_out BETWEEN 0 AND 99 AND away_shoot_out BETWEEN 0 AND 99)",
            name=op.f("ck_matches_shoot_out"),
        ),
        sa.CheckConstraint("home_team_id <> away_team_id", name=op.f("ck_matches_two_teams")),
        sa.ForeignKeyConstraint(["away_team_id"], ["teams.id"], name=op.f("fk_matches_away_team_id")),
        sa.ForeignKeyConstraint(["home_team_id"], ["teams.id"], name=op.f("fk_matches_home_team_id")),
        sa.ForeignKeyConstraint(
            ["tournament_id", "round_id"], ["rounds.tournament_id", "rounds.id"], name="fk_matches_round"
        ),
        sa.ForeignKeyConstraint(["tournament_id"], ["tournaments.id"], name=op.f("fk_matches_tournament_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_matches")),
        sa.UniqueConstraint("tournament_id", "id", name="uq_matches_tournament"),
    )
    op.create_index(
        "ix_matches_lock", "matches", ["lock_at"], unique=False, postgresql_where=sa.text("lock_announced_at IS NULL")
    )
    op.create_index(
        "ix_matches_open",
        "matches",
        ["kick_off"],
        unique=False,
        postgresql_where=sa.text("status IN ('NOT_STARTED', 'IN_PLAY')"),
    )
    op.create_index("ix_matches_round", "matches", ["tournament_id", "round_id", "kick_off", "id"], unique=False)
    op.create_table(
        "held_readings",
        sa.Column("match_id", sa.UUID(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("first_read_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["match_id"], ["matches.id"], name=op.f("fk_held_readings_match_id")),
        sa.PrimaryKeyConstraint("match_id", name=op.f("pk_held_readings")),
    )
    op.create_table(
        "member_scores",
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("outcome", sa.Integer(), server_default="0", nullable=False),
        sa.Column("goal_difference", sa.Integer(), server_default="0", nullable=False),
        sa.Column("home_goals", sa.Integer(), server_default="0", nullable=False),
        sa.Column("away_goals", sa.Integer(), server_default="0", nullable=False),
        sa.Column("exact", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("basis IN ('AFTER_EXTRA_TIME', 'REGULATION')", name=op.f("ck_member_scores_basis")),
        sa.CheckConstraint(
            "exact <= goal_difference AND goal_difference <= outcome", name=op.f("ck_member_scores_order")
        ),
        sa.CheckConstraint(
            "outcome >= 0 AND goal_difference >= 0 AND home_goals >= 0 AND away_goals >= 0 AND exact >= 0",
            name=op.f("ck_member_scores_counters"),
        ),
        sa.ForeignKeyConstraint(
            ["tournament_id", "member_id"],
            ["tournament_members.tournament_id", "tournament_members.member_id"],
            name="fk_member_scores_member",
        ),
        sa.PrimaryKeyConstraint("tournament_id", "basis", "member_id", name=op.f("pk_member_scores")),
        postgresql_partition_by="HASH (tournament_id)",
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("tournament_id", sa.UUID(), nullable=True),
        sa.Column("round_id", sa.UUID(), nullable=True),
        sa.Column("match_id", sa.UUID(), nullable=True),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("next_slot", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("(status = 'ACTIVE') = (next_slot IS NOT NULL)", name=op.f("ck_schedules_next_slot")),
        sa.CheckConstraint(
            "operation IN ('INGEST_TOURNAMENT', 'INGEST_ROUNDS', 'INGEST_TEAMS', 'INGEST_MATCHES', 'INGEST_ROUND_MATCHES', 'INGEST_MATCH', 'INGEST_STANDINGS', 'INGEST_KNOCKOUT_ROUNDS', 'SYNC_CURRENT_ROUND', 'POLL_OPEN_MATCHES', 'SETTLE_MATCH', 'SETTLE_PENDING', 'REBUILD_PROJECTION', 'VERIFY_PROJECTION', 'PRUNE_HISTORY', 'CORRECT_RESULT', 'REPLAY_SETTLEMENT')",
            name=op.f("ck_schedules_operation"),
        ),
        sa.CheckConstraint("status IN ('ACTIVE', 'PAUSED', 'RETIRED')", name=op.f("ck_schedules_status")),
        sa.CheckConstraint("(cron IS NULL) <> (run_at IS NULL)", name=op.f("ck_schedules_kind")),
        sa.ForeignKeyConstraint(["match_id"], ["matches.id"], name=op.f("fk_schedules_match_id")),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f("fk_schedules_round_id")),
        sa.ForeignKeyConstraint(["tournament_id"], ["tournaments.id"], name=op.f("fk_schedules_tournament_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("name", name=op.f("uq_schedules_name")),
    )
    op.create_index(
        "ix_schedules_due", "schedules", ["next_slot"], unique=False, postgresql_where=sa.text("next_slot IS NOT NULL")
    )
    op.create_table(
        "executions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("tournament_id", sa.UUID(), nullable=True),
        sa.Column("round_id", sa.UUID(), nullable=True),
        sa.Column("match_id", sa.UUID(), nullable=True),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("operation_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("schedule_id", sa.UUID(), nullable=True),
        sa.Column("actor_id", sa.UUID(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("retry_of", sa.UUID(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("job_id", sa.UUID(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("created", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("report_key", sa.Text(), nullable=True),
        sa.Column("effect", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "enqueued_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'IN_PROGRESS') = (lease_until IS NOT NULL)", name=op.f("ck_executions_lease")),
        sa.CheckConstraint(
            "(state IN ('COMPLETED', 'FAILED', 'CANCELLED')) = (finished_at IS NOT NULL)",
            name=op.f("ck_executions_finished"),
        ),
        sa.CheckConstraint(
            "error_code IN ('PROVIDER_BLOCKED', 'PROVIDER_UNAVAILABLE', 'PROVIDER_NOT_FOUND', 'PROVIDER_BAD_DATA', 'PREREQUISITE_MISSING', 'RESULT_INCOMPLETE', 'STALE_PREVIEW', 'WORKER_LOST', 'INTERNAL')",
            name=op.f("ck_executions_error_code"),
        ),
        sa.CheckConstraint(
            "operation IN ('INGEST_TOURNAMENT', 'INGEST_ROUNDS', 'INGEST_TEAMS', 'INGEST_MATCHES', 'INGEST_ROUND_MATCHES', 'INGEST_MATCH', 'INGEST_STANDINGS', 'INGEST_KNOCKOUT_ROUNDS', 'SYNC_CURRENT_ROUND', 'POLL_OPEN_MATCHES', 'SETTLE_MATCH', 'SETTLE_PENDING', 'REBUILD_PROJECTION', 'VERIFY_PROJECTION', 'PRUNE_HISTORY', 'CORRECT_RESULT', 'REPLAY_SETTLEMENT')",
            name=op.f("ck_executions_operation"),
        ),
        sa.CheckConstraint("state <> 'FAILED' OR error_code IS NOT NULL", name=op.f("ck_executions_error")),
        sa.CheckConstraint(
            "state IN ('QUEUED', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'CANCELLED')", name=op.f("ck_executions_state")
        ),
        sa.CheckConstraint("trigger IN ('ADMIN', 'SCHEDULE', 'SYSTEM', 'MEMBER')", name=op.f("ck_executions_trigger")),
        sa.CheckConstraint("attempt BETWEEN 0 AND max_attempts", name=op.f("ck_executions_attempt")),
        sa.CheckConstraint("state <> 'QUEUED' OR cancel_requested_at IS NULL", name=op.f("ck_executions_cancel")),
        sa.ForeignKeyConstraint(["actor_id"], ["members.id"], name=op.f("fk_executions_actor_id")),
        sa.ForeignKeyConstraint(["match_id"], ["matches.id"], name=op.f("fk_executions_match_id")),
        sa.ForeignKeyConstraint(["retry_of"], ["executions.id"], name=op.f("fk_executions_retry_of")),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f("fk_executions_round_id")),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name=op.f("fk_executions_schedule_id")),
        sa.ForeignKeyConstraint(["tournament_id"], ["tournaments.id"], name=op.f("fk_executions_tournament_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executions")),
    )
    op.create_index(
        "ix_executions_retry_of",
        "executions",
        ["retry_of"],
        unique=False,
        postgresql_where=sa.text("retry_of IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_live",
        "executions",
        ["state", "not_before"],
        unique=False,
        postgresql_where=sa.text("state IN ('QUEUED', 'IN_PROGRESS')"),
    )
    op.create_index(
        "ix_executions_finished_at",
        "executions",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index("ix_executions_queued_at", "executions", [sa.literal_column("queued_at DESC"), "id"], unique=False)
    op.create_index(
        "ix_executions_tournament", "executions", ["tournament_id", sa.literal_column("queued_at DESC")], unique=False
    )
    op.create_index(
        "uq_executions_live_key",
        "executions",
        ["operation_key"],
        unique=True,
        postgresql_where=sa.text("trigger <> 'SYSTEM' AND state IN ('QUEUED', 'IN_PROGRESS')"),
    )
    op.create_index(
        "uq_executions_system_key",
        "executions",
        ["operation_key"],
        unique=True,
        postgresql_where=sa.text("trigger = 'SYSTEM' AND state = 'QUEUED' AND fence = 0"),
    )
    op.create_table(
        "guesses",
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("match_id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("home", sa.SmallInteger(), nullable=False),
        sa.Column("away", sa.SmallInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("home BETWEEN 0 AND 99 AND away BETWEEN 0 AND 99", name=op.f("ck_guesses_goals")),
        sa.ForeignKeyConstraint(
            ["tournament_id", "match_id"], ["matches.tournament_id", "matches.id"], name="fk_guesses_match"
        ),
        sa.ForeignKeyConstraint(
            ["tournament_id", "member_id"],
            ["tournament_members.tournament_id", "tournament_members.member_id"],
            name="fk_guesses_member",
        ),
        sa.PrimaryKeyConstraint("tournament_id", "match_id", "member_id", name=op.f("pk_guesses")),
        postgresql_partition_by="HASH (tournament_id)",
    )
    op.create_index(
        "ix_guesses_member",
        "guesses",
        ["member_id", "tournament_id"],
        unique=False,
        postgresql_include=["match_id", "home", "away"],
    )
    op.create_table(
        "match_results",
        sa.Column("match_id", sa.UUID(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("home_regulation", sa.SmallInteger(), nullable=True),
        sa.Column("away_regulation", sa.SmallInteger(), nullable=True),
        sa.Column("home_extra_time", sa.SmallInteger(), nullable=True),
        sa.Column("away_extra_time", sa.SmallInteger(), nullable=True),
        sa.Column("home_shoot_out", sa.SmallInteger(), nullable=True),
        sa.Column("away_shoot_out", sa.SmallInteger(), nullable=True),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "accepted_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("actor_id", sa.UUID(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "cause <> 'CORRECTION' OR (actor_id IS NOT NULL AND reason IS NOT NULL)",
            name=op.f("ck_match_results_correction"),
        ),
        sa.CheckConstraint(
            "cause IN ('PROVIDER', 'CORRECTION', 'REPLAY', 'MATCH_VOIDED')", name=op.f("ck_match_results_cause")
        ),
        sa.CheckConstraint("kind IN ('PLAYED', 'AWARDED', 'VOID')", name=op.f("ck_match_results_kind")),
        sa.CheckConstraint("source IN ('CONFIRMED', 'OVERRIDE')", name=op.f("ck_match_results_source")),
        sa.CheckConstraint(
            "(home_extra_time IS NULL AND away_extra_time IS NULL) OR (home_extra_time BETWEEN 0 AND 99 AND away_extra_time BETWEEN 0 AND 99)",
            name=op.f("ck_match_results_extra_time"),
        ),
        sa.CheckConstraint(
            "(home_regulation IS NULL AND away_regulation IS NULL) OR (home_regulation BETWEEN 0 AND 99 AND away_regulation BETWEEN 0 AND 99)",
            name=op.f("ck_match_results_regulation"),
        ),
        sa.CheckConstraint(
            "(home_shoot_out IS NULL AND away_shoot_out IS NULL) OR (home_shoot_out BETWEEN 0 AND 99 AND away_shoot_out BETWEEN 0 AND 99)",
            name=op.f("ck_match_results_shoot_out"),
        ),
        sa.CheckConstraint("revision > 0", name=op.f("ck_match_results_revision")),
        sa.ForeignKeyConstraint(["actor_id"], ["members.id"], name=op.f("fk_match_results_actor_id")),
        sa.ForeignKeyConstraint(["match_id"], ["matches.id"], name=op.f("fk_match_results_match_id")),
        sa.PrimaryKeyConstraint("match_id", "revision", name=op.f("pk_match_results")),
        sa.UniqueConstraint("match_id", "status_at", name=op.f("uq_match_results_match_id_status_at")),
    )
    op.create_table(
        "pending_results",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("match_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("home_regulation", sa.SmallInteger(), nullable=True),
        sa.Column("away_regulation", sa.SmallInteger(), nullable=True),
        sa.Column("home_extra_time", sa.SmallInteger(), nullable=True),
        sa.Column("away_extra_time", sa.SmallInteger(), nullable=True),
        sa.Column("home_shoot_out", sa.SmallInteger(), nullable=True),
        sa.Column("away_shoot_out", sa.SmallInteger(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_revision", sa.Integer(), nullable=True),
        sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dismissed_by", sa.UUID(), nullable=True),
        sa.CheckConstraint("accepted_at IS NULL OR dismissed_at IS NULL", name=op.f("ck_pending_results_one_end")),
        sa.CheckConstraint(
            "(accepted_at IS NULL) = (accepted_revision IS NULL)", name=op.f("ck_pending_results_numbered")
        ),
        sa.CheckConstraint(
            "dismissed_by IS NULL OR dismissed_at IS NOT NULL", name=op.f("ck_pending_results_dismissed")
        ),
        sa.CheckConstraint("kind IN ('PLAYED', 'AWARDED', 'VOID')", name=op.f("ck_pending_results_kind")),
        sa.CheckConstraint(
            "(home_extra_time IS NULL AND away_extra_time IS NULL) OR (home_extra_time BETWEEN 0 AND 99 AND away_extra_time BETWEEN 0 AND 99)",
            name=op.f("ck_pending_results_extra_time"),
        ),
        sa.CheckConstraint(
            "(home_regulation IS NULL AND away_regulation IS NULL) OR (home_regulation BETWEEN 0 AND 99 AND away_regulation BETWEEN 0 AND 99)",
            name=op.f("ck_pending_results_regulation"),
        ),
        sa.CheckConstraint(
            "(home_shoot_out IS NULL AND away_shoot_out IS NULL) OR (home_shoot_out BETWEEN 0 AND 99 AND away_shoot_out BETWEEN 0 AND 99)",
            name=op.f("ck_pending_results_shoot_out"),
        ),
        sa.ForeignKeyConstraint(["dismissed_by"], ["members.id"], name=op.f("fk_pending_results_dismissed_by")),
        sa.ForeignKeyConstraint(
            ["match_id", "accepted_revision"],
            ["match_results.match_id", "match_results.revision"],
            name="fk_pending_results_accepted",
        ),
        sa.ForeignKeyConstraint(["match_id"], ["matches.id"], name=op.f("fk_pending_results_match_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_results")),
    )
    op.create_index(
        "uq_pending_results_open",
        "pending_results",
        ["match_id"],
        unique=True,
        postgresql_where=sa.text("accepted_at IS NULL AND dismissed_at IS NULL"),
    )
    op.create_index("ix_pending_results_match", "pending_results", ["match_id", "found_at"], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("actor_id", sa.UUID(), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=True),
        sa.Column("subject_id", sa.UUID(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.UUID(), nullable=True),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("actor_kind IN ('MEMBER', 'SYSTEM', 'OPERATOR')", name=op.f("ck_audit_log_actor_kind")),
        sa.ForeignKeyConstraint(["actor_id"], ["members.id"], name=op.f("fk_audit_log_actor_id")),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_audit_log_execution_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(
        "ix_audit_log_execution",
        "audit_log",
        ["execution_id"],
        unique=False,
        postgresql_where=sa.text("execution_id IS NOT NULL"),
    )
    op.create_index(
        "ix_audit_log_at", "audit_log", [sa.literal_column("at DESC"), sa.literal_column("id DESC")], unique=False
    )
    for column in ("actor", "subject", "action"):
        name = "action" if column == "action" else f"{column}_id"
        op.create_index(
            f"ix_audit_log_{column}",
            "audit_log",
            [name, sa.literal_column("at DESC"), sa.literal_column("id DESC")],
            unique=False,
        )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("execution_id", sa.UUID(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("message", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("died_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("resolved_by", sa.UUID(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "operation IN ('INGEST_TOURNAMENT', 'INGEST_ROUNDS', 'INGEST_TEAMS', 'INGEST_MATCHES', 'INGEST_ROUND_MATCHES', 'INGEST_MATCH', 'INGEST_STANDINGS', 'INGEST_KNOCKOUT_ROUNDS', 'SYNC_CURRENT_ROUND', 'POLL_OPEN_MATCHES', 'SETTLE_MATCH', 'SETTLE_PENDING', 'REBUILD_PROJECTION', 'VERIFY_PROJECTION', 'PRUNE_HISTORY', 'CORRECT_RESULT', 'REPLAY_SETTLEMENT')",
            name=op.f("ck_dead_letters_operation"),
        ),
        sa.CheckConstraint(
            "error_code IN ('PROVIDER_BLOCKED', 'PROVIDER_UNAVAILABLE', 'PROVIDER_NOT_FOUND', 'PROVIDER_BAD_DATA', 'PREREQUISITE_MISSING', 'RESULT_INCOMPLETE', 'STALE_PREVIEW', 'WORKER_LOST', 'INTERNAL')",
            name=op.f("ck_dead_letters_error_code"),
        ),
        sa.CheckConstraint("resolution IN ('REPLAYED', 'DISCARDED')", name=op.f("ck_dead_letters_resolution")),
        sa.CheckConstraint(
            "(resolution IS NULL) = (resolved_at IS NULL) AND (resolution IS NULL) = (reason IS NULL)"
            " AND (resolution IS NOT NULL OR resolved_by IS NULL)",
            name=op.f("ck_dead_letters_resolved"),
        ),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_dead_letters_execution_id")),
        sa.ForeignKeyConstraint(["resolved_by"], ["members.id"], name=op.f("fk_dead_letters_resolved_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
        sa.UniqueConstraint("execution_id", name=op.f("uq_dead_letters_execution_id")),
    )
    op.create_index("ix_dead_letters_died_at", "dead_letters", [sa.literal_column("died_at DESC"), "id"], unique=False)
    op.create_index(
        "ix_dead_letters_open",
        "dead_letters",
        [sa.literal_column("died_at DESC"), "id"],
        unique=False,
        postgresql_where=sa.text("resolution IS NULL"),
    )
    op.create_table(
        "execution_steps",
        sa.Column("execution_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("created", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('QUEUED', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'CANCELLED')",
            name=op.f("ck_execution_steps_state"),
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_execution_steps_execution_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("execution_id", "position", name=op.f("pk_execution_steps")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "first_applied_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("execution_id", sa.UUID(), nullable=True),
        sa.Column("effect_digest", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("replays", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("status IN ('APPLIED', 'SUPERSEDED')", name=op.f("ck_idempotency_keys_status")),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_idempotency_keys_execution_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        "ix_idempotency_keys_execution",
        "idempotency_keys",
        ["execution_id"],
        unique=False,
        postgresql_where=sa.text("execution_id IS NOT NULL"),
    )
    op.create_table(
        "schedule_runs",
        sa.Column("schedule_id", sa.UUID(), nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("missed_slots", sa.Integer(), server_default="0", nullable=False),
        sa.Column("execution_id", sa.UUID(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("outcome IN ('STARTED', 'SKIPPED_OVERLAP')", name=op.f("ck_schedule_runs_outcome")),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_schedule_runs_execution_id")),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name=op.f("fk_schedule_runs_schedule_id")),
        sa.PrimaryKeyConstraint("schedule_id", "slot", name=op.f("pk_schedule_runs")),
    )
    op.create_index(
        "ix_schedule_runs_execution",
        "schedule_runs",
        ["execution_id"],
        unique=False,
        postgresql_where=sa.text("execution_id IS NOT NULL"),
    )
    op.create_table(
        "settlements",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("match_id", sa.UUID(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("superseded_version", sa.BigInteger(), nullable=True),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("effect_digest", sa.Text(), nullable=False),
        sa.Column("guesses", sa.Integer(), nullable=False),
        sa.Column("members_changed", sa.Integer(), nullable=False),
        sa.Column("execution_id", sa.UUID(), nullable=True),
        sa.Column(
            "applied_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("superseded_version > version", name=op.f("ck_settlements_superseded")),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_settlements_execution_id")),
        sa.ForeignKeyConstraint(
            ["match_id", "revision"], ["match_results.match_id", "match_results.revision"], name="fk_settlements_result"
        ),
        sa.ForeignKeyConstraint(["tournament_id"], ["tournaments.id"], name=op.f("fk_settlements_tournament_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlements")),
        sa.UniqueConstraint("match_id", "revision", name=op.f("uq_settlements_match_id_revision")),
    )
    op.create_index(
        "ix_settlements_execution",
        "settlements",
        ["execution_id"],
        unique=False,
        postgresql_where=sa.text("execution_id IS NOT NULL"),
    )
    op.create_index("ix_settlements_version", "settlements", ["tournament_id", "version"], unique=False)
    op.create_index(
        "uq_settlements_active",
        "settlements",
        ["match_id"],
        unique=True,
        postgresql_where=sa.text("superseded_version IS NULL"),
    )
    op.create_table(
        "score_versions",
        sa.Column("tournament_id", sa.UUID(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("settlement_id", sa.UUID(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('SETTLED', 'CORRECTED', 'VOIDED', 'ROUND_MOVED', 'REPLAYED')", name=op.f("ck_score_versions_kind")
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_score_versions_version")),
        sa.ForeignKeyConstraint(["settlement_id"], ["settlements.id"], name=op.f("fk_score_versions_settlement_id")),
        sa.ForeignKeyConstraint(["tournament_id"], ["tournaments.id"], name=op.f("fk_score_versions_tournament_id")),
        sa.PrimaryKeyConstraint("tournament_id", "version", name=op.f("pk_score_versions")),
    )
    op.create_table(
        "settlement_scorelines",
        sa.Column("settlement_id", sa.UUID(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("home", sa.SmallInteger(), nullable=False),
        sa.Column("away", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.Boolean(), nullable=False),
        sa.Column("goal_difference", sa.Boolean(), nullable=False),
        sa.Column("home_goals", sa.Boolean(), nullable=False),
        sa.Column("away_goals", sa.Boolean(), nullable=False),
        sa.Column("exact", sa.Boolean(), nullable=False),
        sa.Column("guesses", sa.Integer(), nullable=False),
        sa.CheckConstraint("basis IN ('AFTER_EXTRA_TIME', 'REGULATION')", name=op.f("ck_settlement_scorelines_basis")),
        sa.CheckConstraint(
            "NOT exact OR (outcome AND goal_difference AND home_goals AND away_goals)",
            name=op.f("ck_settlement_scorelines_exact"),
        ),
        sa.ForeignKeyConstraint(
            ["settlement_id"], ["settlements.id"], name=op.f("fk_settlement_scorelines_settlement_id")
        ),
        sa.PrimaryKeyConstraint("settlement_id", "basis", "home", "away", name=op.f("pk_settlement_scorelines")),
    )
