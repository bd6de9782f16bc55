"""Tables of leagues."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE

from domain.league.model import LeagueRole, LeagueTournamentStatus, LeftCause
from domain.tables import Instant, Uuid, created_at, metadata, one_of, text

leagues = Table(
    "leagues",
    metadata,
    Column("id", Uuid, primary_key=True),
    text("name"),
    text("description", nullable=True),
    Column("founder_id", Uuid, ForeignKey("members.id"), nullable=False),
    Column("board_version", BigInteger, nullable=False, server_default="0"),
    Column("deleted_at", Instant),
    created_at(),
    CheckConstraint("length(name) BETWEEN 3 AND 60", name="name"),
    CheckConstraint("length(description) <= 500", name="description"),
)

# Intervals of membership, so that a board of an earlier moment has the members of that moment.
league_members = Table(
    "league_members",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("league_id", Uuid, ForeignKey("leagues.id"), nullable=False),
    Column("member_id", Uuid, ForeignKey("members.id"), nullable=False),
    text("role"),
    created_at("joined_at"),
    Column("left_at", Instant),
    text("left_cause", nullable=True),
    # When the member was a VIEWER; a trigger notes it.
    Column("watched", TSTZMULTIRANGE, nullable=False, server_default="{}"),
    one_of("role", LeagueRole),
    one_of("left_cause", LeftCause),
    CheckConstraint("(left_at IS NULL) = (left_cause IS NULL)", name="left_at"),
)
Index(
    "uq_league_members_live",
    league_members.c.league_id,
    league_members.c.member_id,
    unique=True,
    postgresql_where=league_members.c.left_at.is_(None),
)
Index("ix_league_members_member", league_members.c.member_id, postgresql_where=league_members.c.left_at.is_(None))

# Never deleted: adding a tournament again brings its former ruleset back.
league_tournaments = Table(
    "league_tournaments",
    metadata,
    Column("league_id", Uuid, ForeignKey("leagues.id"), primary_key=True),
    Column("tournament_id", Uuid, ForeignKey("tournaments.id"), primary_key=True),
    Column("ruleset_id", Uuid, ForeignKey("rulesets.id"), nullable=False),
    text("status"),
    created_at("added_at"),
    Column("removed_at", Instant),
    # When it was not played in between; taking it up again notes it.
    Column("gaps", TSTZMULTIRANGE, nullable=False, server_default="{}"),
    one_of("status", LeagueTournamentStatus),
)
Index("ix_league_tournaments_tournament", league_tournaments.c.tournament_id)

league_invites = Table(
    "league_invites",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("league_id", Uuid, ForeignKey("leagues.id"), nullable=False),
    text("code", unique=True),
    text("role"),
    Column("expires_at", Instant),
    Column("max_uses", Integer),
    Column("uses", Integer, nullable=False, server_default="0"),
    Column("created_by", Uuid, ForeignKey("members.id"), nullable=False),
    created_at(),
    Column("revoked_at", Instant),
    CheckConstraint("role IN ('MEMBER', 'VIEWER')", name="role"),
    CheckConstraint("uses BETWEEN 0 AND coalesce(max_uses, uses)", name="uses"),
    CheckConstraint("length(code) >= 10", name="code"),
)
Index("ix_league_invites_league", league_invites.c.league_id)
