"""Questions that come together are one statement, and each answer is newer than its question."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import func

from domain.database import Database
from domain.ids import LeagueId, MemberId, new_id
from domain.league.membership import service as memberships
from domain.league.model import LeagueRole
from domain.league.tables import league_members
from domain.member.service import read_members
from resolvers.desks import Desks
from runtime.database import PostgresDatabase
from tests.support.football import make_league, make_member, make_members
from tests.support.statements import recorded_statements


def _asking(database: PostgresDatabase) -> Callable[[LeagueId, MemberId], Awaitable[LeagueRole | None]]:
    """What tells the role of a member in a league."""
    desks = Desks(database)

    async def ask(league_id: LeagueId, member_id: MemberId) -> LeagueRole | None:
        found = await desks.read(memberships.roles_of, [(league_id, member_id)])
        return found.get((league_id, member_id))

    return ask


async def test_many_questions_are_one_statement(database: PostgresDatabase) -> None:
    ana = await make_member(database, "Ana")
    crowd = await make_members(database, 200)
    league = await make_league(database, "Office", ana, members=crowd[:100], viewers=crowd[100:110])
    other = await make_league(database, "Other", crowd[150])
    ask = _asking(database)
    await ask(league, ana)
    with recorded_statements(database) as statements:
        asked = [ask(league, member_id) for member_id in [ana, *crowd]]
        found = await asyncio.gather(*asked, ask(other, crowd[150]), ask(LeagueId(new_id()), ana))

    assert len(statements) == 1
    assert found[:101] == [LeagueRole.ADMIN] + [LeagueRole.MEMBER] * 100
    assert found[101:111] == [LeagueRole.VIEWER] * 10
    assert found[111:201] == [None] * 90
    assert found[201:] == [LeagueRole.ADMIN, None]


async def test_who_asks_after_a_removal_hears_of_it(database: PostgresDatabase) -> None:
    ana, bob = await make_member(database, "Ana"), await make_member(database, "Bob")
    league = await make_league(database, "Office", ana, members=[bob])
    ask = _asking(database)
    under_way = asyncio.ensure_future(ask(league, bob))
    await asyncio.sleep(0)  # its statement may be on its way
    async with database.begin() as connection:
        gone = league_members.update().where(league_members.c.member_id == bob)
        await connection.execute(gone.values(left_at=func.clock_timestamp(), left_cause="REMOVED"))
    assert await ask(league, bob) is None
    await under_way


async def test_a_failure_reaches_whoever_asked_and_holds_nobody_up() -> None:
    ask = _asking(PostgresDatabase.create("postgresql+asyncpg://nobody@127.0.0.1:1/nothing"))
    question = LeagueId(new_id()), MemberId(new_id())
    for _ in range(2):
        answers = [asyncio.ensure_future(ask(*question)) for _ in range(3)]
        await asyncio.sleep(0)
        answers[0].cancel()
        found = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 10)
        assert isinstance(found[0], asyncio.CancelledError)
        assert all(isinstance(answer, OSError) for answer in found[1:])


async def test_a_server_that_says_nothing_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.desks._PATIENCE", 0.1)
    asked = asyncio.Event()

    async def service(_: Database, keys: list[int]) -> dict[int, int]:
        if not asked.is_set():
            asked.set()
            await asyncio.Event().wait()
        return dict(zip(keys, keys, strict=True))

    desks = Desks(PostgresDatabase.create("postgresql+asyncpg://nobody@127.0.0.1:1/nothing"))
    first = asyncio.ensure_future(desks.read(service, [1]))
    await asked.wait()
    second = asyncio.ensure_future(desks.read(service, [2]))
    with pytest.raises(TimeoutError):
        await first
    assert (await asyncio.wait_for(second, 10))[2] == 2


async def test_other_operations_are_read_for_while_one_is_read_for(database: PostgresDatabase) -> None:
    members = await make_members(database, 40)
    desks = Desks(database)
    with recorded_statements(database) as statements:
        first = asyncio.ensure_future(desks.read(read_members, members[:1]))
        await asyncio.sleep(0)
        others = [desks.read(read_members, members[number : number + 2]) for number in range(39)]
        found = await asyncio.gather(first, *others)

    assert len(statements) == 2
    for number, names in enumerate(found[1:]):
        assert {members[number], members[number + 1]} <= names.keys()
