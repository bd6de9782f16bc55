"""Provisional points in memory, without any database."""

from uuid import UUID

import numpy as np

from domain.ids import MemberId
from domain.leaderboard.provisional.overlay import MatchGuesses, add_live
from domain.leaderboard.ranking import to_ids
from domain.match.model import Goals

EMPTY_COPY = b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"


def test_a_live_match_that_nobody_has_guessed_adds_nothing() -> None:
    nobody = MatchGuesses.of_copy(EMPTY_COPY, 0)
    members, facts = to_ids([MemberId(UUID(int=1))]), np.array([[3, 1, 1, 1, 1]])

    assert len(nobody) == 0
    assert nobody.worth(Goals(2, 1)).shape == (0, 5)
    assert add_live(members, facts, [(nobody, Goals(2, 1))]).tolist() == facts.tolist()
