"""The projection: whole versions only, an older one never over a newer, healed after whatever happened to Valkey."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from sqlalchemy import update

from domain.ids import MemberId, TournamentId, new_id
from domain.leaderboard.arrays import to_ids
from domain.leaderboard.facts import weigh
from domain.leaderboard.loading import load
from domain.leaderboard.ports import ProjectionUnavailable
from domain.leaderboard.projector import project, rebuild_projection, run_projector
from domain.leaderboard.provisional.overlay import LiveRanking
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.readers import ProjectionReader, RankingReader
from domain.leaderboard.rules import Score, pack, pack_row
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.leaderboard.sheet import Sheet
from domain.scoring.model import ScoreBasis, Weights
from domain.scoring.tables import FACTS
from domain.settlement.tables import member_scores
from domain.tournament.model import TournamentMode, TournamentStatus
from domain.tournament.store import raise_versions
from integrations.valkey import projection as module
from integrations.valkey import writing
from integrations.valkey.layout import key
from integrations.valkey.patience import Patience
from integrations.valkey.projection import ValkeyProjection
from integrations.valkey.reading import LARGEST_PIECE
from integrations.valkey.ticks import BOARDS, TICKS, ProjectorTicks
from runtime.outage import is_outage
from tasks.loops import end
from tests.support.football import (
    MadeTournament,
    join,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
)
from tests.support.settlement import play

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

BASIS = ScoreBasis.AFTER_EXTRA_TIME
BOARD = ("master_scores", "distinct", "order", "facts", "stamp")
NAMES = (*BOARD, "salt")


def board_of(scores: dict[MemberId, Score], *, version: int = 1, epoch: str = "one") -> tuple[ScoreTable, Ranking]:
    ids = to_ids(list(scores))
    rows = [scores[MemberId(UUID(bytes=member.ljust(16, b"\0")))] for member in ids.tolist()]
    facts = np.array([[row.outcomes, row.goal_differences, 0, 0, row.exact_scores] for row in rows], dtype=np.int64)
    stamp = Stamp(epoch, version, version, datetime(2026, 1, 1, tzinfo=UTC), len(ids))
    ranking = Ranking.of(ids, np.array(rows, dtype=np.int64).reshape(-1, 4))
    return ScoreTable(stamp, ids, {BASIS: facts.reshape(-1, 5)}), ranking


def scores_of(count: int, *, distinct: int = 7) -> dict[MemberId, Score]:
    return {MemberId(UUID(int=n * 2**70 * 257)): Score(n % distinct, 0, n % 2, n % 3 + 1) for n in range(count)}


@pytest.fixture
def projection(valkey: Redis) -> ValkeyProjection:
    return ValkeyProjection(valkey)


@pytest.fixture
def tournament_id() -> TournamentId:
    return TournamentId(new_id())


async def names_of(valkey: Redis) -> list[bytes]:
    return sorted(await valkey.keys("*"))


# ---------------------------------------------------------------- what is written is what is read


async def test_a_board_reads_as_its_ranking_does(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    table, ranking = board_of(scores_of(1203))

    assert await projection.write(tournament_id, table, ranking)

    stamp = (await projection.stamps([tournament_id]))[tournament_id]
    assert stamp == table.stamp
    everything = ranking.rows(0, len(ranking))
    assert await projection.rows(tournament_id, stamp, 0, 5000) == everything
    for start, count in ((0, 1), (0, 50), (7, 50), (1200, 50), (1203, 1), (5000, 3), (3, 0)):
        assert await projection.rows(tournament_id, stamp, start, count) == everything[start : start + count]
    for row in everything[::97]:
        packed = pack(Score(row.points, row.exact_scores, row.goal_differences, row.outcomes))
        after = await projection.rows_after(tournament_id, stamp, packed, row.member_id, 3)
        assert after == everything[row.position : row.position + 3]
        around = await projection.rows_around(tournament_id, stamp, row.member_id, 2)
        assert around == everything[max(row.position - 3, 0) : row.position + 2]
    assert await projection.rows_around(tournament_id, stamp, MemberId(uuid4()), 2) == []
    assert await names_of(valkey) == sorted(key(tournament_id, name).encode() for name in NAMES)
    assert {await valkey.ttl(name) for name in await names_of(valkey)} == {-1}


async def test_a_page_goes_on_among_many_level_ones_where_a_member_was_who_is_elsewhere_by_now(
    projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    level = Score(3, 1, 0, 1)
    everybody = [MemberId(UUID(int=n * 2**70 * 257)) for n in range(LARGEST_PIECE + 103)]
    scores = dict.fromkeys(everybody, level) | {everybody[300]: Score(9, 3, 0, 3), everybody[400]: Score(0, 0, 0, 0)}
    table, ranking = board_of(scores)
    await projection.write(tournament_id, table, ranking)

    for member_id in (everybody[0], everybody[300], everybody[301], everybody[400], everybody[-1], MemberId(uuid4())):
        place = ranking.after(pack(level), member_id)
        found = await projection.rows_after(tournament_id, table.stamp, pack(level), member_id, 3)
        assert found == ranking.rows(place, place + 3)


async def test_a_page_before_a_place_is_the_same_whether_or_not_somebody_stands_there(
    projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    table, ranking = board_of(scores_of(30))
    await projection.write(tournament_id, table, ranking)
    reader, in_memory = ProjectionReader(projection, tournament_id, table.stamp), RankingReader(ranking)

    for row in ranking.rows(0, 30):
        for member_id in (row.member_id, MemberId(UUID(int=row.member_id.int + 1)), MemberId(uuid4())):
            for packed, count in product((pack_row(row), pack_row(row) - 1), (1, 3, 50)):  # of now, and a worse one
                place = packed, member_id, count
                assert await reader.rows_before(*place) == await in_memory.rows_before(*place)


few = st.integers(0, 2)
ids = st.integers(0, 2**128 - 1).map(lambda n: MemberId(UUID(int=n)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.dictionaries(ids, st.builds(Score, few, few, few, few), max_size=25),
    st.builds(Score, few, few, few, few),
    ids,
    st.integers(1, 7),
)
def test_every_place_is_the_same_from_valkey_and_from_memory(
    valkey_url: str, scores: dict[MemberId, Score], gone: Score, stranger: MemberId, size: int
) -> None:
    async def compare() -> None:
        async with Redis.from_url(valkey_url) as client:
            projection, tournament_id = ValkeyProjection(client), TournamentId(new_id())
            table, ranking = board_of(scores)
            await projection.write(tournament_id, table, ranking)
            total = len(ranking)
            found = [await projection.rows(tournament_id, table.stamp, n, size) for n in range(total)]
            assert found == [ranking.rows(n, n + size) for n in range(total)]
            place = ranking.after(pack(gone), stranger)
            behind = await projection.rows_after(tournament_id, table.stamp, pack(gone), stranger, size)
            assert behind == ranking.rows(place, place + size)
            top, live = with_live((table, ranking), 2), TournamentId(new_id())
            await projection.write(live, *top)
            for found_in, one, settled_only in (
                (tournament_id, ranking, False),
                (live, top[1], False),
                (live, ranking, True),
            ):
                stamp = (await projection.stamps([found_in]))[found_in]
                numbers = await projection.numbers(found_in, stamp, size, settled_only=settled_only)
                assert numbers is not None
                assert Sheet(numbers[0], [""] * size, numbers[1]).rows == tuple(one.rows(0, size))

    asyncio.run(compare())


async def test_the_bounds_of_the_packing_survive_valkey(
    projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    highest = Score(2**20 - 1, 2047, 2047, 2047)
    scores = {
        MemberId(UUID(int=1)): highest,
        MemberId(UUID(int=2)): highest._replace(outcomes=2046),
        MemberId(UUID(int=3)): Score(0, 0, 0, 1),
        MemberId(UUID(int=4)): Score(0, 0, 0, 0),
    }
    table, ranking = board_of(scores)
    await projection.write(tournament_id, table, ranking)

    rows = await projection.rows(tournament_id, table.stamp, 0, 9)

    assert rows is not None
    found = [Score(row.points, row.exact_scores, row.goal_differences, row.outcomes) for row in rows]
    assert found == list(scores.values())
    assert [row.rank for row in rows] == [1, 2, 3, 4]


async def test_facts_come_back_for_every_basis(projection: ValkeyProjection, tournament_id: TournamentId) -> None:
    table, ranking = board_of(scores_of(40))
    both = ScoreTable(
        table.stamp, table.ids, {BASIS: table.facts[BASIS], ScoreBasis.REGULATION: table.facts[BASIS] + 1}
    )
    await projection.write(tournament_id, both, ranking)

    read = await projection.table(tournament_id, table.stamp)

    assert read is not None
    assert read.ids.tobytes() == table.ids.tobytes()
    assert read.facts[BASIS].tolist() == table.facts[BASIS].tolist()
    assert read.facts[ScoreBasis.REGULATION].tolist() == (table.facts[BASIS] + 1).tolist()


async def test_an_empty_board_is_a_board(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    for version, count in ((1, 0), (2, 5), (3, 0)):
        table, ranking = board_of(scores_of(count), version=version)
        assert await projection.write(tournament_id, table, ranking)
        rows = await projection.rows(tournament_id, table.stamp, 0, 10)
        assert rows == ranking.rows(0, 10)
        read = await projection.table(tournament_id, table.stamp)
        assert read is not None
        assert len(read) == count
    assert await valkey.exists(key(tournament_id, "master_scores")) == 0


# ---------------------------------------------------------------- versions


async def test_the_first_places_come_with_the_newest_stamp_and_are_kept_for_it(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    assert await projection.newest(tournament_id, "one", 1) is None
    table, ranking = board_of(scores_of(150), version=1)
    await projection.write(tournament_id, table, ranking)
    assert await projection.newest(tournament_id, "one", 1) == table.stamp
    newer, newer_ranking = with_live(board_of(scores_of(150, distinct=3), version=2), 1)
    await ValkeyProjection(valkey).write(tournament_id, newer, newer_ranking)

    # Of version 1 nothing more is asked; what is there by now is found for who asks for it, or for what is not kept.
    assert await projection.newest(tournament_id, "one", 1) == table.stamp
    numbers = await projection.numbers(tournament_id, table.stamp, 100)
    assert numbers is not None
    assert Sheet(numbers[0], [""] * 100, numbers[1]).rows == tuple(ranking.rows(0, 100))
    for epoch, version in (("one", 2), ("one", 3), ("another", 1)):
        found = await projection.newest(tournament_id, epoch, version)
        assert found is not None
        assert found.is_same_state(newer.stamp)
    await valkey.flushall()
    numbers = await projection.numbers(tournament_id, found, 100)
    assert numbers is not None
    assert Sheet(numbers[0], [""] * 100, numbers[1]).rows == tuple(newer_ranking.rows(0, 100))


async def test_an_older_version_never_overwrites_a_newer_one(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    newer, older = board_of(scores_of(10), version=5), board_of(scores_of(9), version=4)
    assert await projection.write(tournament_id, *newer)

    assert await projection.write(tournament_id, *older) is False

    assert (await projection.stamps([tournament_id]))[tournament_id] == newer[0].stamp
    assert await projection.rows(tournament_id, newer[0].stamp, 0, 20) == newer[1].rows(0, 20)
    assert len(await names_of(valkey)) == len(NAMES)


async def test_the_same_version_may_be_written_again(projection: ValkeyProjection, tournament_id: TournamentId) -> None:
    board = board_of(scores_of(10), version=5)
    assert await projection.write(tournament_id, *board)
    assert await projection.write(tournament_id, *board)


async def test_another_epoch_is_always_overwritten(projection: ValkeyProjection, tournament_id: TournamentId) -> None:
    await projection.write(tournament_id, *board_of(scores_of(10), version=50, epoch="before"))

    table, ranking = board_of(scores_of(9), version=3, epoch="after")
    assert await projection.write(tournament_id, table, ranking)

    assert (await projection.stamps([tournament_id]))[tournament_id] == table.stamp


@pytest.mark.parametrize("stamp", [b"one 999 ", b"one 999 1 2 3 4 5 6 more"])
async def test_a_later_version_that_nobody_can_read_is_overwritten(
    projection: ValkeyProjection, valkey: Redis, tournament_id: TournamentId, stamp: bytes
) -> None:
    table, ranking = board_of({MemberId(new_id()): Score(1, 0, 0, 0)})
    await valkey.set(key(tournament_id, "stamp"), stamp)
    assert await projection.stamps([tournament_id]) == {}

    assert await projection.write(tournament_id, table, ranking)
    assert (await projection.stamps([tournament_id]))[tournament_id].is_same_state(table.stamp)


async def test_a_page_of_another_version_is_refused(projection: ValkeyProjection, tournament_id: TournamentId) -> None:
    first, _ = board_of(scores_of(10), version=1)
    await projection.write(tournament_id, *board_of(scores_of(10), version=2))

    assert await projection.rows(tournament_id, first.stamp, 0, 5) is None
    assert await projection.rows_around(tournament_id, first.stamp, MemberId(UUID(int=0)), 5) is None
    assert await projection.table(tournament_id, first.stamp) is None


async def test_of_a_version_that_is_gone_nothing_is_shown_though_a_later_one_is_kept(
    projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    (first, _), (later, ranking) = board_of(scores_of(10), version=1), board_of(scores_of(10, distinct=3), version=2)
    await projection.write(tournament_id, later, ranking)
    assert await projection.rows(tournament_id, later.stamp, 0, 5) == ranking.rows(0, 5)

    assert await projection.rows(tournament_id, first.stamp, 0, 5) is None
    assert await projection.numbers(tournament_id, first.stamp, 5) is None
    assert await projection.rows(tournament_id, later.stamp, 0, 5) == ranking.rows(0, 5)


async def test_a_version_that_was_repaired_is_read_anew_by_who_had_read_it(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    drifted = board_of(scores_of(10, distinct=3))
    await projection.write(tournament_id, *drifted)
    assert await projection.rows(tournament_id, drifted[0].stamp, 0, 20) == drifted[1].rows(0, 20)
    table, ranking = board_of(scores_of(10))
    table = replace(table, stamp=replace(table.stamp, computed_at=datetime(2026, 1, 2, tzinfo=UTC)))
    await ValkeyProjection(valkey).write(tournament_id, table, ranking)

    stamp = (await projection.stamps([tournament_id]))[tournament_id]
    assert await projection.rows(tournament_id, stamp, 0, 20) == ranking.rows(0, 20)


async def test_readers_never_see_half_a_version(
    valkey_url: str, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    """In version n everybody has n points; a page that mixed two versions would show two scores."""
    members = list(scores_of(1500))
    done = asyncio.Event()
    seen: set[int] = set()

    async def write() -> None:
        for version in range(1, 15):
            await projection.write(
                tournament_id, *board_of(dict.fromkeys(members, Score(version, 0, 0, 0)), version=version)
            )
        done.set()

    async def read() -> None:
        async with Redis.from_url(valkey_url) as client:
            reader = ValkeyProjection(client)
            while not done.is_set():
                stamp = (await reader.stamps([tournament_id])).get(tournament_id)
                rows = await reader.rows(tournament_id, stamp, 1400, 100) if stamp else None
                if stamp and rows is not None:
                    assert {(row.points, row.tied) for row in rows} == {(stamp.board_version, 1500)}
                    seen.add(stamp.board_version)

    await asyncio.gather(write(), read(), read())
    assert len(seen) > 1


# ---------------------------------------------------------------- what stays


def with_live(board: tuple[ScoreTable, Ranking], goals: int) -> tuple[ScoreTable, Ranking]:
    """The board while everybody has an outcome and `goals` exact scores more, provisionally."""
    table, ranking = board
    facts = table.facts[BASIS] + np.array([1, 0, 0, 0, goals])
    live = LiveRanking.beside(ranking, table.ids, weigh(facts, Weights(1, 0, 0, 0, 1)))
    return replace(table, stamp=replace(table.stamp, live=1), live={BASIS: facts}), live


async def sorted_writes(valkey: Redis) -> int:
    found: int = (await valkey.info("commandstats")).get("cmdstat_zadd", {}).get("calls", 0)
    return found


async def test_a_goal_leaves_the_settled_part_as_it_is(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    settled = board_of(scores_of(700))
    await projection.write(tournament_id, *with_live(settled, 0))
    for version, members, calls in ((2, 700, 0), (3, 699, 3)):
        held = (await projection.stamps([tournament_id]))[tournament_id]
        table, ranking = with_live(board_of(scores_of(members)), version)
        table = replace(table, stamp=replace(table.stamp, board_version=version))
        before = await sorted_writes(valkey)

        assert await projection.write(tournament_id, table, ranking, held=held)

        assert await sorted_writes(valkey) - before == calls, "none; then somebody has left"
        assert await projection.differences(tournament_id, table, ranking) == []
        assert {await valkey.ttl(name) for name in await names_of(valkey)} == {-1}


async def test_of_a_later_table_only_what_moved_is_read(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    earlier = None
    for version, members, is_same in ((1, 40, False), (2, 40, True), (3, 39, False)):
        table, ranking = with_live(board_of(scores_of(members)), version)
        table = replace(table, stamp=replace(table.stamp, board_version=version))
        await projection.write(tournament_id, table, ranking)
        stamp = (await projection.stamps([tournament_id]))[tournament_id]

        later = await projection.table(tournament_id, stamp, earlier)

        assert later is not None
        assert (earlier is not None and later.ids is earlier.ids) is is_same
        assert (later.stamp, later.ids.tolist()) == (stamp, table.ids.tolist())
        assert later.facts[BASIS].tolist() == table.facts[BASIS].tolist()
        assert later.live is not None
        assert table.live is not None
        assert later.live[BASIS].tolist() == table.live[BASIS].tolist()
        earlier = later
    await valkey.setrange(key(tournament_id, "live_facts"), 10 * 39, b"?")
    assert await projection.table(tournament_id, stamp, earlier) is None
    assert await projection.stamps([tournament_id]) == {}


async def test_a_board_that_is_replaced_while_it_is_compared_tells_nothing(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, ranking = board_of(scores_of(20))
    await projection.write(tournament_id, table, ranking)
    compare = module.board_differences

    async def replace_and_compare(*board: Any) -> list[str]:
        await ValkeyProjection(valkey).write(tournament_id, *board_of(scores_of(21), version=2))
        return await compare(*board)

    assert await projection.differences(tournament_id, table, ranking) == []
    monkeypatch.setattr(module, "board_differences", replace_and_compare)
    assert await projection.differences(tournament_id, table, ranking) is None


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("damage", ["missing", "another type", "shorter", "unstamped"])
async def test_what_was_to_stay_and_has_gone_is_written(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId, damage: str, is_known: bool
) -> None:
    for name in ("master_scores", "order", "distinct", "facts"):
        table, ranking = with_live(board_of(scores_of(40)), 1)
        await projection.write(tournament_id, table, ranking)
        held = (await projection.stamps([tournament_id]))[tournament_id]
        match damage:
            case "shorter" if name != "master_scores":
                await valkey.set(key(tournament_id, name), b"what?")
            case "shorter":
                await valkey.zremrangebyrank(key(tournament_id, name), 0, 0)
            case "unstamped":
                await valkey.delete(key(tournament_id, "stamp"))
            case _:
                await valkey.delete(key(tournament_id, name))
        if damage == "another type":
            await valkey.lpush(key(tournament_id, name), b"what?")
        if is_known:
            table = replace(table, stamp=replace(table.stamp, digest=held.digest))

        assert await projection.write(tournament_id, table, ranking, held=held)

        assert await projection.differences(tournament_id, table, ranking) == []
        assert not [name for name in await names_of(valkey) if b"staged" in name]


async def test_what_was_to_stay_and_is_another_one_of_the_same_size_is_written(
    projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    scores = scores_of(40)
    table, ranking = with_live(board_of(scores), 1)
    await projection.write(tournament_id, table, ranking)
    held = (await projection.stamps([tournament_id]))[tournament_id]
    await projection.write(tournament_id, *board_of(dict(zip(scores, reversed(scores.values()), strict=True))))

    assert await projection.write(tournament_id, table, ranking, held=held)

    assert await projection.differences(tournament_id, table, ranking) == []


# ---------------------------------------------------------------- what may have happened to Valkey


async def test_what_is_not_a_board_counts_as_missing(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    table, ranking = board_of(scores_of(10))
    for name in BOARD:
        for damage in ("missing", "another type"):
            await projection.write(tournament_id, table, ranking)
            await valkey.delete(key(tournament_id, name))
            if damage == "another type":
                await valkey.lpush(key(tournament_id, name), b"what?")
            fresh = ValkeyProjection(valkey)
            newest = await fresh.newest(tournament_id, "one", 1)
            assert newest is None or name in ("master_scores", "order", "facts"), (name, damage)
            rows = await fresh.rows(tournament_id, table.stamp, 0, 5)
            facts = await fresh.table(tournament_id, table.stamp)
            around = await fresh.rows_around(tournament_id, table.stamp, MemberId(UUID(int=0)), 0)
            assert None in (rows, facts, around), (name, damage)
            assert await projection.stamps([tournament_id]) == {}, (name, damage)


@pytest.mark.parametrize("radius", [0, 2])
async def test_a_place_behind_the_end_of_a_board_counts_as_missing(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId, radius: int
) -> None:
    table, ranking = board_of(scores_of(10))
    await projection.write(tournament_id, table, ranking)
    await valkey.zadd(key(tournament_id, "master_scores"), {b"another of them.": float("-inf")})
    last = ranking.rows(9, 10)[0].member_id

    assert await projection.rows_around(tournament_id, table.stamp, last, radius) is None
    assert await projection.stamps([tournament_id]) == {}


async def test_a_board_of_which_the_end_is_cut_off_counts_as_missing(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    table, ranking = board_of(scores_of(10))
    await projection.write(tournament_id, table, ranking)
    order = key(tournament_id, "order")
    await valkey.set(order, (await valkey.get(order))[:-16])

    assert await projection.rows(tournament_id, table.stamp, 0, 5) == ranking.rows(0, 5)
    assert await projection.rows(tournament_id, table.stamp, 0, 20) is None
    assert await projection.stamps([tournament_id]) == {}


@pytest.mark.parametrize("word", [4, 5])
async def test_a_stamp_that_counts_others_than_there_are_differs(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId, word: int
) -> None:
    """Members, or live matches."""
    table, ranking = board_of(scores_of(10))
    await projection.write(tournament_id, table, ranking)
    assert await projection.differences(tournament_id, table, ranking) == []
    words = (await valkey.get(key(tournament_id, "stamp"))).split(b" ")
    words[word] = b"9"
    await valkey.set(key(tournament_id, "stamp"), b" ".join(words))

    assert await projection.differences(tournament_id, table, ranking) == ["stamp"]


async def test_a_damaged_board_is_written_over(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    table, ranking = board_of(scores_of(10))
    for name in NAMES:
        await valkey.set(key(tournament_id, name), b"what?")

    assert await projection.write(tournament_id, table, ranking)

    assert await projection.rows(tournament_id, table.stamp, 0, 20) == ranking.rows(0, 20)


async def test_a_flush_in_the_middle_of_a_write_leaves_no_half_board(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, ranking = board_of(scores_of(20))
    store = writing._Wire.store

    async def flush_and_store(wire: writing._Wire, name: str, value: bytes) -> None:
        await valkey.flushall()
        await store(wire, name, value)

    with monkeypatch.context() as patch:
        patch.setattr(writing._Wire, "store", flush_and_store)
        with pytest.raises(ProjectionUnavailable, match="emptied"):
            await projection.write(tournament_id, table, ranking)

    assert await projection.stamps([tournament_id]) == {}
    assert await projection.write(tournament_id, table, ranking)


async def test_a_server_that_is_away_is_asked_once_in_a_while(tournament_id: TournamentId) -> None:
    async with Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2, retry=None) as client:
        projection = ValkeyProjection(client, pause=60)
        with pytest.raises(ProjectionUnavailable, match="does not answer"):
            await projection.stamps([tournament_id])
        with pytest.raises(ProjectionUnavailable, match="a moment ago"):
            await projection.stamps([tournament_id])


async def test_a_server_that_hangs_does_not_hang_readers(tournament_id: TournamentId) -> None:
    async with hanging_server() as port, Redis(host="127.0.0.1", port=port) as client:
        projection = ValkeyProjection(client, timeout=0.1, pause=60)
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(100):
            with pytest.raises(ProjectionUnavailable):
                await projection.stamps([tournament_id])
        assert loop.time() - started < 1.0


async def test_who_is_given_up_while_trying_leaves_that_to_the_next(tournament_id: TournamentId) -> None:
    async with hanging_server() as port, Redis(host="127.0.0.1", port=port) as client:
        projection = ValkeyProjection(client, timeout=0.5, pause=0.0)
        with pytest.raises(ProjectionUnavailable, match="does not answer"):
            await projection.stamps([tournament_id])
        trial = asyncio.create_task(projection.stamps([tournament_id]))
        await asyncio.sleep(0)
        trial.cancel()
        await asyncio.wait([trial])
        assert trial.cancelled()
        with pytest.raises(ProjectionUnavailable, match="does not answer"):
            await projection.stamps([tournament_id])


async def test_one_alone_tries_whether_a_server_answers_again(tournament_id: TournamentId) -> None:
    async with hanging_server() as port, Redis(host="127.0.0.1", port=port) as client:
        projection = ValkeyProjection(client, timeout=0.2, pause=0.0)
        with pytest.raises(ProjectionUnavailable, match="does not answer"):
            await projection.stamps([tournament_id])
        tried = await asyncio.gather(*(projection.stamps([tournament_id]) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(problem, ProjectionUnavailable) for problem in tried)
        assert sum("does not answer" in str(problem) for problem in tried) == 1


async def test_an_answering_server_is_asked_again_after_the_pause(valkey: Redis, tournament_id: TournamentId) -> None:
    projection = ValkeyProjection(valkey, timeout=0.001, pause=0.0)
    await valkey.execute_command("CLIENT", "PAUSE", 300)
    with pytest.raises(ProjectionUnavailable):
        await projection.stamps([tournament_id])
    await valkey.ping()
    projection = ValkeyProjection(valkey, pause=0.0)
    assert await projection.stamps([tournament_id]) == {}


async def test_once_a_server_has_answered_again_everybody_asks_it_at_the_same_time(
    valkey: Redis, tournament_id: TournamentId
) -> None:
    projection = ValkeyProjection(valkey, timeout=0.3, pause=0.0)
    await valkey.execute_command("CLIENT", "PAUSE", 600)
    with pytest.raises(ProjectionUnavailable):
        await projection.stamps([tournament_id])
    await valkey.ping()
    assert await projection.stamps([tournament_id]) == {}

    assert await asyncio.gather(*(projection.stamps([tournament_id]) for _ in range(5))) == [{}] * 5


async def test_a_refusal_is_an_answer_after_which_everybody_asks_the_server_again(
    valkey: Redis, tournament_id: TournamentId
) -> None:
    patience = Patience(valkey, timeout=0.3, pause=0.0, connections=5)

    async def ask() -> None:
        async with patience.exchange(stamp):
            await valkey.llen(stamp)

    stamp = key(tournament_id, "stamp")
    await valkey.set(stamp, b"no list")
    await valkey.execute_command("CLIENT", "PAUSE", 600)
    with pytest.raises(ProjectionUnavailable, match="does not answer"):
        await ask()
    await valkey.ping()
    for _ in range(2):
        with pytest.raises(ProjectionUnavailable, match="refused"):
            await ask()


async def test_a_process_that_was_held_up_itself_takes_the_answer_that_has_come(
    valkey: Redis, tournament_id: TournamentId
) -> None:
    projection = ValkeyProjection(valkey, timeout=0.1, pause=60)
    await projection.stamps([tournament_id])  # connected
    await valkey.execute_command("CLIENT", "PAUSE", 90)
    asked = asyncio.create_task(projection.stamps([tournament_id]))
    await asyncio.sleep(0.02)  # it is sent, and not answered before the loop is held up
    time.sleep(0.3)  # noqa: ASYNC251
    assert await asked == {}
    assert await projection.stamps([tournament_id]) == {}


@asynccontextmanager
async def hanging_server() -> AsyncIterator[int]:
    """Takes connections and never answers."""
    held: list[asyncio.StreamWriter] = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in held:
            writer.close()


async def test_many_requests_to_rebuild_are_one_tick(valkey: Redis, tournament_id: TournamentId) -> None:
    projection = ValkeyProjection(valkey, timeout=10)  # a hundred at once, on a machine that may be busy
    async with valkey.pubsub() as pubsub:
        await pubsub.subscribe(TICKS)
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"

        await asyncio.gather(*(projection.request_rebuild(tournament_id) for _ in range(100)))

        message = await pubsub.get_message(timeout=5)
        assert orjson.loads(message["data"]) == {"kind": "board", "id": str(tournament_id)}
        assert await pubsub.get_message(timeout=0.1) is None


@pytest.mark.parametrize("there", ["without an end", "for an hour", "of another type"])
async def test_a_request_to_rebuild_is_heard_whatever_stands_in_its_place(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId, there: str
) -> None:
    name = key(tournament_id, "rebuild")
    match there:
        case "of another type":
            await valkey.lpush(name, b"what?")
        case "for an hour":
            await valkey.set(name, b"", ex=3600)
        case _:
            await valkey.set(name, b"")
    async with valkey.pubsub() as pubsub:
        await pubsub.subscribe(TICKS)
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"

        await projection.request_rebuild(tournament_id)

        message = await pubsub.get_message(timeout=5)
        assert message is not None
        assert orjson.loads(message["data"]) == {"kind": "board", "id": str(tournament_id)}


# ---------------------------------------------------------------- who writes


async def test_one_process_at_a_time_claims_a_board(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId
) -> None:
    other, name = ValkeyProjection(valkey), key(tournament_id, "claim")
    async with projection.claim(tournament_id) as is_first:
        for _ in range(2):  # who was refused gives nothing back
            async with other.claim(tournament_id) as is_second:
                assert (is_first, is_second) == (True, False)
        assert 0 < await valkey.pttl(name) <= 5000
    async with other.claim(tournament_id) as is_later:
        assert is_later
        await valkey.set(name, b"of another, for this one took too long", px=1000)
    async with projection.claim(tournament_id) as is_there:
        assert not is_there


@pytest.mark.parametrize("there", ["without an end", "of another type"])
async def test_a_claim_that_would_never_end_is_none(
    valkey: Redis, projection: ValkeyProjection, tournament_id: TournamentId, there: str
) -> None:
    name = key(tournament_id, "claim")
    await (valkey.lpush(name, b"what?") if there == "of another type" else valkey.set(name, b"dead"))
    async with projection.claim(tournament_id) as is_ours:
        assert is_ours


async def test_a_claim_cannot_be_had_while_the_server_is_away(tournament_id: TournamentId) -> None:
    async with Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2, retry=None) as client:
        with pytest.raises(ProjectionUnavailable):
            async with ValkeyProjection(client).claim(tournament_id):
                pytest.fail("there is none")


# ---------------------------------------------------------------- the projector


@asynccontextmanager
async def running_projector(
    database: "PostgresDatabase", valkey_url: str, *, poll_seconds: float
) -> AsyncIterator[None]:
    async with Redis.from_url(valkey_url) as client:
        ticks, projection = ProjectorTicks(client), ValkeyProjection(client, pause=0.05)
        tasks = [
            asyncio.create_task(ticks.run()),
            asyncio.create_task(run_projector(database, projection, ticks, is_outage, poll_seconds=poll_seconds)),
        ]
        try:
            yield
        finally:
            await end(tasks)


async def next_board(pubsub: Any) -> dict[str, Any]:
    while True:
        message = await pubsub.get_message(timeout=10)
        assert message is not None, "the projector said nothing"
        if message["type"] == "message":
            found: dict[str, Any] = orjson.loads(message["data"])
            return found


async def version_of(database: "PostgresDatabase", tournament: MadeTournament) -> int:
    from domain.tournament.service import read_tournaments

    return (await read_tournaments(database, [tournament.id]))[tournament.id].board_version


async def settled_tournament(database: "PostgresDatabase", mode: TournamentMode) -> MadeTournament:
    tournament = await make_tournament(database, matches=2, mode=mode)
    members = await make_members(database, 12, joins=[tournament])
    given = [(tournament.matches[0], member_id, n % 3, n % 2) for n, member_id in enumerate(members)]
    await put_guesses(database, tournament, given)
    await pass_lock(database, *tournament.matches)
    await play(database, tournament.matches[0], 2, 1)
    return tournament


async def test_a_tournament_is_projected_from_the_database(
    database: "PostgresDatabase", projection: ValkeyProjection
) -> None:
    tournament = await settled_tournament(database, TournamentMode.KNOCKOUT)

    version = await project(database, projection, tournament.id)

    stamp = (await projection.stamps([tournament.id]))[tournament.id]
    assert (version, stamp.board_version, stamp.settled_version, stamp.members) == (
        await version_of(database, tournament),
        version,
        1,
        12,
    )
    table = await projection.table(tournament.id, stamp)
    assert table is not None
    assert set(table.facts) == set(ScoreBasis)
    rows = await projection.rows(tournament.id, stamp, 0, 20)
    assert rows is not None
    assert [row.points for row in rows] == [3] * 6 + [0] * 6
    assert await project(database, projection, TournamentId(new_id())) is None


async def test_facts_are_read_as_they_are_recorded(database: "PostgresDatabase") -> None:
    tournament = await make_tournament(database, matches=1)
    recorded = {
        member_id: (2047 - n, 2040, 2**16 - 1, 4, 3) for n, member_id in enumerate(await make_members(database, 3))
    }
    await join(database, tournament.id, recorded)
    async with database.begin() as connection:
        for member_id, facts in recorded.items():
            values = dict(zip(FACTS, facts, strict=True))
            await connection.execute(update(member_scores).where(member_scores.c.member_id == member_id), values)

    loaded = await load(database, tournament.id)

    assert loaded is not None
    _, table, _ = loaded
    assert table.ids.tolist() == sorted(member_id.bytes for member_id in recorded)
    assert table.facts[BASIS].tolist() == [list(recorded[member_id]) for member_id in sorted(recorded)]


async def test_the_projector_follows_ticks_and_says_when_a_board_can_be_read(
    database: "PostgresDatabase", valkey: Redis, valkey_url: str, projection: ValkeyProjection
) -> None:
    tournament = await settled_tournament(database, TournamentMode.REGULAR_SEASON)
    async with valkey.pubsub() as pubsub:
        await pubsub.subscribe(BOARDS)
        async with running_projector(database, valkey_url, poll_seconds=60):
            first = await next_board(pubsub)
            assert first.pop("front"), "its first places"
            assert first == {
                "kind": "board",
                "id": str(tournament.id),
                "version": await version_of(database, tournament),
            }

            await play(database, tournament.matches[1], 0, 0)
            await projection.request_rebuild(tournament.id)
            second, version = first, await version_of(database, tournament)
            while second["version"] < version:  # it moved twice, and may be found in between
                second = await next_board(pubsub)

    assert second["version"] == version > first["version"]
    assert (await projection.stamps([tournament.id]))[tournament.id].board_version == second["version"]


async def test_a_flushed_valkey_heals_by_itself(
    database: "PostgresDatabase", valkey: Redis, valkey_url: str, projection: ValkeyProjection
) -> None:
    tournament = await settled_tournament(database, TournamentMode.REGULAR_SEASON)
    async with valkey.pubsub() as pubsub:
        await pubsub.subscribe(BOARDS)
        async with running_projector(database, valkey_url, poll_seconds=0.1):
            await next_board(pubsub)
            await valkey.flushall()
            await next_board(pubsub)

    assert (await projection.stamps([tournament.id]))[tournament.id].members == 12


async def test_a_change_that_no_tick_told_is_found(
    database: "PostgresDatabase", valkey: Redis, valkey_url: str
) -> None:
    """As after a crash between the commit and the projection."""
    tournament = await settled_tournament(database, TournamentMode.REGULAR_SEASON)
    async with valkey.pubsub() as pubsub:
        await pubsub.subscribe(BOARDS)
        async with running_projector(database, valkey_url, poll_seconds=0.1):
            first = await next_board(pubsub)
            async with database.begin() as connection:
                await raise_versions(connection, tournament.id, board=True)
            second = await next_board(pubsub)

    assert second["version"] == first["version"] + 1


async def test_the_projector_outlives_a_valkey_that_answers_late(
    database: "PostgresDatabase", valkey: Redis, valkey_url: str
) -> None:
    await settled_tournament(database, TournamentMode.REGULAR_SEASON)
    await valkey.execute_command("CLIENT", "PAUSE", 900, "ALL")
    async with running_projector(database, valkey_url, poll_seconds=0.05), valkey.pubsub() as pubsub:
        await pubsub.subscribe(BOARDS)
        assert (await next_board(pubsub))["kind"] == "board"


async def test_rebuilding_is_an_operation(
    database: "PostgresDatabase", projection: ValkeyProjection, valkey: Redis
) -> None:
    from domain.execution.model import Command, ExecutionTrigger, Operation, Target
    from domain.execution.service import accept
    from tests.support.settlement import work

    tournament = await settled_tournament(database, TournamentMode.REGULAR_SEASON)
    await make_tournament(database, matches=1, status=TournamentStatus.COMPLETED)
    async with database.begin() as connection:
        command = Command(Operation.REBUILD_PROJECTION, Target(), {})
        accepted = await accept(connection, command, trigger=ExecutionTrigger.SYSTEM, request_id="test")

    run = await work(database, lambda run: rebuild_projection(run, projection), accepted.execution.id)

    counts = run.progress().counts
    assert (counts.total, counts.updated) == (1, 1)
    assert await names_of(valkey) == sorted(key(tournament.id, name).encode() for name in NAMES)
