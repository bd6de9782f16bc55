"""Accounts: signing up, in and out, who a session belongs to, and who may run the platform."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from domain.audit import service as audit
from domain.audit.model import Act
from domain.database import Database
from domain.errors import NotFound, Refused
from domain.ids import MemberId, SessionId, new_id
from domain.member import rules, store
from domain.member.model import Account, Member, NewSession, PlatformRole, Session
from domain.member.passwords import Passwords

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# Bounds what hashing takes of the process; see there.
_PASSWORDS = Passwords()


async def sign_up(
    database: Database,
    *,
    email: str,
    password: str,
    nick_name: str,
    time_zone: str,
    user_agent: str | None,
    session_days: float,
    request_id: str,
    passwords: Passwords = _PASSWORDS,
) -> NewSession:
    """Create an account and sign in.

    Raises:
        Refused: all that is wrong with the input, EMAIL_IN_USE included.
    """
    email, nick_name = email.strip(), nick_name.strip()
    faults = rules.sign_up_faults(email=email, password=password, nick_name=nick_name, time_zone=time_zone)
    if not any(fault.field == ("email",) for fault in faults):
        async with database.read() as connection:
            faults += [rules.email_in_use()] * await store.email_exists(connection, email)
    if faults:
        raise Refused(faults)
    password_hash = await passwords.hash(password)
    async with database.begin() as connection:
        member_id = MemberId(new_id())
        account = await store.insert_member(
            connection,
            member_id,
            email=email,
            password_hash=password_hash,
            nick_name=nick_name,
            time_zone=time_zone,
        )
        if account is None:
            raise Refused([rules.email_in_use()])
        await audit.record(connection, _act("signUp", member_id, request_id))
        return await _begin_session(connection, account, user_agent, session_days)


async def sign_in(
    database: Database,
    *,
    email: str,
    password: str,
    user_agent: str | None,
    session_days: float,
    request_id: str,
    passwords: Passwords = _PASSWORDS,
) -> NewSession:
    """Sign in; an unknown address is refused like a wrong password, after the same work.

    Raises:
        InvalidCredentials: no account has this address and password.
        Unauthenticated: the account is deleted at this very moment.
    """
    found = None
    if not rules.email_faults(email.strip()):
        async with database.read() as connection:
            found = await store.credentials_of(connection, email.strip())
    # A longer one than may be set is refused here too: hashing must not be made to work on any length.
    is_right = await passwords.verify(password[: rules.LONGEST_PASSWORD + 1], found.password_hash if found else None)
    if found is None or not is_right:
        raise rules.InvalidCredentials("E-mail or password is wrong.")
    async with database.begin() as connection:
        await store.lock_member(connection, found.account.id)
        await audit.record(connection, _act("signIn", found.account.id, request_id))
        return await _begin_session(connection, found.account, user_agent, session_days)


async def sign_out(database: Database, session_id: SessionId) -> None:
    """End a session; ending it again changes nothing."""
    async with database.begin() as connection:
        await store.revoke_session(connection, session_id)


async def sessions_page(
    database: Database, member_id: MemberId, *, first: int, after: tuple[datetime, SessionId] | None = None
) -> list[Session]:
    """Live sessions of a member, latest seen first: up to `first` + 1 of those behind `after`."""
    async with database.read() as connection:
        return await store.sessions_of(connection, member_id, first=first, after=after)


async def own_session(database: Database, member_id: MemberId, session_id: SessionId) -> Session | None:
    """A live session of the member."""
    async with database.read() as connection:
        return await store.own_session(connection, member_id, session_id)


async def revoke_session(database: Database, member_id: MemberId, session_id: SessionId) -> None:
    """End one of a member's sessions.

    Raises:
        NotFound: the member has no such session, or not any more.
    """
    async with database.begin() as connection:
        if await store.own_session(connection, member_id, session_id) is None:
            raise NotFound("There is no such session.", field=("sessionId",))
        await store.revoke_session(connection, session_id)


async def authenticate(database: Database, token: str) -> tuple[Session, Account] | None:
    """The live session of a token and its account; None when it is unknown, revoked or expired by database time."""
    return (await authenticate_all(database, [token])).get(token)


async def authenticate_all(database: Database, tokens: Sequence[str]) -> dict[str, tuple[Session, Account]]:
    """Those of the tokens that have a live session, as `authenticate` has it."""
    hashes = {token: _token_hash(token) for token in tokens}
    found = await store.sessions_by_token(database, list(hashes.values()))
    return {token: found[name] for token, name in hashes.items() if name in found}


async def ended_among(database: Database, session_ids: Iterable[SessionId]) -> set[SessionId]:
    """Those of the sessions that have ended, or never were: few, however many are asked about."""
    async with database.read() as connection:
        return await store.ended_sessions(connection, session_ids)


async def live_sessions(database: Database, session_ids: Iterable[SessionId]) -> dict[SessionId, SessionId]:
    """Those of the sessions that go on, by themselves: for many who ask at once."""
    asked = set(session_ids)
    return {found: found for found in asked - await ended_among(database, asked)}


async def read_account(database: Database, member_id: MemberId) -> Account | None:
    """The member's own view of the account; None when there is none, or no longer."""
    async with database.read() as connection:
        return await store.read_account(connection, member_id)


async def read_members(database: Database, ids: Iterable[MemberId]) -> dict[MemberId, Member]:
    """Those of the members that exist, as others see them."""
    return {member.id: member for member in await store.read_members(database, ids)}


async def platform_role(database: Database, member_id: MemberId) -> PlatformRole | None:
    """The role that a member has at this moment; None when there is no such account."""
    account = await read_account(database, member_id)
    return None if account is None else account.platform_role


async def promote(database: Database, email: str, *, request_id: str = "command line") -> Account | None:
    """Make the account with this address a platform admin, on an operator's behalf; None when there is none."""
    async with database.begin() as connection:
        account = await store.account_for_update(connection, email.strip())
        if account is None or account.platform_role is PlatformRole.ADMIN:
            return account
        await store.set_platform_role(connection, account.id, PlatformRole.ADMIN)
        act = Act(
            "changePlatformRole",
            None,
            request_id,
            subject_kind="MEMBER",
            subject_id=account.id,
            before={"platformRole": account.platform_role.value},
            after={"platformRole": PlatformRole.ADMIN.value},
        )
        await audit.record(connection, act)
        return await store.read_account(connection, account.id)


async def _begin_session(
    connection: "AsyncConnection", account: Account, user_agent: str | None, days: float
) -> NewSession:
    token = secrets.token_urlsafe(32)
    session = await store.insert_session(
        connection,
        SessionId(new_id()),
        account.id,
        token_hash=_token_hash(token),
        user_agent=rules.shown_user_agent(user_agent),
        days=days,
    )
    return NewSession(token, session, account)


def _token_hash(token: str) -> bytes:
    """All that is stored of a token, whose 32 random bytes need no salt."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _act(action: str, member_id: MemberId, request_id: str) -> Act:
    return Act(action, member_id, request_id, subject_kind="MEMBER", subject_id=member_id)
