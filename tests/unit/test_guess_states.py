"""How a guess stands, and why one is refused."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.guess.model import Guess, GuessInput, GuessState
from domain.guess.rules import goal_faults, guess_state, refusal, request_faults
from domain.ids import MatchId, MemberId, TeamId
from domain.match.model import Goals, MatchStatus, ResultKind, ResultState
from tests.support.matches import planned_match

MATCH = planned_match(
    home_team_id=TeamId(UUID(int=4)),
    away_team_id=TeamId(UUID(int=5)),
    kick_off=datetime(2026, 11, 24, 20, tzinfo=UTC),
    lock_at=datetime(2026, 11, 24, 20, tzinfo=UTC),
)
GIVEN = Guess(MATCH.tournament_id, MATCH.id, MemberId(UUID(int=6)), Goals(2, 1), 1, MATCH.kick_off, None)
NONE = replace(GIVEN, goals=None, revision=0, saved_at=None)


@pytest.mark.parametrize(
    ("change", "given", "none"),
    [
        ({}, GuessState.WAITING, GuessState.NOT_STARTED),
        ({"is_locked": True}, GuessState.WAITING, GuessState.EXPIRED),
        ({"is_locked": True, "status": MatchStatus.ENDED}, GuessState.WAITING, GuessState.EXPIRED),
        ({"is_locked": True, "is_settled": True}, GuessState.FINALIZED, GuessState.EXPIRED),
        ({"is_paused": True}, GuessState.PAUSED, GuessState.PAUSED),
        ({"is_paused": True, "is_locked": True, "is_settled": True}, GuessState.PAUSED, GuessState.PAUSED),
    ],
)
def test_the_first_that_holds_is_the_state(change: dict[str, Any], given: GuessState, none: GuessState) -> None:
    match = replace(MATCH, **change)
    assert guess_state(match, GIVEN) is given
    assert guess_state(match, NONE) is none


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"status": MatchStatus.CANCELLED, "is_paused": True, "is_locked": True}, "MATCH_NOT_GUESSABLE"),
        ({"status": MatchStatus.ABANDONED, "is_paused": True}, "MATCH_NOT_GUESSABLE"),
        ({"result_kind": ResultKind.VOID, "is_paused": True}, "MATCH_NOT_GUESSABLE"),
        ({"result_state": ResultState.VOID, "is_paused": True}, "MATCH_NOT_GUESSABLE"),
        ({"away_team_id": None, "is_locked": True}, "MATCH_NOT_GUESSABLE"),
        ({"home_team_id": None}, "MATCH_NOT_GUESSABLE"),
        ({"status": MatchStatus.POSTPONED, "is_paused": True, "is_locked": True}, "MATCH_PAUSED"),
        ({"is_locked": True}, "MATCH_LOCKED"),
        ({"status": MatchStatus.IN_PLAY, "lock_at": None}, "MATCH_LOCKED"),
        ({"status": MatchStatus.ENDED, "lock_at": None}, "MATCH_LOCKED"),
    ],
)
def test_a_match_refuses_guesses_for_the_first_reason(change: dict[str, Any], code: str | None) -> None:
    error = refusal(replace(MATCH, **change), joined=True)
    assert (error.code if error else None) == code


def test_who_has_not_joined_hears_nothing_else() -> None:
    for match in (MATCH, replace(MATCH, status=MatchStatus.CANCELLED), replace(MATCH, is_locked=True)):
        error = refusal(match, joined=False)
        assert error is not None
        assert error.code == "NOT_JOINED"


@pytest.mark.parametrize(
    ("home", "away", "fields"),
    [
        (0, 99, []),
        (-1, 0, ["home"]),
        (0, 100, ["away"]),
        (-1, 100, ["home", "away"]),
        (1.0, 2, ["home"]),
        (1, True, ["away"]),
    ],
)
def test_goals_are_whole_numbers_up_to_99_and_all_faults_come_together(home: Any, away: Any, fields: list[str]) -> None:
    faults = goal_faults(GuessInput(MATCH.id, home, away), ("guesses", "3"))
    assert [(fault.code, fault.field) for fault in faults] == [
        ("INVALID_INPUT", ("guesses", "3", field)) for field in fields
    ]


def test_a_request_has_1_to_100_guesses() -> None:
    guesses = [GuessInput(MatchId(UUID(int=n)), 1, 1) for n in range(101)]
    assert [fault.field for fault in request_faults([])] == [("guesses",)]
    assert [fault.field for fault in request_faults(guesses)] == [("guesses",)]
    assert request_faults(guesses[:100]) == []
    assert request_faults(guesses[:1]) == []


def test_a_request_has_each_match_once() -> None:
    guesses = [GuessInput(MatchId(UUID(int=n)), 1, 1) for n in (1, 2, 1, 1)]
    faults = request_faults(guesses)
    assert [fault.field for fault in faults] == [("guesses", "2", "matchId"), ("guesses", "3", "matchId")]
