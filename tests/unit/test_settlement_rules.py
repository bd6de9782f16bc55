"""The arithmetic of settlement for any results and guesses: what is judged, what changes, and what proves it."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import MatchId, new_id
from domain.match.model import Goals, ResultKind
from domain.scoring.model import Facts, ScoreBasis
from domain.settlement.rules import (
    AcceptedResult,
    NewResult,
    ResultIncomplete,
    Scoreline,
    deltas,
    effect_digest,
    members_changed,
    must_recount,
    replaces,
    rows_changed,
    says_the_same,
    score,
    turned,
)
from tests.support.settlement import is_right

MATCH = MatchId(new_id())
BASES = tuple(ScoreBasis)
NOTHING = (0, 0, 0, 0, 0)

goals = st.builds(Goals, st.integers(0, 3), st.integers(0, 3))
parts = st.none() | goals
guesses = st.dictionaries(goals, st.integers(1, 1000), max_size=8)
sources = st.sampled_from(["CONFIRMED", "OVERRIDE"])
said = st.builds(
    NewResult, st.just(MATCH), st.sampled_from(ResultKind), parts, parts, parts, st.just("PROVIDER"), sources
)


def accepted(found: NewResult, revision: int = 1, cause: str = "PROVIDER") -> AcceptedResult:
    return AcceptedResult(
        MATCH,
        revision,
        found.kind,
        found.source,
        found.regulation,
        found.after_extra_time,
        found.shoot_out,
        datetime(2026, 1, 1, tzinfo=UTC),
        cause,
    )


def counted(found: NewResult, basis: ScoreBasis) -> Goals | None:
    """The score that counts, written down once more from the rules."""
    if found.kind is ResultKind.VOID:
        return None
    if basis is ScoreBasis.REGULATION and found.kind is ResultKind.PLAYED:
        return found.regulation
    return found.regulation if found.after_extra_time is None else found.after_extra_time


def lines_of(found: NewResult, given: dict[Goals, int]) -> list[Scoreline]:
    try:
        return score(accepted(found), BASES, given)[0]
    except ResultIncomplete:
        return []


@given(said, guesses)
def test_each_scoreline_is_judged_once_by_the_score_of_its_basis(found: NewResult, given: dict[Goals, int]) -> None:
    wanted = {basis: counted(found, basis) for basis in BASES}
    if found.kind is not ResultKind.VOID and set(wanted.values()) == {None}:
        with pytest.raises(ResultIncomplete):
            score(accepted(found), BASES, given)
        return

    lines, missing = score(accepted(found), BASES, given)

    is_void = found.kind is ResultKind.VOID
    assert missing == ([] if is_void else [basis for basis in BASES if wanted[basis] is None])
    assert {(line.basis, line.goals): (tuple(line.facts), line.guesses) for line in lines} == {
        (basis, guess): (is_right(guess, right), count)
        for basis, right in wanted.items()
        if right is not None
        for guess, count in given.items()
    }
    assert len(lines) == len({(line.basis, line.goals) for line in lines})


@given(said, parts, guesses)
def test_a_shoot_out_never_counts(found: NewResult, shoot_out: Goals | None, given: dict[Goals, int]) -> None:
    assert lines_of(found, given) == lines_of(replace(found, shoot_out=shoot_out), given)


@given(st.lists(said, max_size=6), guesses)
def test_changes_add_up_to_the_last_result_whatever_came_before(
    history: list[NewResult], given: dict[Goals, int]
) -> None:
    paid: dict[tuple[ScoreBasis, Goals], tuple[int, ...]] = {}
    before: list[Scoreline] = []
    for found in history:
        after = lines_of(found, given)
        for change in deltas(before, after):
            assert any(change.facts)
            old = paid.get((change.basis, change.goals), NOTHING)
            paid[change.basis, change.goals] = tuple(map(sum, zip(old, change.facts, strict=True)))
        before = after

    assert {key: facts for key, facts in paid.items() if any(facts)} == {
        (line.basis, line.goals): tuple(line.facts) for line in before if any(line.facts)
    }


@given(said, said, guesses)
def test_what_is_written_is_who_changes(one: NewResult, other: NewResult, given: dict[Goals, int]) -> None:
    old, new = ({(line.basis, line.goals): line.facts for line in lines_of(found, given)} for found in (one, other))
    differing = {
        (basis, guess)
        for basis in BASES
        for guess in given
        if old.get((basis, guess), Facts(*NOTHING)) != new.get((basis, guess), Facts(*NOTHING))
    }
    changes = deltas(lines_of(one, given), lines_of(other, given))

    assert {(change.basis, change.goals) for change in changes} == differing
    assert rows_changed(changes, given) == sum(given[guess] for _, guess in differing)
    assert members_changed(changes, given) == sum(given[guess] for guess in {guess for _, guess in differing})
    assert deltas(lines_of(one, given), lines_of(one, given)) == []


@given(said, st.dictionaries(goals, st.integers(1, 1000), min_size=1, max_size=8), st.randoms())
def test_the_digest_is_of_all_that_was_judged_in_any_order(
    found: NewResult, given: dict[Goals, int], rng: random.Random
) -> None:
    lines = lines_of(found, given)
    digest = effect_digest(MATCH, 1, lines)

    assert effect_digest(MATCH, 1, rng.sample(lines, len(lines))) == digest
    assert effect_digest(MATCH, 2, lines) != digest
    for line in lines:
        others = [one for one in lines if one is not line]
        more = replace(line, guesses=line.guesses + 1)
        wrong = replace(line, facts=line.facts._replace(outcome=1 - line.facts.outcome))
        assert digest not in {effect_digest(MATCH, 1, [*others, *changed]) for changed in ([], [more], [wrong])}


@given(said, guesses, guesses)
def test_guesses_that_changed_since_they_were_paid_are_counted_anew(
    found: NewResult, paid: dict[Goals, int], present: dict[Goals, int]
) -> None:
    lines = lines_of(found, paid)

    assert must_recount([accepted(found)], lines, present) == (bool(lines) and paid != present)
    assert must_recount([accepted(found), accepted(found, 2, "REPLAY")], lines, paid)


@given(said, said)
def test_a_word_of_less_weight_replaces_nothing_and_the_same_word_neither(one: NewResult, other: NewResult) -> None:
    latest = accepted(one)
    is_outranked = (one.source, other.source) == ("OVERRIDE", "CONFIRMED")
    is_heavier = (one.source, other.source) == ("CONFIRMED", "OVERRIDE")

    assert replaces(None, other)
    assert not replaces(latest, replace(other, source="PROVISIONAL"))
    assert replaces(latest, other) == (is_heavier or (not is_outranked and not says_the_same(latest, other)))
    assert replaces(latest, replace(one, cause="REPLAY"))


@given(said)
def test_results_say_the_same_whose_kind_and_parts_are_equal_and_void_ones_have_no_parts(found: NewResult) -> None:
    latest = accepted(found)
    elsewhere = Goals(9, 9)
    others = [
        replace(found, regulation=elsewhere),
        replace(found, after_extra_time=elsewhere),
        replace(found, shoot_out=elsewhere),
    ]

    assert not replaces(latest, found)
    assert {says_the_same(latest, other) for other in others} == {found.kind is ResultKind.VOID}
    assert [kind for kind in ResultKind if says_the_same(latest, replace(found, kind=kind))] == [found.kind]


@given(said, guesses)
def test_teams_that_change_sides_take_their_goals_along(found: NewResult, given: dict[Goals, int]) -> None:
    assert turned(turned(found)) == found
    one = {(line.basis, line.goals): line.facts for line in lines_of(found, given)}
    mirrored = {Goals(guess.away, guess.home): count for guess, count in given.items()}
    other = {
        (line.basis, Goals(line.goals.away, line.goals.home)): line.facts for line in lines_of(turned(found), mirrored)
    }

    assert other.keys() == one.keys()
    for key, right in one.items():
        swapped = Facts(right.outcome, right.goal_difference, right.away_goals, right.home_goals, right.exact)
        assert other[key] == swapped
