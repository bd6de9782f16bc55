"""How members stood after each round: everybody has a history, whatever their id."""

from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest

from domain.ids import MemberId, RoundId, new_id
from domain.leaderboard.arrays import to_ids
from domain.leaderboard.past.timeline import Stop, Timeline

NOW = datetime(2026, 6, 11, tzinfo=UTC)


@pytest.mark.parametrize("zeros", [0, 1, 2, 15])
def test_a_member_whose_id_ends_with_zeros_has_a_history(zeros: int) -> None:
    mine = MemberId(UUID(bytes=bytes(range(1, 17 - zeros)) + bytes(zeros)))
    ids = to_ids([mine, *(MemberId(new_id()) for _ in range(5))])
    ranks = (ids == np.bytes_(mine.bytes)).astype(np.int64)[np.newaxis]
    stop = Stop(RoundId(new_id()), 1, 1, NOW)
    timeline = Timeline(1, (stop,), ids, ranks, ranks * 7, ranks * 7)

    assert [(after.rank, after.points) for after in timeline.of_member(mine)] == [(1, 7)]
    assert timeline.of_member(MemberId(UUID(int=mine.int + 1))) == ()
