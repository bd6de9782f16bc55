"""Commands that many admins give at the same time: accepted together, each with its own outcome."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from domain.audit.tables import audit_log
from domain.errors import NotFound, WrongState
from domain.execution.desk import CommandDesk
from domain.execution.model import Command, ExecutionTrigger, Operation, Target
from domain.execution.service import Accepted, accept, live_executions
from domain.ids import MatchId, new_id
from domain.outbox.model import Topic
from tests.support.football import make_members, make_tournament
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


def settle(match_id: MatchId, **params: bool) -> Command:
    return Command(Operation.SETTLE_MATCH, Target(match_id=match_id), params)


async def test_each_of_many_has_its_own_outcome(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=20)
    admins = await make_members(database, 26)
    desk = CommandDesk(database)
    commands = [settle(match_id) for match_id in made.matches]
    commands += [settle(made.matches[3]), settle(made.matches[4])]  # the same as others that come with them
    commands += [settle(made.matches[5], dryRun=True), settle(MatchId(new_id()))]
    commands += [Command(Operation.SETTLE_MATCH, Target(new_id(), None, made.matches[6]), {})]
    commands += [Command(Operation.SYNC_CURRENT_ROUND, Target(), {})]

    async def run(number: int) -> Accepted:
        return await desk.run(commands[number], actor_id=admins[number], reason=f"no {number}", request_id=f"r{number}")

    outcomes = await asyncio.gather(*map(run, range(len(commands))), return_exceptions=True)
    accepted = [one for one in outcomes if isinstance(one, Accepted)]

    assert [type(one) for one in outcomes[22:25]] == [WrongState, NotFound, NotFound]
    assert [one.already_live for one in accepted] == [False] * 20 + [True, True, False]
    assert [one.execution.id for one in accepted[20:22]] == [one.execution.id for one in accepted[3:5]]
    assert {one.id for one in await live_executions(database)} == {one.execution.id for one in accepted}
    async with database.read() as connection:
        lines = (await connection.execute(select(audit_log))).all()
        sent = (await connection.execute(text("SELECT topic, message FROM outbox"))).all()
    assert Counter((line.actor_id, line.reason, line.request_id, line.execution_id) for line in lines) == Counter(
        (admins[number], f"no {number}", f"r{number}", one.execution.id)
        for number, one in enumerate(outcomes)
        if isinstance(one, Accepted)
    )
    jobs = [row.message["executionId"] for row in sent if row.topic == Topic.JOB]
    assert sorted(jobs) == sorted({str(one.execution.id) for one in accepted})


async def test_fifty_at_once_take_few_transactions(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=50)
    (admin,) = await make_members(database, 1)
    desk = CommandDesk(database)
    with recorded_statements(database) as statements:
        await asyncio.gather(
            *(desk.run(settle(one), actor_id=admin, reason="all at once", request_id="r") for one in made.matches)
        )
    assert len(await live_executions(database)) == 50
    assert len(statements) <= 2 * 6


async def test_one_that_somebody_holds_does_not_hold_up_the_others(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=3)
    (admin,) = await make_members(database, 1)
    desk = CommandDesk(database)

    def run(match_id: MatchId) -> asyncio.Task[Accepted]:
        return asyncio.create_task(desk.run(settle(match_id), actor_id=admin, reason="because", request_id="r"))

    held, *others = made.matches
    async with database.begin() as connection:
        first = await accept(connection, settle(held), trigger=ExecutionTrigger.ADMIN, request_id="another process")
        waiting, *free = run(held), *map(run, others)
        assert [one.already_live for one in await asyncio.wait_for(asyncio.gather(*free), 10)] == [False, False]
        assert not waiting.done()
    answer = await waiting
    assert answer.already_live
    assert answer.execution.id == first.execution.id
