"""Tables of tournaments, rounds, teams, team tables, and how providers name them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    UniqueConstraint,
)

from domain.tables import Instant, Uuid, created_at, metadata, one_of, text
from domain.tournament.model import Provider, RoundKind, StandingsMode, TournamentMode, TournamentStatus

tournaments = Table(
    "tournaments",
    metadata,
    Column("id", Uuid, primary_key=True),
    text("provider"),
    text("competition"),
    text("provider_season"),
    text("label"),
    text("season"),
    text("mode"),
    text("standings_mode"),
    text("status"),
    Column("current_round_id", Uuid, ForeignKey("rounds.id", use_alter=True)),
    text("time_zone", nullable=True),
    Column("ruleset_id", Uuid, ForeignKey("rulesets.id"), nullable=False),
    # Three counters that only rise: of settled scores (as-of), of everything its boards show, of its matches.
    Column("settled_version", BigInteger, nullable=False, server_default="0"),
    Column("board_version", BigInteger, nullable=False, server_default="0"),
    Column("match_version", BigInteger, nullable=False, server_default="0"),
    # How many members were taken off its boards, those of earlier moments too: who keeps such a board reads it anew.
    Column("removals", BigInteger, nullable=False, server_default="0"),
    # What movement compares with: `settled_version` when the current round became that, and when it did.
    Column("movement_version", BigInteger),
    Column("movement_at", Instant),
    text("logo_key", nullable=True),
    # When the provider was last read, told here so that an unchanged reading writes no row of matches or standings.
    Column("matches_at", Instant),
    Column("standings_at", Instant),
    created_at(),
    UniqueConstraint("provider", "competition", "provider_season"),
    one_of("provider", Provider),
    one_of("mode", TournamentMode),
    one_of("standings_mode", StandingsMode),
    one_of("status", TournamentStatus),
    CheckConstraint("settled_version >= 0 AND board_version >= 0 AND match_version >= 0", name="versions"),
    CheckConstraint("(movement_version IS NULL) = (movement_at IS NULL)", name="movement"),
)

rounds = Table(
    "rounds",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tournament_id", Uuid, ForeignKey("tournaments.id"), nullable=False),
    Column("position", Integer, nullable=False),
    text("label"),
    text("slug"),
    text("kind"),
    # With what the round first began: the one before it ended then. Written once, for boards of the past lean on it.
    Column("baseline_version", BigInteger),
    Column("baseline_at", Instant),
    UniqueConstraint("tournament_id", "id", name="uq_rounds_tournament"),
    UniqueConstraint("tournament_id", "slug", name="uq_rounds_slug"),
    UniqueConstraint("tournament_id", "position", name="uq_rounds_position", deferrable=True, initially="DEFERRED"),
    one_of("kind", RoundKind),
    CheckConstraint("(baseline_version IS NULL) = (baseline_at IS NULL)", name="baseline"),
)

teams = Table(
    "teams",
    metadata,
    Column("id", Uuid, primary_key=True),
    text("name"),
    text("short_name", nullable=True),
    text("code", nullable=True),
    text("badge_key", nullable=True),
)

# Many names of a provider may stand for one object of ours: an id that changes at the provider is linked, not doubled.
provider_refs = Table(
    "provider_refs",
    metadata,
    Column("provider", text("provider").type, primary_key=True),
    Column("kind", text("kind").type, primary_key=True),
    Column("external_id", text("external_id").type, primary_key=True),
    Column("entity_id", Uuid, nullable=False),
    Column("tournament_id", Uuid, ForeignKey("tournaments.id")),
    created_at("first_seen_at"),
    one_of("provider", Provider),
    CheckConstraint("kind IN ('TEAM', 'MATCH')", name="kind"),
)
Index("ix_provider_refs_entity", provider_refs.c.kind, provider_refs.c.entity_id)

standings = Table(
    "standings",
    metadata,
    Column("tournament_id", Uuid, ForeignKey("tournaments.id"), primary_key=True),
    Column("group_name", text("group_name").type, primary_key=True),
    Column("team_id", Uuid, ForeignKey("teams.id"), primary_key=True),
    Column("is_computed", Boolean, nullable=False),
    Column("position", Integer, nullable=False),
    *(
        Column(name, Integer, nullable=False)
        for name in ("played", "won", "drawn", "lost", "goals_for", "goals_against", "points")
    ),
    CheckConstraint("played = won + drawn + lost", name="played"),
)
