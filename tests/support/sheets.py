"""What a sheet is compared with."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from domain.ids import MemberId
from domain.leaderboard.model import RankedRow
from domain.leaderboard.sheet import COLUMN, COLUMNS, CRITERIA, UNMOVED, Numbers
from live.events import Delta


def numbers_of_rows(rows: Sequence[RankedRow]) -> Numbers:
    """Of rows that are objects; nobody has guessed or moved."""
    found = np.zeros((len(rows), len(COLUMNS)), dtype=np.int64)
    found[:, COLUMN["movement"]] = UNMOVED
    for number, row in enumerate(rows):
        places = (row.position, row.rank, row.dense_rank, row.tied, CRITERIA.index(row.separated_by))
        scores = (row.points, row.exact_scores, row.goal_differences, row.outcomes)
        found[number, : len(places) + len(scores) + 2] = (*places, *scores, row.settled_rank, row.settled_points)
    return found


def removed(delta: Delta) -> tuple[MemberId, ...]:
    """Whose rows left the window."""
    return tuple(MemberId(UUID(bytes=member)) for member in delta.left)
