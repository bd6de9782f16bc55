"""Accounts and sessions on a real database."""

import asyncio
import time
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text, update

from domain.audit.tables import audit_log
from domain.errors import DomainError, Refused
from domain.ids import MemberId, SessionId
from domain.member import service
from domain.member.model import FORMER_MEMBER, Member, NewSession, PlatformRole
from domain.member.passwords import Passwords
from domain.member.tables import members, sessions
from runtime.database import PostgresDatabase
from tests.support.football import make_member

PASSWORD = "a fine passphrase"
FAST = Passwords(memory_kib=64, passes=1)


async def sign_up(database: PostgresDatabase, **change: Any) -> NewSession:
    values = {"email": "ana@example.org", "password": PASSWORD, "nick_name": "Ana", "time_zone": "Europe/Lisbon"}
    return await service.sign_up(
        database,
        **{**values, **change},
        user_agent="Browser 1",
        session_days=30,
        request_id="r1",
        passwords=FAST,
    )


async def sign_in(database: PostgresDatabase, email: str, password: str) -> NewSession:
    return await service.sign_in(
        database, email=email, password=password, user_agent=None, session_days=30, request_id="r2", passwords=FAST
    )


async def test_signing_up_creates_an_account_and_a_session(database: PostgresDatabase) -> None:
    made = await sign_up(database, email="  Ana@Example.org ", nick_name=" Ana  ")
    assert made.account.email == "Ana@Example.org"
    assert made.account.nick_name == "Ana"
    assert made.account.time_zone == "Europe/Lisbon"
    assert made.account.has_password
    assert made.account.email_confirmed_at is None
    assert made.account.platform_role is PlatformRole.MEMBER
    assert await service.authenticate(database, made.token) == (made.session, made.account)
    assert await service.read_account(database, made.account.id) == made.account


async def test_only_hashes_are_stored(database: PostgresDatabase) -> None:
    made = await sign_up(database)
    async with database.read() as connection:
        stored = (await connection.execute(select(members.c.password_hash))).scalar_one()
        token_hash = (await connection.execute(select(sessions.c.token_hash))).scalar_one()
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored
    assert token_hash == sha256(made.token.encode()).digest()
    assert len(made.token) == 43


async def test_the_default_cost_of_a_password_hash_is_that_of_owasp() -> None:
    assert (await Passwords().hash(PASSWORD)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_all_faults_come_together_with_a_used_address(database: PostgresDatabase) -> None:
    await sign_up(database)
    with pytest.raises(Refused) as refused:
        await sign_up(database, email="ANA@example.org", password="short", nick_name="", time_zone="Nowhere")
    assert [(fault.code, fault.field) for fault in refused.value.faults] == [
        ("INVALID_INPUT", ("password",)),
        ("INVALID_INPUT", ("nickName",)),
        ("INVALID_INPUT", ("timeZone",)),
        ("EMAIL_IN_USE", ("email",)),
    ]


async def test_one_of_many_at_once_gets_an_address(database: PostgresDatabase) -> None:
    asked = [sign_up(database, email=email) for email in ("ana@example.org", "ANA@EXAMPLE.ORG") * 5]
    made = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in made if isinstance(one, Refused)]
    assert len(refused) == 9
    assert {fault.code for one in refused for fault in one.faults} == {"EMAIL_IN_USE"}
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(members))).scalar_one() == 1
        assert (await connection.execute(select(func.count()).select_from(sessions))).scalar_one() == 1


async def test_signing_in(database: PostgresDatabase) -> None:
    made = await sign_up(database)
    again = await sign_in(database, " ANA@example.ORG ", PASSWORD)
    assert again.account == made.account
    assert again.session.id != made.session.id
    assert await service.ended_among(database, [made.session.id, again.session.id]) == set()


async def test_an_accent_may_be_composed_either_way(database: PostgresDatabase) -> None:
    await sign_up(database, password="gelöst und fertig")
    await sign_in(database, "ana@example.org", "gelo\u0308st und fertig")


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ana@example.org", "another passphrase"),
        ("ana@example.org", ""),
        ("ana@example.org", PASSWORD + "x" * 5000),
        ("bea@example.org", PASSWORD),
        ("bare@example.org", PASSWORD),
        ("nobody\x00", PASSWORD),
        ("x" * 10_000, PASSWORD),
    ],
)
async def test_wrong_credentials_are_all_refused_alike(database: PostgresDatabase, email: str, password: str) -> None:
    await sign_up(database)
    await make_member(database, "No password", email="bare@example.org")
    with pytest.raises(DomainError) as refused:
        await sign_in(database, email, password)
    assert (refused.value.code, refused.value.message, refused.value.field) == (
        "INVALID_CREDENTIALS",
        "E-mail or password is wrong.",
        None,
    )


async def test_an_unknown_address_takes_as_long_as_a_wrong_password(database: PostgresDatabase) -> None:
    slow = Passwords(memory_kib=32_768, passes=4)
    await service.sign_up(
        database,
        email="ana@example.org",
        password=PASSWORD,
        nick_name="Ana",
        time_zone="UTC",
        user_agent=None,
        session_days=1,
        request_id="r1",
        passwords=slow,
    )

    async def seconds(email: str) -> float:
        began = time.perf_counter()
        with pytest.raises(DomainError):
            await service.sign_in(
                database,
                email=email,
                password="another passphrase",
                user_agent=None,
                session_days=1,
                request_id="r2",
                passwords=slow,
            )
        return time.perf_counter() - began

    # The least of several, in turn: other processes of the machine only ever add.
    known, unknown = [], []
    for _ in range(5):
        known.append(await seconds("ana@example.org"))
        unknown.append(await seconds("bea@example.org"))
    assert 0.5 < min(known) / min(unknown) < 2


async def test_a_session_ends_by_the_database_clock(database: PostgresDatabase) -> None:
    made = await sign_up(database)
    async with database.begin() as connection:
        await connection.execute(update(sessions).values(expires_at=func.clock_timestamp()))
    assert await service.authenticate(database, made.token) is None
    assert await service.ended_among(database, [made.session.id]) == {made.session.id}


async def test_a_session_lasts_its_days(database: PostgresDatabase) -> None:
    await sign_up(database)
    async with database.read() as connection:
        lasts = sessions.c.expires_at - func.clock_timestamp()
        days = (
            await connection.execute(select(func.extract("epoch", lasts) / 86_400).select_from(sessions))
        ).scalar_one()
    assert 29.99 < days < 30


async def test_signing_out_ends_one_session_and_may_be_repeated(database: PostgresDatabase) -> None:
    made = await sign_up(database)
    other = await sign_in(database, "ana@example.org", PASSWORD)
    await service.sign_out(database, made.session.id)
    await service.sign_out(database, made.session.id)
    assert await service.authenticate(database, made.token) is None
    assert await service.authenticate(database, other.token) is not None
    asked = [made.session.id, other.session.id, SessionId(uuid4())]
    assert await service.ended_among(database, asked) == {asked[0], asked[2]}


@pytest.mark.parametrize("token", ["", "unknown", "\x00", "\ud800", "x" * 100_000])
async def test_an_unknown_token_is_nobodys(database: PostgresDatabase, token: str) -> None:
    await sign_up(database)
    assert await service.authenticate(database, token) is None


async def test_an_erased_member_has_no_session(database: PostgresDatabase) -> None:
    made = await sign_up(database)
    async with database.begin() as connection:
        erased = {"erased_at": func.clock_timestamp(), "email": None, "password_hash": None}
        await connection.execute(update(members).values(erased | {"nick_name": FORMER_MEMBER}))
    assert await service.authenticate(database, made.token) is None
    assert await service.ended_among(database, [made.session.id]) == {made.session.id}
    assert await service.read_account(database, made.account.id) is None
    with pytest.raises(DomainError):
        await sign_in(database, "ana@example.org", PASSWORD)


async def test_last_seen_moves_at_most_once_a_minute(database: PostgresDatabase) -> None:
    made = await sign_up(database)

    async def seen_now() -> bool:
        async with database.read() as connection:
            recent = sessions.c.last_seen_at > func.clock_timestamp() - text("interval '30 seconds'")
            return bool((await connection.execute(select(recent))).scalar_one())

    async def last_seen(seconds: int) -> None:
        async with database.begin() as connection:
            ago = func.clock_timestamp() - text(f"interval '{seconds} seconds'")
            await connection.execute(update(sessions).values(last_seen_at=ago))

    await last_seen(55)
    await service.authenticate(database, made.token)
    assert not await seen_now()
    await last_seen(61)
    await service.authenticate(database, made.token)
    assert await seen_now()


async def test_promotion_is_recorded_once_as_an_operators_act(database: PostgresDatabase) -> None:
    made = await sign_up(database)
    assert await service.promote(database, "nobody@example.org") is None
    for _ in range(2):
        account = await service.promote(database, " Ana@Example.ORG")
        assert account is not None
        assert account.platform_role is PlatformRole.ADMIN
    assert await service.platform_role(database, made.account.id) is PlatformRole.ADMIN
    async with database.read() as connection:
        acts = (await connection.execute(select(audit_log).where(audit_log.c.action == "changePlatformRole"))).all()
    assert [(act.actor_kind, act.actor_id, act.subject_id, act.before, act.after) for act in acts] == [
        ("OPERATOR", None, made.account.id, {"platformRole": "MEMBER"}, {"platformRole": "ADMIN"})
    ]


async def test_members_as_others_see_them(database: PostgresDatabase) -> None:
    ana = await make_member(database, "Ana", email="ana@example.org")
    bea = await make_member(database, "Bea")
    unknown = MemberId(uuid4())
    assert await service.read_members(database, [ana, unknown, bea]) == {
        ana: Member(ana, "Ana"),
        bea: Member(bea, "Bea"),
    }
    assert await service.platform_role(database, ana) is PlatformRole.MEMBER
    assert await service.platform_role(database, unknown) is None
