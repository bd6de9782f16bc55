"""Tables of settlements, the proof of every point, and of the members' settled facts."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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

from domain.scoring.model import ScoreBasis
from domain.scoring.tables import FACTS
from domain.settlement.model import ScoreVersionKind
from domain.tables import Instant, Uuid, created_at, metadata, one_of, text

settlements = Table(
    "settlements",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tournament_id", Uuid, ForeignKey("tournaments.id"), nullable=False),
    Column("match_id", Uuid, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("superseded_version", BigInteger),
    Column("status_at", Instant, nullable=False),
    text("effect_digest"),
    Column("guesses", Integer, nullable=False),
    Column("members_changed", Integer, nullable=False),
    Column("execution_id", Uuid, ForeignKey("executions.id")),
    created_at("applied_at"),
    # Whether what it judged is kept in `judged_guesses`, because the guesses have changed since.
    Column("keeps_guesses", Boolean, nullable=False, server_default="false"),
    ForeignKeyConstraint(
        ["match_id", "revision"], ["match_results.match_id", "match_results.revision"], name="fk_settlements_result"
    ),
    UniqueConstraint("match_id", "revision"),
    CheckConstraint("superseded_version > version", name="superseded"),
)
Index(
    "uq_settlements_active",
    settlements.c.match_id,
    unique=True,
    postgresql_where=settlements.c.superseded_version.is_(None),
)
Index("ix_settlements_version", settlements.c.tournament_id, settlements.c.version)
Index("ix_settlements_execution", settlements.c.execution_id, postgresql_where=settlements.c.execution_id.is_not(None))

settlement_scorelines = Table(
    "settlement_scorelines",
    metadata,
    Column("settlement_id", Uuid, ForeignKey("settlements.id"), primary_key=True),
    Column("basis", text("basis").type, primary_key=True),
    Column("home", SmallInteger, primary_key=True),
    Column("away", SmallInteger, primary_key=True),
    *(Column(fact, Boolean, nullable=False) for fact in FACTS),
    Column("guesses", Integer, nullable=False),
    one_of("basis", ScoreBasis),
    CheckConstraint("NOT exact OR (outcome AND goal_difference AND home_goals AND away_goals)", name="exact"),
)

# Guesses as a settlement judged them, of matches whose guesses have changed since: boards of then count these.
judged_guesses = Table(
    "judged_guesses",
    metadata,
    Column("settlement_id", Uuid, ForeignKey("settlements.id"), primary_key=True),
    Column("member_id", Uuid, ForeignKey("members.id"), primary_key=True),
    Column("home", SmallInteger, nullable=False),
    Column("away", SmallInteger, nullable=False),
)

# No index but the key, room on each page: settlements update it in place. No foreign key either: it would be looked at
# for each row that a settlement writes. Joining makes the rows, and the proof compares them with who has joined.
member_scores = Table(
    "member_scores",
    metadata,
    Column("tournament_id", Uuid, primary_key=True),
    Column("basis", text("basis").type, primary_key=True),
    Column("member_id", Uuid, primary_key=True),
    *(Column(fact, Integer, nullable=False, server_default="0") for fact in FACTS),
    one_of("basis", ScoreBasis),
    CheckConstraint(" AND ".join(f"{fact} >= 0" for fact in FACTS), name="counters"),
    CheckConstraint("exact <= goal_difference AND goal_difference <= outcome", name="order"),
    postgresql_partition_by="HASH (tournament_id)",
)

score_versions = Table(
    "score_versions",
    metadata,
    Column("tournament_id", Uuid, ForeignKey("tournaments.id"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    text("kind"),
    Column("settlement_id", Uuid, ForeignKey("settlements.id")),
    text("digest"),
    created_at("at"),
    one_of("kind", ScoreVersionKind),
    CheckConstraint("version > 0", name="version"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", text("key").type, primary_key=True),
    created_at("first_applied_at"),
    Column("execution_id", Uuid, ForeignKey("executions.id")),
    text("effect_digest"),
    text("status"),
    Column("replays", Integer, nullable=False, server_default="0"),
    CheckConstraint("status IN ('APPLIED', 'SUPERSEDED')", name="status"),
)
Index(
    "ix_idempotency_keys_execution",
    idempotency_keys.c.execution_id,
    postgresql_where=idempotency_keys.c.execution_id.is_not(None),
)
