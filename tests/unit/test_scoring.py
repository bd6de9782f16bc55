"""Facts, points and explanations: the examples of the rules, and what holds for every score."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import MatchId, RulesetId, SettlementId, TournamentId, new_id
from domain.match.model import Goals, ResultKind
from domain.scoring.model import Facts, GuessFact, Ruleset, ScoreBasis, Weights
from domain.scoring.rules import Judgement, PointsLine, bases, basis_row, counted_goals, explain, facts, points
from domain.settlement.model import Settlement
from domain.tournament.model import TournamentMode

DEFAULT = Weights(3, 0, 0, 0, 0)
KICKTIPP = Weights(2, 1, 0, 0, 1)
EXACT_BONUS = Weights(3, 0, 0, 0, 2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)

goals = st.builds(Goals, st.integers(0, 99), st.integers(0, 99))
weights = st.builds(Weights, *(st.integers(0, 100) for _ in range(5)))


@pytest.mark.parametrize(
    ("guess", "result", "expected"),
    [
        ((2, 1), (2, 1), Facts(1, 1, 1, 1, 1)),
        ((1, 0), (2, 1), Facts(1, 1, 0, 0, 0)),
        ((2, 0), (2, 1), Facts(1, 0, 1, 0, 0)),
        ((3, 1), (2, 1), Facts(1, 0, 0, 1, 0)),
        ((1, 2), (2, 1), Facts(0, 0, 0, 0, 0)),
        ((2, 2), (2, 2), Facts(1, 1, 1, 1, 1)),
        ((1, 1), (2, 2), Facts(1, 0, 0, 0, 0)),
        ((2, 0), (2, 2), Facts(0, 0, 1, 0, 0)),
    ],
)
def test_the_examples_of_the_rules(guess: tuple[int, int], result: tuple[int, int], expected: Facts) -> None:
    assert facts(Goals(*guess), Goals(*result)) == expected


@pytest.mark.parametrize(
    ("preset", "decided", "drawn"),
    [
        # Against 2-1: 2-1, 1-0, 2-0, 3-1, 1-2. Against 2-2: 2-2, 1-1, 2-0.
        (DEFAULT, (3, 3, 3, 3, 0), (3, 3, 0)),
        (KICKTIPP, (4, 3, 2, 2, 0), (4, 2, 0)),  # read as 2 / 3 / 4, of a draw 2 / - / 4
        (EXACT_BONUS, (5, 3, 3, 3, 0), (5, 3, 0)),
    ],
)
def test_what_each_preset_pays_for_the_examples(
    preset: Weights, decided: tuple[int, ...], drawn: tuple[int, ...]
) -> None:
    home_win = [Goals(2, 1), Goals(1, 0), Goals(2, 0), Goals(3, 1), Goals(1, 2)]
    draw = [Goals(2, 2), Goals(1, 1), Goals(2, 0)]

    assert tuple(points(facts(guess, Goals(2, 1)), preset) for guess in home_win) == decided
    assert tuple(points(facts(guess, Goals(2, 2)), preset) for guess in draw) == drawn


def test_one_fact_alone_pays_its_own_weight_and_no_other() -> None:
    for place, fact in enumerate(GuessFact):
        alone = Weights(*(7 * (n == place) for n in range(5)))
        for guess, result in (((2, 1), (2, 1)), ((2, 0), (2, 1)), ((3, 1), (2, 1)), ((1, 1), (2, 2)), ((1, 2), (2, 1))):
            right = facts(Goals(*guess), Goals(*result))
            assert points(right, alone) == 7 * right[place], (fact, guess, result)


@given(goals, goals)
def test_kicktipp_pays_two_three_or_four_and_never_three_for_a_draw(guess: Goals, result: Goals) -> None:
    right = facts(guess, result)
    is_draw = result.home == result.away

    paid = points(right, KICKTIPP)

    assert paid == (4 if guess == result else 3 if right.goal_difference else 2 if right.outcome else 0)
    assert not (is_draw and paid == 3)


@given(goals, goals, weights)
def test_points_lie_between_nothing_and_all_weights(guess: Goals, result: Goals, weights: Weights) -> None:
    paid = points(facts(guess, result), weights)

    assert 0 <= paid <= sum(weights) <= 500
    assert points(facts(result, result), weights) == sum(weights)


@given(goals, goals)
def test_each_fact_is_yes_or_no_and_the_same_from_both_sides(guess: Goals, result: Goals) -> None:
    found = facts(guess, result)

    assert set(found) <= {0, 1}
    assert found == facts(result, guess)


@given(goals)
def test_a_draw_has_its_difference_right_only_when_it_is_exact(guess: Goals) -> None:
    for level in (0, 1, 2, 99):
        found = facts(guess, Goals(level, level))
        assert found.goal_difference == found.exact


@given(goals, goals)
def test_facts_agree_with_a_second_definition(guess: Goals, result: Goals) -> None:
    def winner(score: Goals) -> str:
        return "home" if score.home > score.away else "away" if score.away > score.home else "nobody"

    exact = list(guess) == list(result)
    is_draw = winner(result) == "nobody"
    assert [bool(fact) for fact in facts(guess, result)] == [
        winner(guess) == winner(result),
        exact or (not is_draw and guess.home + result.away == guess.away + result.home),
        guess.home == result.home,
        guess.away == result.away,
        exact,
    ]


@given(goals, goals)
def test_exact_implies_all_and_difference_implies_outcome(guess: Goals, result: Goals) -> None:
    found = facts(guess, result)
    assert found.exact <= min(found)
    assert found.exact <= found.goal_difference <= found.outcome


@given(goals, goals)
def test_swapping_the_sides_swaps_the_goal_facts(guess: Goals, result: Goals) -> None:
    found = facts(guess, result)
    swapped = facts(Goals(guess.away, guess.home), Goals(result.away, result.home))
    assert swapped == Facts(found.outcome, found.goal_difference, found.away_goals, found.home_goals, found.exact)


@given(st.lists(st.tuples(goals, goals), max_size=20), weights)
def test_points_of_counted_facts_are_the_sum_of_points(pairs: list[tuple[Goals, Goals]], weights: Weights) -> None:
    each = [facts(guess, result) for guess, result in pairs]
    counted = Facts(*(sum(column) for column in zip(*each, strict=True))) if each else Facts(0, 0, 0, 0, 0)
    assert points(counted, weights) == sum(points(one, weights) for one in each)


def test_a_regular_season_shares_one_basis_and_knockouts_have_two() -> None:
    assert bases(TournamentMode.REGULAR_SEASON) == (ScoreBasis.AFTER_EXTRA_TIME,)
    for mode in (TournamentMode.KNOCKOUT, TournamentMode.REGULAR_SEASON_AND_KNOCKOUT):
        assert bases(mode) == (ScoreBasis.AFTER_EXTRA_TIME, ScoreBasis.REGULATION)
        assert [basis_row(mode, basis) for basis in ScoreBasis] == list(ScoreBasis)
    shared = [basis_row(TournamentMode.REGULAR_SEASON, basis) for basis in ScoreBasis]
    assert shared == [ScoreBasis.AFTER_EXTRA_TIME, ScoreBasis.AFTER_EXTRA_TIME]


@pytest.mark.parametrize(
    ("kind", "basis", "regulation", "after_extra_time", "expected"),
    [
        (ResultKind.PLAYED, ScoreBasis.AFTER_EXTRA_TIME, Goals(2, 2), Goals(3, 3), Goals(3, 3)),
        (ResultKind.PLAYED, ScoreBasis.REGULATION, Goals(2, 2), Goals(3, 3), Goals(2, 2)),
        (ResultKind.PLAYED, ScoreBasis.AFTER_EXTRA_TIME, Goals(1, 0), None, Goals(1, 0)),
        (ResultKind.PLAYED, ScoreBasis.AFTER_EXTRA_TIME, Goals(0, 0), Goals(0, 0), Goals(0, 0)),
        (ResultKind.PLAYED, ScoreBasis.REGULATION, None, Goals(3, 3), None),
        (ResultKind.PLAYED, ScoreBasis.AFTER_EXTRA_TIME, None, None, None),
        (ResultKind.AWARDED, ScoreBasis.REGULATION, Goals(3, 0), None, Goals(3, 0)),
        (ResultKind.AWARDED, ScoreBasis.AFTER_EXTRA_TIME, Goals(3, 0), None, Goals(3, 0)),
        (ResultKind.VOID, ScoreBasis.AFTER_EXTRA_TIME, Goals(3, 0), None, None),
    ],
)
def test_a_missing_part_is_never_replaced_by_another(
    kind: ResultKind,
    basis: ScoreBasis,
    regulation: Goals | None,
    after_extra_time: Goals | None,
    expected: Goals | None,
) -> None:
    assert counted_goals(kind, basis, regulation, after_extra_time) == expected


def test_an_explanation_has_a_line_for_each_fact() -> None:
    settlement = _settlement()
    judged = _final_of_2022(KICKTIPP, ScoreBasis.AFTER_EXTRA_TIME, settlement)

    explained = explain(judged, Goals(1, 1))

    assert explained is not None
    assert (explained.points, explained.counted_goals, explained.settlement) == (2, Goals(3, 3), settlement)
    assert explained.ruleset == judged.ruleset
    assert explained.lines == (
        PointsLine(GuessFact.OUTCOME, True, 2, 2),
        PointsLine(GuessFact.GOAL_DIFFERENCE, False, 1, 0),
        PointsLine(GuessFact.HOME_GOALS, False, 0, 0),
        PointsLine(GuessFact.AWAY_GOALS, False, 0, 0),
        PointsLine(GuessFact.EXACT, False, 1, 0),
    )


def test_an_explanation_counts_the_score_of_the_basis() -> None:
    for basis, paid in ((ScoreBasis.REGULATION, 4), (ScoreBasis.AFTER_EXTRA_TIME, 2)):
        assert _paid(_final_of_2022(KICKTIPP, basis, _settlement()), Goals(2, 2)) == paid


@given(goals, goals, weights)
def test_the_lines_of_an_explanation_add_up_to_its_points(guess: Goals, result: Goals, weights: Weights) -> None:
    ruleset = _ruleset(weights, ScoreBasis.AFTER_EXTRA_TIME)

    explained = explain(Judgement(ruleset, ResultKind.PLAYED, result, None, None, _settlement()), guess)

    assert explained is not None
    assert [line.fact for line in explained.lines] == list(GuessFact)
    assert [line.weight for line in explained.lines] == list(weights)
    assert all(line.points == line.weight * line.correct for line in explained.lines)
    assert explained.points == sum(line.points for line in explained.lines) == points(facts(guess, result), weights)


@pytest.mark.parametrize(
    ("regulation", "after_extra_time", "running", "expected"),
    [
        # In play: of both bases the running score, until extra time has parts of its own.
        (None, None, Goals(1, 0), (Goals(1, 0), Goals(1, 0))),
        (Goals(1, 1), None, Goals(2, 1), (Goals(2, 1), Goals(1, 1))),
        (Goals(1, 1), Goals(2, 1), Goals(2, 1), (Goals(2, 1), Goals(1, 1))),
        (None, Goals(2, 1), Goals(2, 1), (Goals(2, 1), None)),
        # Over, and not settled yet.
        (Goals(2, 2), Goals(3, 3), None, (Goals(3, 3), Goals(2, 2))),
        (Goals(2, 1), None, None, (Goals(2, 1), Goals(2, 1))),
        (None, None, None, (None, None)),
    ],
)
def test_before_a_settlement_the_score_that_stands_is_explained_as_provisional(
    regulation: Goals | None,
    after_extra_time: Goals | None,
    running: Goals | None,
    expected: tuple[Goals | None, Goals | None],
) -> None:
    found = []
    for basis in (ScoreBasis.AFTER_EXTRA_TIME, ScoreBasis.REGULATION):
        ruleset = _ruleset(DEFAULT, basis)
        judged = Judgement(ruleset, ResultKind.PLAYED, regulation, after_extra_time, running, None)
        explained = explain(judged, Goals(1, 0))
        found.append(explained.counted_goals if explained else None)
        assert explained is None or explained.settlement is None

    assert tuple(found) == expected


def test_what_has_no_score_or_no_guess_is_not_explained() -> None:
    ruleset = _ruleset(DEFAULT, ScoreBasis.REGULATION)
    void = Judgement(ruleset, ResultKind.VOID, None, None, None, _settlement())
    lacks_part = Judgement(ruleset, ResultKind.PLAYED, None, Goals(3, 3), None, _settlement())

    assert explain(void, Goals(1, 1)) is None
    assert explain(lacks_part, Goals(1, 1)) is None
    assert explain(_final_of_2022(DEFAULT, ScoreBasis.REGULATION, _settlement()), None) is None


def _paid(judged: Judgement, guess: Goals) -> int:
    explained = explain(judged, guess)
    assert explained is not None
    return explained.points


def _ruleset(weights: Weights, basis: ScoreBasis) -> Ruleset:
    return Ruleset(RulesetId(new_id()), "test", 1, "Test", basis, weights)


def _settlement() -> Settlement:
    match_id, tournament_id = MatchId(UUID(int=1)), TournamentId(UUID(int=2))
    return Settlement(SettlementId(UUID(int=3)), tournament_id, match_id, 1, 1, "digest", 1, 1, NOW)


def _final_of_2022(weights: Weights, basis: ScoreBasis, settlement: Settlement) -> Judgement:
    return Judgement(_ruleset(weights, basis), ResultKind.PLAYED, Goals(2, 2), Goals(3, 3), None, settlement)
