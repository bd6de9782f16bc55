"""The form of teams: won, drawn and lost, oldest first, at most five, and only what was played before."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.ids import MatchId, TeamId, TournamentId, new_id
from domain.match.form.model import FormResult, PlayedMatch
from domain.match.form.rules import form, results_of
from domain.match.model import Goals

WIN, DRAW, LOSS = FormResult
ANA, BEA, CID = (TeamId(new_id()) for _ in range(3))
START = datetime(2026, 8, 1, tzinfo=UTC)


def played(day: int, home: TeamId, away: TeamId, goals: tuple[int, int]) -> PlayedMatch:
    at = START + timedelta(days=day)
    return PlayedMatch(MatchId(new_id()), TournamentId(new_id()), at, home, away, Goals(*goals))


@pytest.mark.parametrize(
    ("goals", "home", "away"), [((2, 1), WIN, LOSS), ((1, 1), DRAW, DRAW), ((0, 0), DRAW, DRAW), ((0, 3), LOSS, WIN)]
)
def test_both_teams_have_their_result(goals: tuple[int, int], home: FormResult, away: FormResult) -> None:
    results = results_of([played(0, ANA, BEA, goals)])
    assert (form(results, ANA), form(results, BEA), form(results, CID)) == ([home], [away], [])


def test_the_last_five_come_oldest_first() -> None:
    scores = [(0, 9), (1, 0), (2, 2), (0, 1), (3, 0), (4, 4), (1, 2)]
    results = results_of(played(day, ANA, BEA, goals) for day, goals in enumerate(scores))
    assert form(results, ANA) == [DRAW, LOSS, WIN, DRAW, LOSS]
    assert form(results, BEA) == [DRAW, WIN, LOSS, DRAW, WIN]


def test_a_match_is_not_before_itself() -> None:
    matches = [played(0, ANA, BEA, (1, 0)), played(1, ANA, CID, (0, 1)), played(2, ANA, BEA, (2, 2))]
    results = results_of(matches)
    assert [form(results, ANA, each.kick_off) for each in matches] == [[], [WIN], [WIN, LOSS]]
    assert form(results, ANA) == [WIN, LOSS, DRAW]
