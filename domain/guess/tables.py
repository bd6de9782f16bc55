"""Tables of who plays a tournament and of guesses. Guesses are partitioned by tournament."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
)

from domain.tables import Instant, Uuid, created_at, metadata, text

tournament_members = Table(
    "tournament_members",
    metadata,
    Column("tournament_id", Uuid, ForeignKey("tournaments.id"), primary_key=True),
    Column("member_id", Uuid, ForeignKey("members.id"), primary_key=True),
    created_at("joined_at"),
)
Index("ix_tournament_members_member", tournament_members.c.member_id)

guesses = Table(
    "guesses",
    metadata,
    Column("tournament_id", Uuid),
    Column("match_id", Uuid),
    Column("member_id", Uuid),
    Column("home", SmallInteger, nullable=False),
    Column("away", SmallInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("saved_at", Instant, nullable=False),
    # With the goals, so that a settlement reads the guesses of a match from the key alone.
    PrimaryKeyConstraint("tournament_id", "match_id", "member_id", postgresql_include=["home", "away"]),
    ForeignKeyConstraint(
        ["tournament_id", "match_id"], ["matches.tournament_id", "matches.id"], name="fk_guesses_match"
    ),
    ForeignKeyConstraint(
        ["tournament_id", "member_id"],
        ["tournament_members.tournament_id", "tournament_members.member_id"],
        name="fk_guesses_member",
    ),
    CheckConstraint("home BETWEEN 0 AND 99 AND away BETWEEN 0 AND 99", name="goals"),
    postgresql_partition_by="HASH (tournament_id)",
)
# The fold of a league over a season reads members' guesses without touching the heap.
Index(
    "ix_guesses_member",
    guesses.c.member_id,
    guesses.c.tournament_id,
    postgresql_include=["match_id", "home", "away"],
)

# Every save, with the database time: what counts when a kick-off turns out to be earlier. Append-only.
guess_revisions = Table(
    "guess_revisions",
    metadata,
    Column("tournament_id", Uuid, primary_key=True),
    Column("match_id", Uuid, primary_key=True),
    Column("member_id", Uuid, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("home", SmallInteger, nullable=False),
    Column("away", SmallInteger, nullable=False),
    Column("saved_at", Instant, nullable=False),
    text("request_id"),
    postgresql_partition_by="HASH (tournament_id)",
)
