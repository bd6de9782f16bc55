"""The ranking: a total order, packed without loss, the same from a page as from the whole."""

from itertools import groupby
from random import Random
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.clock import utc_now
from domain.ids import MemberId, TournamentId
from domain.leaderboard.arrays import Ids, best_first, order_of_ids, to_ids
from domain.leaderboard.facts import pack_all, pack_facts, weigh
from domain.leaderboard.leagues import RankedMembers
from domain.leaderboard.model import RankCriterion, RankedRow
from domain.leaderboard.provisional.overlay import LiveRanking
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.rules import MAX_COUNTER, MAX_POINTS, Score, pack, unpack
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.leaderboard.sheet import COLUMN, UNMOVED, Sheet, gained, numbers_of
from domain.scoring.model import ScoreBasis, Weights
from tests.support.sheets import numbers_of_rows

counters = st.integers(0, MAX_COUNTER)
scores = st.builds(Score, st.integers(0, MAX_POINTS), counters, counters, counters)
few = st.integers(0, 2)
boards = st.dictionaries(
    st.uuids().map(MemberId) | st.integers(0, 2**128 - 1).map(lambda n: MemberId(UUID(int=n >> 8 << 8))),
    st.builds(Score, few, few, few, few),
    max_size=40,
)
Board = dict[MemberId, Score]


def rank(board: Board) -> Ranking:
    ids = to_ids(list(board))
    rows = [board[MemberId(UUID(bytes=bytes(member).ljust(16, b"\0")))] for member in ids.tolist()]
    return Ranking.of(ids, np.array(rows, dtype=np.int64).reshape(-1, 4))


def expected(board: Board) -> list[RankedRow]:
    """The same by sorting and grouping alone."""
    order = sorted(board, key=lambda member: (*(-part for part in board[member]), member.bytes))
    groups = [list(group) for _, group in groupby(order, key=lambda member: board[member])]
    rows, above = [], None
    for dense_rank, group in enumerate(groups, start=1):
        rank_of_group = len(rows) + 1
        for n, member in enumerate(group):
            score = board[member]
            better = (
                above and not n and [c for c, a, b in zip(RankCriterion, board[above], score, strict=True) if a > b]
            )
            first_in = better[0] if better else None
            place = (member, len(rows) + 1, rank_of_group, dense_rank, len(group), first_in)
            rows.append(RankedRow(*place, *score, settled_rank=rank_of_group, settled_points=score.points))
            above = member
    return rows


@given(scores)
def test_packing_loses_nothing_and_fits_a_double(score: Score) -> None:
    assert unpack(pack(score)) == score
    assert int(float(-pack(score))) == -pack(score)


@given(scores, scores)
def test_packed_order_is_the_order_of_scores(one: Score, other: Score) -> None:
    assert (pack(one) < pack(other)) == (one < other)


@pytest.mark.parametrize(
    "score",
    [
        Score(MAX_POINTS + 1, 0, 0, 0),
        Score(0, MAX_COUNTER + 1, 0, 0),
        Score(0, 0, MAX_COUNTER + 1, 0),
        Score(0, 0, 0, MAX_COUNTER + 1),
        Score(-1, 0, 0, 0),
        Score(0, 0, -1, 0),
    ],
)
def test_what_does_not_fit_is_refused(score: Score) -> None:
    with pytest.raises(OverflowError, match="cannot be ranked"):
        pack(score)
    with pytest.raises(OverflowError, match="cannot be ranked"):
        Ranking.of(to_ids([MemberId(UUID(int=1))]), np.array([score], dtype=np.int64))


def test_the_bounds_hold_every_allowed_board() -> None:
    assert pack(Score(MAX_POINTS, MAX_COUNTER, MAX_COUNTER, MAX_COUNTER)) == 2**53 - 1
    assert MAX_POINTS >= 500 * MAX_COUNTER


@given(boards)
def test_the_whole_board_equals_an_independent_ranking(board: Board) -> None:
    assert rank(board).rows(0, len(board)) == expected(board)


@given(boards, st.integers(0, 45), st.integers(0, 45))
def test_a_page_is_a_slice_of_the_board(board: Board, start: int, stop: int) -> None:
    assert rank(board).rows(start, stop) == expected(board)[start:stop]


@given(boards, st.integers(0, 50), st.integers(0, 3))
def test_the_numbers_of_a_sheet_are_those_of_the_rows(board: Board, stop: int, more: int) -> None:
    settled = rank(board)
    scores = np.array([[n * more % 3, 0, n % 2, 0] for n in range(len(board))], dtype=np.int64).reshape(-1, 4)
    for ranking in (settled, LiveRanking.beside(settled, to_ids(list(board)), scores)):
        members, numbers = numbers_of(ranking, stop)
        rows = ranking.rows(0, stop)
        assert Sheet(members, [""] * len(members), numbers).rows == tuple(rows)
        assert (numbers_of_rows(rows) == numbers).all()
        was = gained(settled, members, numbers[:, COLUMN["rank"]]).tolist()
        assert was == [row.settled_rank - row.rank for row in rows]


def test_who_was_not_ranked_before_has_no_movement() -> None:
    assert gained(None, [b"a" * 16], np.array([1])).tolist() == [UNMOVED]
    assert gained(rank({}), [b"a" * 16], np.array([1])).tolist() == [UNMOVED]
    before = rank(
        {MemberId(UUID(bytes=b"b" * 16)): Score(1, 0, 0, 0), MemberId(UUID(bytes=b"c" * 16)): Score(0, 0, 0, 0)}
    )
    assert gained(before, [b"a" * 16, b"c" * 16], np.array([1, 3])).tolist() == [UNMOVED, -1]


@given(boards)
def test_every_member_is_found_where_the_board_has_him(board: Board) -> None:
    ranking = rank(board)
    assert [ranking.find(row.member_id) for row in expected(board)] == list(range(len(board)))


@given(boards, st.uuids().map(MemberId))
def test_a_stranger_is_not_found(board: Board, stranger: MemberId) -> None:
    assert rank(board).find(stranger) == (expected_place(board, stranger))


def expected_place(board: Board, member: MemberId) -> int | None:
    places = [row.member_id for row in expected(board)]
    return places.index(member) if member in places else None


@given(boards, st.builds(Score, few, few, few, few), st.uuids().map(MemberId))
def test_a_page_continues_behind_a_place_that_is_no_more(board: Board, score: Score, member: MemberId) -> None:
    key = (*(-part for part in score), member.bytes)
    above = [row for row in expected(board) if (*(-part for part in board[row.member_id]), row.member_id.bytes) <= key]
    assert rank(board).after(pack(score), member) == len(above)


@given(boards, st.integers(1, 7))
def test_walking_pages_gives_everyone_once(board: Board, size: int) -> None:
    ranking, rows, start = rank(board), [], 0
    while page := ranking.rows(start, start + size):
        rows += page
        start = ranking.after(pack(board[page[-1].member_id]), page[-1].member_id)
    assert rows == expected(board)


@given(boards)
def test_distinct_scores_are_those_of_the_dense_ranks(board: Board) -> None:
    ranks = {row.dense_rank: pack(board[row.member_id]) for row in expected(board)}
    assert rank(board).distinct.tolist() == [ranks[n] for n in sorted(ranks)]


def test_shared_ranks_are_1_2_2_4() -> None:
    members = [MemberId(UUID(int=n)) for n in range(1, 5)]
    scores = (Score(9, 0, 0, 3), Score(6, 1, 1, 2), Score(6, 1, 1, 2), Score(6, 0, 1, 2))
    board = dict(zip(members, scores, strict=True))
    found = [(row.position, row.rank, row.dense_rank, row.tied, row.separated_by) for row in rank(board).rows(0, 9)]
    assert found == [
        (1, 1, 1, 1, None),
        (2, 2, 2, 2, RankCriterion.POINTS),
        (3, 2, 2, 2, None),
        (4, 4, 3, 1, RankCriterion.EXACT_SCORES),
    ]


def test_weights_make_points_and_facts_make_the_counters() -> None:
    facts = np.array([[4, 3, 2, 1, 1], [0, 0, 0, 0, 0]], dtype=np.int64)
    assert weigh(facts, Weights(2, 1, 10, 100, 1)).tolist() == [[8 + 3 + 20 + 100 + 1, 1, 3, 4], [0, 0, 0, 0]]


@given(
    st.lists(st.tuples(st.sampled_from([2, 40, MAX_COUNTER, MAX_COUNTER + 1, 2**16 - 1]), st.booleans()), max_size=3),
    st.builds(Weights, *(st.integers(0, 100) for _ in Weights._fields)),
    st.integers(0, 5),
)
def test_facts_are_packed_at_once_as_one_by_one(kinds: list[tuple[int, bool]], weights: Weights, count: int) -> None:
    chance = np.random.default_rng(count)
    parts = [
        (chance.integers(0, most + 1, (count, 5)).astype(np.uint16 if is_stored else np.int64), weights)
        for most, is_stored in kinds
    ]
    scores = sum((weigh(*part) for part in parts), np.zeros((count, 4), dtype=np.int64))
    try:
        expected = pack_all(scores).tolist()
    except OverflowError:
        with pytest.raises(OverflowError, match="cannot be ranked"):
            pack_facts(count, parts)
    else:
        assert pack_facts(count, parts).tolist() == expected


def test_negative_facts_are_refused() -> None:
    with pytest.raises(OverflowError, match="cannot be ranked"):
        pack_facts(2, [(np.array([[3, 2, 1, 1, 1], [0, -1, 0, 0, 0]]), Weights(2, 1, 0, 0, 1))])


def test_facts_are_picked_for_members_and_zeros_for_strangers() -> None:
    members = [MemberId(UUID(int=n << 8)) for n in (3, 1, 2)]
    ids, facts = to_ids(members), np.arange(15, dtype=np.int64).reshape(3, 5)
    stamp = Stamp("epoch", 1, 1, utc_now(), 3)
    table = ScoreTable(stamp, ids, {ScoreBasis.AFTER_EXTRA_TIME: facts})

    asked = to_ids([members[0], MemberId(UUID(int=9 << 8)), members[1]])
    picked = table.pick(ScoreBasis.AFTER_EXTRA_TIME, table.find(asked))

    assert picked.tolist() == [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14], [0, 0, 0, 0, 0]]
    empty = ScoreTable(stamp, to_ids([]), {ScoreBasis.AFTER_EXTRA_TIME: facts[:0]})
    assert empty.pick(ScoreBasis.AFTER_EXTRA_TIME, empty.find(ids)).tolist() == [[0] * 5] * 3


def test_a_league_finds_its_members_anew_only_when_somebody_has_joined() -> None:
    first, second, third = (MemberId(UUID(int=n << 8)) for n in (1, 2, 3))
    basis, stamp = ScoreBasis.AFTER_EXTRA_TIME, Stamp("epoch", 1, 1, utc_now(), 2)
    league, tournament_id = RankedMembers(to_ids([first, third]), 1), TournamentId(UUID(int=1))

    def table(*members: MemberId) -> ScoreTable:
        facts = np.arange(5 * len(members), dtype=np.int64).reshape(-1, 5)
        return ScoreTable(stamp, to_ids(members), {basis: facts})

    before, after = table(second, third), table(second, third)
    places = league.places(tournament_id, before)
    assert before.pick(basis, places).tolist() == [[0] * 5, [5, 6, 7, 8, 9]]
    assert league.places(tournament_id, after.with_ids_of(before)) is places

    joined = table(first, second, third).with_ids_of(before)
    assert joined.pick(basis, league.places(tournament_id, joined)).tolist() == [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14]]


IDS = st.sets(st.one_of(st.integers(1, 2**128 - 1), st.integers(1, 12).map(lambda n: n << 63)), min_size=1, max_size=30)


@given(IDS, st.data())
def test_a_leagues_members_are_found_when_others_join(everybody: set[int], data: st.DataObject) -> None:
    earlier = data.draw(st.sets(st.sampled_from(sorted(everybody))))
    league = data.draw(st.sets(st.sampled_from(sorted(everybody))))
    basis, stamp = ScoreBasis.AFTER_EXTRA_TIME, Stamp("epoch", 1, 1, utc_now(), 2)
    members = RankedMembers(ids_of_numbers(league), 1)
    tables = []
    for numbers in (earlier, everybody):
        facts = np.array(sorted(numbers), dtype=object).reshape(-1, 1)
        tables.append(ScoreTable(stamp, ids_of_numbers(numbers), {basis: facts}))
    before, after = tables[0], tables[1].with_ids_of(tables[0])
    members.places(TournamentId(UUID(int=1)), before)

    places = members.places(TournamentId(UUID(int=1)), after)

    assert places.absent is None
    assert after.facts[basis][places.at, 0].tolist() == sorted(league)


def ids_of_numbers(numbers: set[int]) -> Ids:
    return to_ids([MemberId(UUID(int=number)) for number in numbers])


def test_who_has_joined_is_told_once_nobody_has_left() -> None:
    ids = [ids_of_numbers({n << 64 for n in numbers}) for numbers in ({2, 4, 6}, {1, 2, 4, 5, 6, 7}, {1, 4, 5, 6, 7})]
    stamp = Stamp("epoch", 1, 1, utc_now(), 3)
    first, joined, left = (ScoreTable(stamp, one, {}) for one in ids)
    found = joined.with_ids_of(first).joined
    assert found is not None
    assert found.at.tolist() == [0, 2, 3]
    assert left.with_ids_of(first).joined is None


@given(st.lists(st.integers(0, 2**128 - 1).map(lambda n: UUID(int=n)), unique=True, max_size=50))
def test_ids_sort_as_their_bytes_do(ids: list[UUID]) -> None:
    Random(1).shuffle(ids)
    array = np.array([value.bytes for value in ids], dtype="S16")
    assert [ids[n] for n in order_of_ids(array)] == sorted(ids, key=lambda value: value.bytes)


@given(st.integers(0, 5000), st.integers(1, 2**53 - 1), st.integers(0, 2**32))
def test_scores_sort_best_first_and_level_ones_stay_as_they_come(count: int, highest: int, seed: int) -> None:
    packed = np.random.default_rng(seed).integers(0, highest, count, endpoint=True)
    packed[count // 2 :: 3] = highest
    packed[::5] = 0
    assert best_first(packed).tolist() == sorted(range(count), key=lambda place: -packed[place])


@given(boards, st.lists(st.uuids().map(MemberId), max_size=5), st.builds(Score, few, few, few, few))
def test_places_of_many_and_around_a_score(board: Board, strangers: list[MemberId], score: Score) -> None:
    ranking = rank(board)
    rows = expected(board)
    some = [row.member_id for row in rows[::2]]

    assert ranking.find_all([*some, *strangers]) == [
        row.position - 1 for row in rows if row.member_id in {*some, *strangers}
    ]
    assert ranking.ranks().tolist() == [row.rank for row in sorted(rows, key=lambda row: row.member_id.bytes)]
    for member_id in (*strangers, *some):
        place = (-pack(score), member_id.bytes)
        keys = [(-pack(Score(*board[row.member_id])), row.member_id.bytes) for row in rows]
        assert ranking.before(pack(score), member_id) == len([key for key in keys if key < place])
        assert ranking.after(pack(score), member_id) == len([key for key in keys if key <= place])


@given(boards, boards)
def test_the_digest_tells_boards_apart(one: Board, other: Board) -> None:
    assert (rank(one).digest == rank(other).digest) is (one == other)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1)), max_size=30))
def test_ids_are_sorted_by_their_bytes_also_where_halves_are_shared(halves: list[tuple[int, int]]) -> None:
    found = [head.to_bytes(8, "big") + tail.to_bytes(8, "big") for head, tail in dict.fromkeys(halves)]
    ids = np.array(found, dtype="S16")

    assert ids[order_of_ids(ids)].tobytes() == b"".join(sorted(found))
