"""Boards of leagues that one process has ranked are another's to take, at their version and no other."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pytest
from redis.asyncio import ConnectionPool, Redis, UnixDomainSocketConnection

from domain.clock import utc_now
from domain.ids import MemberId
from domain.leaderboard import leagues
from domain.leaderboard.arrays import to_ids
from domain.leaderboard.model import BoardKey, BoardSource, BoardState
from domain.leaderboard.ports import LeagueBoard
from domain.leaderboard.projector import project
from domain.leaderboard.ranked.store import members_of_league
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.readers import Moved
from domain.leaderboard.service import Boards
from domain.leaderboard.store import fetch_state
from domain.league.membership.service import leave
from integrations.valkey.layout import key
from integrations.valkey.leagues import league_key
from integrations.valkey.projection import ValkeyProjection
from tests.support.boards import places, ranked_by_sql, walk
from tests.support.football import (
    MadeTournament,
    make_league,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
)
from tests.support.settlement import play

if TYPE_CHECKING:
    from domain.ids import LeagueId
    from runtime.database import PostgresDatabase


class Played:
    """A league of six in a tournament of twelve, projected."""

    def __init__(self, database: "PostgresDatabase", valkey: Redis, made: MadeTournament, league: "LeagueId") -> None:
        self.database = database
        self.valkey = valkey
        self.made = made
        self.league = league

    def keys(self) -> tuple[BoardKey, BoardKey]:
        return BoardKey(league_id=self.league), BoardKey(league_id=self.league, tournament_id=self.made.id)

    async def assert_true(self) -> None:
        """Each of the two boards, read by a process of its own, is right."""
        for one in self.keys():
            board = await Boards(self.database, ValkeyProjection(self.valkey), utc_now).open(one)
            assert board is not None
            assert board.head.source is BoardSource.PROJECTION
            rows = await walk(board, 2)
            assert places(rows) == await ranked_by_sql(self.database, league_id=self.league)
            assert [await board.row_of(row.member_id) for row in rows] == rows

    async def assert_kept(self) -> None:
        names = [league_key(self.league, name) for name in ("members", "leaderboard", "stamp")]
        names.append(league_key(self.league, "leaderboard", self.made.id))
        assert await self.valkey.exists(*names) == len(names)
        assert {await self.valkey.ttl(name) > 0 for name in names} == {True}
        assert {await self.valkey.type(name) for name in names} == {b"set", b"zset", b"string"}


@pytest.fixture
async def played(database: "PostgresDatabase", valkey: Redis) -> Played:
    made = await make_tournament(database, matches=2)
    members = await make_members(database, 12, joins=[made])
    await put_guesses(database, made, [(made.matches[0], each, n % 3, n % 2) for n, each in enumerate(members)])
    await put_guesses(database, made, [(made.matches[1], each, n % 2, n % 3) for n, each in enumerate(members)])
    await pass_lock(database, *made.matches)
    await play(database, made.matches[0], 2, 1)
    league = await make_league(database, "Six", members[0], members=members[3:8], viewers=members[9:], plays=[made])
    await project(database, ValkeyProjection(valkey), made.id)
    return Played(database, valkey, made, league)


async def test_a_board_is_kept_and_taken_without_the_tournaments_facts(played: Played) -> None:
    await played.assert_true()
    await played.assert_kept()

    await played.valkey.set(key(played.made.id, "facts"), b"not to be asked for")
    await played.assert_true()


async def test_a_board_of_another_version_is_ranked_anew(played: Played) -> None:
    await played.assert_true()
    await played.assert_kept()
    stamp = await played.valkey.get(league_key(played.league, "stamp"))

    await play(played.database, played.made.matches[1], 1, 1)
    await project(played.database, ValkeyProjection(played.valkey), played.made.id)
    await played.assert_true()
    assert await played.valkey.get(league_key(played.league, "stamp")) != stamp
    await played.assert_true()


@pytest.mark.parametrize("damage", ["missing", "another type", "half a stamp", "a cut stamp", "no stamp missing"])
async def test_what_is_damaged_is_ranked_anew(played: Played, damage: str) -> None:
    await played.assert_true()
    await played.assert_kept()
    for name in ("members", "leaderboard", "stamp", "members_stamp"):
        place = league_key(played.league, name)
        if damage == "no stamp missing" and name.endswith("stamp"):
            continue
        if damage == "a cut stamp":
            found = await played.valkey.type(place) == b"string" and await played.valkey.get(place)
            if found:
                await played.valkey.set(place, found[:-14])
            continue
        await played.valkey.delete(place)
        if damage == "another type":
            await played.valkey.lpush(place, b"what?")
        elif damage == "half a stamp" and name.endswith("stamp"):
            await played.valkey.set(place, b"what?\xff")
    await played.assert_true()


async def test_a_score_that_no_board_has_is_ranked_anew(played: Played) -> None:
    await played.assert_true()
    board = league_key(played.league, "leaderboard")
    (best,) = await played.valkey.zrange(board, 0, 0)
    await played.valkey.zadd(board, {best: float("-inf")})
    await played.assert_true()
    assert await played.valkey.zscore(board, best) > float("-inf")


async def test_facts_of_a_later_version_make_no_earlier_board(played: Played) -> None:
    projection, cup = ValkeyProjection(played.valkey), played.made.id
    facts = leagues.LeagueBoards(played.database, projection, 1_000)
    (before,) = (await projection.stamps([cup])).values()
    await play(played.database, played.made.matches[1], 1, 1)
    await project(played.database, projection, cup)
    (after,) = (await projection.stamps([cup])).values()

    assert (await facts.table(cup, after)).stamp == after
    with pytest.raises(Moved):
        await facts.table(cup, before)


async def test_members_that_are_read_after_their_version_are_shown_under_their_own(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, read = BoardKey(league_id=played.league), leagues.read_ids
    async with played.database.read() as connection:
        members = sorted(await read(connection, members_of_league(played.league)))

    async def leave_and_read(*asked: Any) -> Any:
        monkeypatch.setattr(leagues, "read_ids", read)
        await leave(played.database, members[-1], played.league, "test")
        return await read(*asked)

    monkeypatch.setattr(leagues, "read_ids", leave_and_read)
    board = await Boards(played.database, ValkeyProjection(played.valkey), utc_now).open(key)
    present = await fetch_state(played.database, key)

    assert board is not None
    assert present is not None
    assert (board.head.version, board.head.members) == (present.version, len(members) - 1)


async def test_what_is_kept_is_the_latest_of_its_epoch_and_of_another_epoch_whatever_comes(played: Played) -> None:
    projection = ValkeyProjection(played.valkey)
    earlier = await fetch_state(played.database, BoardKey(league_id=played.league))
    assert earlier is not None
    later = replace(earlier, league_version=earlier.league_version + 1)
    restored = replace(earlier, epoch="another")

    async def kept(state: BoardState) -> tuple[int | None, int | None]:
        """Of how many members."""
        board = await projection.league(state.key, state.epoch, state.version)
        members = await projection.league_members(played.league, state.epoch, state.league_version)
        return None if board is None else len(board.ranking), None if members is None else len(members)

    await projection.keep_league(later, board_of(3, later))
    await projection.keep_league(earlier, board_of(2, earlier))
    assert (await kept(later), await kept(earlier)) == ((3, 3), (None, None))
    await projection.keep_league(restored, board_of(2, restored))
    assert (await kept(later), await kept(restored)) == ((None, None), (2, 2))


async def test_a_large_league_is_kept_whole(played: Played) -> None:
    projection = ValkeyProjection(played.valkey)
    state = await fetch_state(played.database, BoardKey(league_id=played.league))
    assert state is not None
    board = board_of(2_345, state)
    await projection.keep_league(state, board)

    found = await projection.league(state.key, state.epoch, state.version)
    members = await projection.league_members(played.league, state.epoch, state.league_version)
    assert found is not None
    assert found.ranking.rows(0, 2_345) == board.ranking.rows(0, 2_345)
    assert np.array_equal(members, np.sort(board.ranking.ids))


@pytest.mark.parametrize(("what", "command"), [("board", b"ZRANGE"), ("members", b"SMEMBERS")])
async def test_nothing_is_taken_under_the_stamp_of_what_it_has_just_replaced(
    played: Played, what: str, command: bytes
) -> None:
    """As many members, so that only the stamp tells the two apart."""
    projection = ValkeyProjection(played.valkey)
    earlier = await fetch_state(played.database, BoardKey(league_id=played.league))
    assert earlier is not None
    later = replace(earlier, league_version=earlier.league_version + 1)
    await projection.keep_league(earlier, board_of(3, earlier))

    async def replace_it() -> None:
        await played.valkey.ping()  # what was sent before is executed
        await projection.keep_league(later, board_of(3, later, first=2))

    pool = ConnectionPool(
        connection_class=Interrupted,
        path=played.valkey.connection_pool.connection_kwargs["path"],
        before=command,
        then=replace_it,
    )
    async with Redis.from_pool(pool) as client:
        reader = ValkeyProjection(client, timeout=30)
        if what == "board":
            assert await reader.league(earlier.key, earlier.epoch, earlier.version) is None
        else:
            assert await reader.league_members(played.league, earlier.epoch, earlier.league_version) is None
    assert await projection.league(later.key, later.epoch, later.version) is not None


class Interrupted(UnixDomainSocketConnection):
    """Sends its commands one by one, and has something else done before one of them."""

    def __init__(self, *, before: bytes, then: Callable[[], Awaitable[None]], **options: Any) -> None:
        super().__init__(**options)
        self._before = before
        self._then = then

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        assert not isinstance(command, bytes | str)
        for one in re.split(rb"(?=\*\d+\r\n)", b"".join(command))[1:]:
            if self._before in one:
                await self._then()
            await super().send_packed_command(one, check_health)


def board_of(members: int, state: BoardState, *, first: int = 1) -> LeagueBoard:
    ids = to_ids([MemberId(UUID(int=n + first)) for n in range(members)])
    return LeagueBoard(Ranking(ids, np.arange(members)), state.read_at)
