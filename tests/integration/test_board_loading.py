"""What is read for a board at a goal: nothing that the goal does not move, and everything as soon as that may have."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis
from sqlalchemy import update

from domain.ids import MemberId
from domain.installation.service import begin_epoch
from domain.installation.store import read_epoch
from domain.leaderboard.loading import BoardLoader, Loaded, load
from domain.leaderboard.projector import project
from domain.settlement.tables import member_scores
from domain.tournament.store import raise_versions
from integrations.valkey.projection import ValkeyProjection
from tests.support.football import (
    MadeTournament,
    join,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
)
from tests.support.settlement import in_play, play

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


@dataclass(frozen=True)
class Evening:
    """Two matches in play and one to be settled, and a projector that has seen some goals."""

    database: "PostgresDatabase"
    valkey: Redis
    made: MadeTournament
    members: list[MemberId]
    loader: BoardLoader

    @property
    def projection(self) -> ValkeyProjection:
        return ValkeyProjection(self.valkey, timeout=30)

    async def goal(self, home: int) -> Loaded:
        """The board after a goal, as the projector loads and writes it."""
        await in_play(self.database, self.made.id, self.made.matches[0], home, 0)
        held = (await self.projection.stamps([self.made.id])).get(self.made.id)
        loaded = await self.loader.load(self.made.id, held)
        assert loaded is not None
        await self.projection.write(self.made.id, loaded.table, loaded.ranking, held=held)
        self.loader.note(self.made.id, (await self.projection.stamps([self.made.id])).get(self.made.id))
        return loaded

    async def nothing(self) -> None:
        pass

    async def another_process_writes_a_goal(self) -> None:
        await replace(self, loader=BoardLoader(self.database)).goal(7)

    async def one_joins(self) -> None:
        await join(self.database, self.made.id, await make_members(self.database, 1))

    async def one_is_settled(self) -> None:
        await play(self.database, self.made.matches[1], 1, 1)

    async def valkey_is_emptied(self) -> None:
        await self.valkey.flushall()

    async def an_epoch_begins(self) -> None:
        """Versions of the former one say nothing from now on, though they may be equal."""
        async with self.database.read() as connection:
            present, _ = await read_epoch(connection)
        assert await begin_epoch(self.database, present=present, reason="restored")

    async def a_sum_is_changed_and_the_projection_rebuilt(self) -> None:
        async with self.database.begin() as connection:
            await connection.execute(update(member_scores).values(outcome=member_scores.c.outcome + 1))
            await raise_versions(connection, self.made.id, board=True)
        assert await project(self.database, self.projection, self.made.id) is not None


@pytest.fixture
async def evening(database: "PostgresDatabase", valkey: Redis) -> Evening:
    made = await make_tournament(database, matches=3)
    members = await make_members(database, 12, joins=[made])
    given = [(match_id, each, n % 4, n % 3) for match_id in made.matches for n, each in enumerate(members)]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches)
    await in_play(database, made.id, made.matches[2], 0, 1)
    return Evening(database, valkey, made, members, BoardLoader(database))


@pytest.mark.parametrize("goals", [1, 2])
@pytest.mark.parametrize(
    ("happens", "is_kept"),
    [
        (Evening.nothing, True),
        (Evening.another_process_writes_a_goal, True),
        (Evening.one_joins, False),
        (Evening.one_is_settled, False),
        (Evening.valkey_is_emptied, False),
        (Evening.an_epoch_begins, False),
        (Evening.a_sum_is_changed_and_the_projection_rebuilt, False),
    ],
)
async def test_the_settled_part_is_kept_as_long_as_it_stands(
    evening: Evening, happens: Callable[[Evening], Awaitable[None]], is_kept: bool, goals: int
) -> None:
    for number in range(goals):
        before = await evening.goal(number)
    await happens(evening)

    after = await evening.goal(goals)

    assert (after.table.ids is before.table.ids) is is_kept
    present = await load(evening.database, evening.made.id)
    assert present is not None
    assert await evening.projection.differences(evening.made.id, present.table, present.ranking) == []


async def test_nothing_is_kept_when_no_match_is_live(evening: Evening) -> None:
    before = await evening.goal(1)
    for match_id in evening.made.matches:
        await play(evening.database, match_id, 1, 0)
    held = (await evening.projection.stamps([evening.made.id]))[evening.made.id]
    settled = await evening.loader.load(evening.made.id, held)
    again = await evening.loader.load(evening.made.id, held)
    assert settled is not None
    assert again is not None
    assert len({id(one.table.ids) for one in (before, settled, again)}) == 3
