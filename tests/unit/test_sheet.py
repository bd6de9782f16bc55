"""What a sheet says of the row above, for every way in which one score can be better than another."""

from itertools import product
from uuid import UUID

import numpy as np
import pytest

from domain.ids import MemberId
from domain.leaderboard.arrays import to_ids
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.sheet import COLUMN, CRITERIA, numbers_of

SCORES = list(product((0, 1), repeat=4))


@pytest.mark.parametrize("above", SCORES)
def test_rows_are_separated_by_the_first_criterion_in_which_the_one_above_is_better(above: tuple[int, ...]) -> None:
    ids = to_ids([MemberId(UUID(int=number)) for number in (1, 2)])
    for below in (score for score in SCORES if score <= above):
        ranking = Ranking.of(ids, np.array([above, below]))
        first = next((CRITERIA[n + 1] for n in range(4) if above[n] > below[n]), None)

        _, numbers = numbers_of(ranking, 2)

        assert [row.separated_by for row in ranking.rows(0, 2)] == [None, first]
        assert [CRITERIA[number] for number in numbers[:, COLUMN["separated_by"]]] == [None, first]
