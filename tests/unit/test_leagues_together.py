"""Leagues that are ranked together are ranked as each is alone."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import LeagueId, TournamentId, new_id
from domain.leaderboard.arrays import Ids
from domain.leaderboard.leagues import RankedMembers, rank_league
from domain.leaderboard.many.together import read_together
from domain.leaderboard.model import BoardKey, BoardState, Part
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.leaderboard.sheet import numbers_of
from domain.scoring.model import ScoreBasis, Weights

BASIS = ScoreBasis.AFTER_EXTRA_TIME
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVERYBODY: Ids = np.sort(np.array([new_id().bytes for _ in range(30)], dtype="S16"))
TOURNAMENTS = (TournamentId(new_id()), TournamentId(new_id()))
subsets = st.lists(st.integers(0, len(EVERYBODY) - 1), unique=True).map(sorted)


def table(joined: Sequence[int], seed: int, *, is_live: bool) -> ScoreTable:
    """Few facts, so that many are level."""
    chance = np.random.default_rng(seed)
    facts = chance.integers(0, 2, (len(joined), 5))
    live = {BASIS: facts + chance.integers(0, 2, facts.shape)} if is_live else None
    return ScoreTable(Stamp("one", 1, 1, NOW, len(joined), int(is_live)), EVERYBODY[joined], {BASIS: facts}, live)


def part(tournament_id: TournamentId, weights: Weights) -> Part:
    return Part(
        tournament_id=tournament_id,
        settled_version=1,
        board_version=1,
        basis=BASIS,
        bases=(BASIS,),
        weights=weights,
        counts_in_total=True,
        played=((NOW, None),),
        baseline=None,
        settled_matches=0,
        matches=1,
        pending_matches=0,
    )


@given(
    st.lists(subsets, min_size=2, max_size=2),
    st.tuples(st.booleans(), st.booleans()),
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(subsets, st.integers(0, 2), st.sampled_from((1, 3))), max_size=8),
    st.integers(1, 40),
)
def test_each_is_what_it_is_alone(
    joined: list[list[int]],
    live: tuple[bool, bool],
    seed: int,
    leagues: list[tuple[list[int], int, int]],
    first: int,
) -> None:
    tables = {
        one: table(some, seed + n, is_live=live[n])
        for n, (one, some) in enumerate(zip(TOURNAMENTS, joined, strict=True))
    }
    states, rosters = [], []
    for members, plays, exact in leagues:
        parts = tuple(part(one, Weights(1, 0, 0, 0, exact)) for one in TOURNAMENTS[:plays])
        states.append(BoardState(BoardKey(LeagueId(new_id())), "one", 1, NOW, parts))
        rosters.append(RankedMembers(EVERYBODY[members], 1))

    for state, members, reader in zip(states, rosters, read_together(states, rosters, tables), strict=True):
        assert reader is not None
        alone = rank_league(state, tables, members)
        shown, numbers = asyncio.run(reader.numbers(first))
        expected = numbers_of(alone, first)
        assert (shown, numbers.tolist()) == (expected[0], expected[1].tolist())
        assert asyncio.run(reader.rows(0, first)) == alone.rows(0, first)


def test_one_that_cannot_be_ranked_leaves_the_others_alone() -> None:
    facts = np.zeros((len(EVERYBODY), 5), dtype=np.uint16)
    facts[0] = 60_000
    stamp = Stamp("one", 1, 1, NOW, len(EVERYBODY))
    tables = {TOURNAMENTS[0]: ScoreTable(stamp, EVERYBODY, {BASIS: facts})}
    parts = (part(TOURNAMENTS[0], Weights(1, 0, 0, 0, 100)),)
    states = [BoardState(BoardKey(LeagueId(new_id())), "one", 1, NOW, parts) for _ in range(3)]
    rosters = [RankedMembers(EVERYBODY[some], 1) for some in (slice(1, 5), slice(0, 5), slice(5, 9))]
    assert [reader is None for reader in read_together(states, rosters, tables)] == [False, True, False]
