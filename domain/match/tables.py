"""Tables of matches and of their accepted results."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from domain.match.model import KickOffPrecision, MatchStatus, ResultKind, ResultState
from domain.tables import Instant, Uuid, created_at, metadata, one_of, text

SCORE_PARTS = ("goals", "regulation", "extra_time", "shoot_out")
RESULT_PARTS = ("regulation", "extra_time", "shoot_out")


def part_columns(names: tuple[str, ...]) -> list[Column[int]]:
    return [Column(f"{side}_{part}", SmallInteger) for part in names for side in ("home", "away")]


def part_checks(names: tuple[str, ...]) -> list[CheckConstraint]:
    return [
        CheckConstraint(
            f"(home_{part} IS NULL AND away_{part} IS NULL) OR "
            f"(home_{part} BETWEEN 0 AND 99 AND away_{part} BETWEEN 0 AND 99)",
            name=part,
        )
        for part in names
    ]


matches = Table(
    "matches",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tournament_id", Uuid, ForeignKey("tournaments.id"), nullable=False),
    Column("round_id", Uuid, nullable=False),
    Column("home_team_id", Uuid, ForeignKey("teams.id")),
    Column("away_team_id", Uuid, ForeignKey("teams.id")),
    text("home_label"),
    text("away_label"),
    Column("kick_off", Instant),
    text("kick_off_precision"),
    Column("lock_at", Instant),
    text("status"),
    Column("minute", SmallInteger),
    *part_columns(SCORE_PARTS),
    text("result_state", server_default=ResultState.NONE),
    text("result_kind", server_default=ResultKind.PLAYED),
    Column("result_revision", Integer, nullable=False, server_default="0"),
    text("hold_reason", nullable=True),
    text("data_warning", nullable=True),
    Column("version", BigInteger, nullable=False, server_default="1"),
    text("stadium", nullable=True),
    Column("last_checked_at", Instant),
    Column("missing_since", Instant),
    UniqueConstraint("tournament_id", "id", name="uq_matches_tournament"),
    ForeignKeyConstraint(["tournament_id", "round_id"], ["rounds.tournament_id", "rounds.id"], name="fk_matches_round"),
    CheckConstraint("home_team_id <> away_team_id", name="two_teams"),
    *part_checks(SCORE_PARTS),
    one_of("kick_off_precision", KickOffPrecision),
    one_of("status", MatchStatus),
    one_of("result_state", ResultState),
    one_of("result_kind", ResultKind),
)
Index("ix_matches_round", matches.c.tournament_id, matches.c.round_id, matches.c.kick_off, matches.c.id)
Index("ix_matches_open", matches.c.kick_off, postgresql_where=matches.c.status.in_(["NOT_STARTED", "IN_PLAY"]))
# Locks that have passed and were not told yet; see `lock_announced_at`.
matches.append_column(Column("lock_announced_at", Instant))
Index("ix_matches_lock", matches.c.lock_at, postgresql_where=matches.c.lock_announced_at.is_(None))

match_results = Table(
    "match_results",
    metadata,
    Column("match_id", Uuid, ForeignKey("matches.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    text("kind"),
    text("source"),
    text("cause"),
    *part_columns(RESULT_PARTS),
    # Ours, strictly rising within a match: the timestamp of the settlement's idempotency key.
    Column("status_at", Instant, nullable=False),
    created_at("accepted_at"),
    Column("actor_id", Uuid, ForeignKey("members.id")),
    text("reason", nullable=True),
    UniqueConstraint("match_id", "status_at"),
    CheckConstraint("revision > 0", name="revision"),
    CheckConstraint("cause <> 'CORRECTION' OR (actor_id IS NOT NULL AND reason IS NOT NULL)", name="correction"),
    CheckConstraint("source IN ('CONFIRMED', 'OVERRIDE')", name="source"),
    CheckConstraint("cause IN ('PROVIDER', 'CORRECTION', 'REPLAY', 'MATCH_VOIDED')", name="cause"),
    *part_checks(RESULT_PARTS),
    one_of("kind", ResultKind),
)
