"""Members, as everybody and as they themselves see them, and their sessions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ids import MemberId, SessionId

FORMER_MEMBER = "Former member"
"""What whoever has deleted the account is called."""


class PlatformRole(StrEnum):
    MEMBER = "MEMBER"
    ADMIN = "ADMIN"


@dataclass(frozen=True, slots=True)
class Member:
    """A person with an account, as others see them."""

    id: MemberId
    nick_name: str


@dataclass(frozen=True, slots=True)
class Account:
    """The member's own view of the account."""

    id: MemberId
    nick_name: str
    email: str | None
    email_confirmed_at: datetime | None
    has_password: bool
    platform_role: PlatformRole
    time_zone: str


@dataclass(frozen=True, slots=True)
class Session:
    id: SessionId
    member_id: MemberId
    user_agent: str | None
    created_at: datetime
    last_seen_at: datetime
    """To the minute."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ManagedMember:
    """A member as platform admins see one."""

    id: MemberId
    nick_name: str
    platform_role: PlatformRole
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just begun: the only moment at which its token is known in clear."""

    token: str
    session: Session
    account: Account
