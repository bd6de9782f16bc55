"""Clients that go from one API process to another while something of the members has no version yet."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from domain.leaderboard.model import BoardKey
from domain.member.profile import service as profiles
from live.events import Delta, Heartbeat, Resync, Snapshot, StreamPosition
from tasks.relay import raise_boards_once
from tests.support.executions import until
from tests.support.football import make_league, make_members, make_tournament
from tests.support.live import TICKS_ONLY, api_process, follow, relay

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase

E = TypeVar("E")


def position(event: Snapshot | Delta) -> StreamPosition:
    return StreamPosition(event.epoch, event.version)


async def take(stream: AsyncIterator[Any], kind: type[E]) -> E:
    found = await anext(stream)
    assert isinstance(found, kind), found
    return found


def names(event: Snapshot | Delta) -> set[str]:
    return {member.nick_name for member in event.members.values()}


@pytest.mark.parametrize("of", ["tournament", "league"])
async def test_a_new_name_is_not_missed_by_who_moves_on_before_it_is_told(
    of: str, database: "PostgresDatabase", valkey: "Redis", valkey_url: str
) -> None:
    cup = await make_tournament(database)
    ana, bob = await make_members(database, 2, joins=[cup])
    league = await make_league(database, "Office", ana, members=[bob], plays=[cup])
    key = BoardKey(tournament_id=cup.id) if of == "tournament" else BoardKey(league_id=league)
    async with (
        api_process(database, valkey_url, TICKS_ONLY) as one,
        api_process(database, valkey_url, TICKS_ONLY) as other,
    ):
        stream = follow(one, key)
        seen = await take(stream, Snapshot)
        await profiles.update(database, ana, nick_name="Anabel", time_zone=None, request_id="test")

        there = follow(other, key)  # this process reads the board for the first time, with the new name
        assert names(await take(there, Snapshot)) == {"Anabel", "Member 1"}
        moved = follow(other, key, after=position(seen))
        await take(moved, Resync)
        assert names(await take(moved, Snapshot)) == {"Anabel", "Member 1"}

        await until(lambda: raise_boards_once(database))
        await relay(database, valkey)
        told = await take(stream, Delta)
        assert names(told) == {"Anabel"}
        current = follow(other, key, after=position(told))
        await take(current, Heartbeat)
        late = follow(other, key, after=position(seen))
        await take(late, Resync)
        assert names(await take(late, Snapshot)) == {"Anabel", "Member 1"}
