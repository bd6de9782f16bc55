"""Tables of members and their sessions."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, Table
from sqlalchemy import text as sql

from domain.member.model import FORMER_MEMBER, PlatformRole
from domain.tables import Instant, Uuid, created_at, metadata, one_of, text

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("epoch", Uuid, nullable=False),
    text("identity", nullable=True),
    created_at(),
    CheckConstraint("id = 1", name="one_row"),
)

members = Table(
    "members",
    metadata,
    Column("id", Uuid, primary_key=True),
    text("nick_name"),
    text("email", nullable=True),
    Column("email_confirmed_at", Instant),
    text("password_hash", nullable=True),
    text("platform_role", server_default=PlatformRole.MEMBER),
    text("time_zone", server_default="UTC"),
    Column("erased_at", Instant),
    created_at(),
    one_of("platform_role", PlatformRole),
    CheckConstraint("length(nick_name) BETWEEN 2 AND 30", name="nick_name"),
    # Whoever erases an account, no board, file or stream shows its name again.
    CheckConstraint(
        f"erased_at IS NULL OR (email IS NULL AND password_hash IS NULL AND nick_name = '{FORMER_MEMBER}')",
        name="erased",
    ),
)
Index(
    "uq_members_email", sql("lower(email)"), unique=True, _table=members, postgresql_where=members.c.erased_at.is_(None)
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("member_id", Uuid, ForeignKey("members.id"), nullable=False),
    created_at(),
    Column("last_seen_at", Instant, nullable=False, server_default=sql("clock_timestamp()")),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    text("user_agent", nullable=True),
)
Index("ix_sessions_live", sessions.c.member_id, postgresql_where=sessions.c.revoked_at.is_(None))
