"""SQL of members and their sessions. Sessions end by the database's clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Select,
    bindparam,
    column,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.database import Database
from domain.errors import Unauthenticated
from domain.ids import MemberId, SessionId
from domain.member.model import Account, Member, PlatformRole, Session
from domain.member.tables import members, sessions
from domain.tables import Instant, Uuid, any_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account with what its password is checked against."""

    account: Account
    password_hash: str | None


async def insert_member(
    connection: "AsyncConnection",
    member_id: MemberId,
    *,
    email: str,
    password_hash: str,
    nick_name: str,
    time_zone: str,
) -> Account | None:
    """The new account; None when another one has the address."""
    values = {
        "id": member_id,
        "email": email,
        "password_hash": password_hash,
        "nick_name": nick_name,
        "time_zone": time_zone,
    }
    statement = upsert(members).values(values).on_conflict_do_nothing().returning(*_ACCOUNT)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_account(row)


async def email_exists(connection: "AsyncConnection", email: str) -> bool:
    return (await connection.execute(select(members.c.id).where(_has_email(email)))).one_or_none() is not None


async def credentials_of(connection: "AsyncConnection", email: str) -> Credentials | None:
    statement = select(*_ACCOUNT, members.c.password_hash).where(_has_email(email))
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else Credentials(_to_account(row), row.password_hash)


async def read_account(connection: "AsyncConnection", member_id: MemberId) -> Account | None:
    statement = select(*_ACCOUNT).where(members.c.id == member_id, members.c.erased_at.is_(None))
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_account(row)


async def read_members(database: Database, ids: Iterable[MemberId]) -> list[Member]:
    rows = await database.fetch(_MEMBERS, {"ids": list(ids)})
    return [Member(MemberId(row.id), row.nick_name) for row in rows]


async def account_for_update(connection: "AsyncConnection", email: str) -> Account | None:
    statement = select(*_ACCOUNT).where(_has_email(email)).with_for_update()
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_account(row)


async def set_platform_role(connection: "AsyncConnection", member_id: MemberId, role: PlatformRole) -> None:
    await connection.execute(update(members).where(members.c.id == member_id).values(platform_role=role))


async def write_profile(connection: "AsyncConnection", account: Account) -> None:
    """Store nick name and time zone."""
    values = {"nick_name": account.nick_name, "time_zone": account.time_zone}
    await connection.execute(update(members).where(members.c.id == account.id).values(values))


async def lock_member(connection: "AsyncConnection", member_id: MemberId) -> None:
    """Let one transaction at a time change what is counted for a member, such as the leagues that the member is in.

    Raises Unauthenticated when the account has been deleted since its session was looked at.
    """
    statement = select(members.c.id).where(members.c.id == member_id, members.c.erased_at.is_(None))
    if (await connection.execute(statement.with_for_update(key_share=True))).first() is None:
        raise Unauthenticated("The account was deleted.")


# ---------------------------------------------------------------- sessions


async def insert_session(
    connection: "AsyncConnection",
    session_id: SessionId,
    member_id: MemberId,
    *,
    token_hash: bytes,
    user_agent: str | None,
    days: float,
) -> Session:
    """A session that ends by itself after `days`."""
    statement = insert(sessions).values(
        id=session_id,
        member_id=member_id,
        token_hash=token_hash,
        user_agent=user_agent,
        expires_at=func.clock_timestamp() + literal(days) * text("interval '1 day'"),
    )
    row = (await connection.execute(statement.returning(*_SESSION))).one()
    return _to_session(row)


async def sessions_by_token(database: Database, token_hashes: Sequence[bytes]) -> dict[bytes, tuple[Session, Account]]:
    """By hash the live sessions and their accounts. Those that were last seen a while ago are noted to be in use."""
    rows = await database.fetch(_SESSIONS_BY_TOKEN, {"hashes": token_hashes})
    return {row.token_hash: (_to_session(row), _to_account(row)) for row in rows}


async def revoke_session(connection: "AsyncConnection", session_id: SessionId) -> None:
    """End a session; ending it again changes nothing."""
    await connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id, sessions.c.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
    )


async def sessions_of(
    connection: "AsyncConnection", member_id: MemberId, *, first: int, after: tuple[datetime, SessionId] | None
) -> list[Session]:
    """Live sessions of a member, latest seen first: up to `first` + 1 of those behind `after`."""
    place = tuple_(sessions.c.last_seen_at, sessions.c.id)
    statement = _live_sessions(*_SESSION).where(sessions.c.member_id == member_id)
    if after is not None:
        statement = statement.where(place < tuple_(literal(after[0], Instant), literal(after[1], Uuid)))
    statement = statement.order_by(sessions.c.last_seen_at.desc(), sessions.c.id.desc()).limit(first + 1)
    return [_to_session(row) for row in await connection.execute(statement)]


async def own_session(connection: "AsyncConnection", member_id: MemberId, session_id: SessionId) -> Session | None:
    """A live session of a member; None when it is not the member's, or has ended."""
    statement = _live_sessions(*_SESSION).where(sessions.c.id == session_id, sessions.c.member_id == member_id)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_session(row)


async def ended_sessions(connection: "AsyncConnection", ids: Iterable[SessionId]) -> set[SessionId]:
    """Those of the sessions that are not live."""
    rows = await connection.execute(_ENDED_SESSIONS, {"ids": list(ids)})
    return {SessionId(row.id) for row in rows}


_ACCOUNT = (
    members.c.id.label("account_id"),
    members.c.nick_name,
    members.c.email,
    members.c.email_confirmed_at,
    members.c.password_hash.is_not(None).label("has_password"),
    members.c.platform_role,
    members.c.time_zone,
)
_SESSION = tuple(
    sessions.c[name] for name in ("id", "member_id", "user_agent", "created_at", "last_seen_at", "expires_at")
)


def _live_sessions(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(sessions.join(members, members.c.id == sessions.c.member_id))
        .where(
            sessions.c.revoked_at.is_(None),
            sessions.c.expires_at > func.clock_timestamp(),
            members.c.erased_at.is_(None),
        )
    )


# Built once, for nearly every request runs them: building takes longer than running.
_ASKED = func.unnest(bindparam("ids", type_=ARRAY(Uuid))).table_valued(column("id", Uuid)).render_derived("asked")
_ENDED_SESSIONS = select(_ASKED.c.id).where(~_live_sessions(sessions.c.id).where(sessions.c.id == _ASKED.c.id).exists())
_MEMBERS = select(members.c.id, members.c.nick_name).where(any_of(members.c.id, "ids"))
_BY_TOKEN = any_of(sessions.c.token_hash, "hashes")
_WAS_SEEN_A_WHILE_AGO = sessions.c.last_seen_at < func.clock_timestamp() - text("interval '1 minute'")
# Unless another request is just doing so: nobody waits for it.
_FREE = _live_sessions(sessions.c.id).where(_BY_TOKEN, _WAS_SEEN_A_WHILE_AGO)
_SEEN = (
    update(sessions)
    .where(sessions.c.id.in_(_FREE.with_for_update(of=sessions, skip_locked=True, key_share=True)))
    .values(last_seen_at=func.clock_timestamp())
)
_SESSIONS_BY_TOKEN = (
    _live_sessions(sessions.c.token_hash, *_SESSION, *_ACCOUNT).where(_BY_TOKEN).add_cte(_SEEN.cte("seen"))
)


def _has_email(email: str) -> ColumnElement[bool]:
    """The database folds both sides, as its unique index does."""
    same = func.lower(members.c.email) == func.lower(literal(email))
    return same & members.c.erased_at.is_(None)


def _to_account(row: Row[Any]) -> Account:
    return Account(
        id=MemberId(row.account_id),
        nick_name=row.nick_name,
        email=row.email,
        email_confirmed_at=row.email_confirmed_at,
        has_password=row.has_password,
        platform_role=PlatformRole(row.platform_role),
        time_zone=row.time_zone,
    )


def _to_session(row: Row[Any]) -> Session:
    return Session(
        SessionId(row.id), MemberId(row.member_id), row.user_agent, row.created_at, row.last_seen_at, row.expires_at
    )
