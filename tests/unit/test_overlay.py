"""Provisional points in memory, without any database."""

from uuid import UUID

import numpy as np

from domain.ids import MemberId
from domain.leaderboard.arrays import to_ids
from domain.leaderboard.provisional.overlay import MatchGuesses, add_live
from domain.match.model import Goals

EMPTY_COPY = b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"


def test_a_live_match_that_nobody_has_guessed_adds_nothing() -> None:
    nobody = MatchGuesses.of_copy(EMPTY_COPY, 0)
    members, facts = to_ids([MemberId(UUID(int=1))]), np.array([[3, 1, 1, 1, 1]])

    assert len(nobody) == 0
    assert add_live(members, facts, [(nobody, Goals(2, 1))]).tolist() == facts.tolist()


def test_guesses_count_for_whoever_is_on_the_board_however_that_changes() -> None:
    ana, ben, cid = (MemberId(UUID(int=number)) for number in (1, 2, 3))
    guesses = MatchGuesses(to_ids([ana, cid]), (Goals(0, 0), Goals(2, 1)), np.array([1, 0], np.int16), 0)
    exact, nothing = [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]

    for board, wanted in (
        ((ana, ben, cid), [exact, nothing, nothing]),
        ((ana, ben), [exact, nothing]),
        ((ben, cid), [nothing, nothing]),
        ((), []),
        ((ana, ben, cid), [exact, nothing, nothing]),
    ):
        members, facts = to_ids(list(board)), np.zeros((len(board), 5), np.int32)
        for _ in range(2):
            assert add_live(members, facts, [(guesses, Goals(2, 1))]).tolist() == wanted
