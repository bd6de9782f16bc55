"""What a guess is worth: facts against a result, points under a ruleset, and the explanation of both."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from domain.errors import DomainError, Fault
from domain.match.model import Goals, ResultKind
from domain.member.rules import is_plain
from domain.scoring.model import Facts, GuessFact, NewRuleset, Ruleset, ScoreBasis, Weights
from domain.settlement.model import Settlement
from domain.tournament.model import TournamentMode

MOST_POINTS = 100
"""For one fact; five of them fit into the packed score of a board."""
LONGEST_CODE = 40
LONGEST_LABEL = 60
_CODE = re.compile(r"[a-z0-9-]+")


class RulesetFrozen(DomainError):
    """A match in the scope of the ruleset has locked: guesses were given under it."""

    code = "RULESET_FROZEN"


@dataclass(frozen=True, slots=True)
class PointsLine:
    """One fact about a guess, and what it pays."""

    fact: GuessFact
    correct: bool
    weight: int
    points: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the guesses of a match are judged by: a ruleset, and the score that was settled, or that stands for now."""

    ruleset: Ruleset
    kind: ResultKind
    regulation: Goals | None
    after_extra_time: Goals | None
    running: Goals | None
    """The score in play; None once the match is over."""
    settlement: Settlement | None


@dataclass(frozen=True, slots=True)
class GuessPoints:
    """What a guess pays and why: enough to work it out again by hand."""

    points: int
    counted_goals: Goals
    ruleset: Ruleset
    lines: tuple[PointsLine, ...]
    settlement: Settlement | None
    """What paid it; None while the score is not final."""


def facts(guess: Goals, result: Goals) -> Facts:
    """What `guess` got right about `result`, each 0 or 1. The difference of a draw counts only for the exact score."""
    exact = guess == result
    difference = guess.home - guess.away
    right_difference = result.home - result.away
    return Facts(
        outcome=int(_sign(difference) == _sign(right_difference)),
        goal_difference=int(exact or (difference == right_difference != 0)),
        home_goals=int(guess.home == result.home),
        away_goals=int(guess.away == result.away),
        exact=int(exact),
    )


def points(facts: Facts, weights: Weights) -> int:
    """Weights are added up, never one in place of another. `facts` may be of one guess or counted over many."""
    return sum(weight * fact for weight, fact in zip(weights, facts, strict=True))


def bases(mode: TournamentMode) -> tuple[ScoreBasis, ...]:
    """The score bases that are settled and stored. A regular season knows no extra time, so both share one."""
    if mode is TournamentMode.REGULAR_SEASON:
        return (ScoreBasis.AFTER_EXTRA_TIME,)
    return (ScoreBasis.AFTER_EXTRA_TIME, ScoreBasis.REGULATION)


def basis_row(mode: TournamentMode, basis: ScoreBasis) -> ScoreBasis:
    """Which of the stored bases holds the facts of `basis`."""
    return basis if basis in bases(mode) else ScoreBasis.AFTER_EXTRA_TIME


def counted_goals(
    kind: ResultKind, basis: ScoreBasis, regulation: Goals | None, after_extra_time: Goals | None
) -> Goals | None:
    """The score that a basis counts; None when it is void or the part is missing. It never takes another part instead.

    Shoot-out goals never count. An awarded score counts as given, for both bases.
    """
    if kind is ResultKind.VOID:
        return None
    if kind is ResultKind.PLAYED and basis is ScoreBasis.REGULATION:
        return regulation
    return after_extra_time or regulation


def goals_so_far(
    kind: ResultKind,
    basis: ScoreBasis,
    regulation: Goals | None,
    after_extra_time: Goals | None,
    running: Goals | None,
) -> Goals | None:
    """The score that a basis counts for as long as nothing is settled; `running` is None once the match is over."""
    if running is not None and basis is ScoreBasis.AFTER_EXTRA_TIME:
        return running
    if running is not None and after_extra_time is None:
        # The score after 90 minutes is the running one until they are over.
        return regulation or running
    return counted_goals(kind, basis, regulation, after_extra_time)


def explain(judged: Judgement, guess: Goals | None) -> GuessPoints | None:
    """Why a guess was paid what it was, or would be if the score stayed; None while there is no score that counts."""
    counted = _score_that_counts(judged)
    if counted is None or guess is None:
        return None
    lines = _lines(facts(guess, counted), judged.ruleset.weights)
    return GuessPoints(sum(line.points for line in lines), counted, judged.ruleset, lines, judged.settlement)


def _score_that_counts(judged: Judgement) -> Goals | None:
    """Of the result that was settled; before that, of the match as it stands."""
    parts = (judged.kind, judged.ruleset.basis, judged.regulation, judged.after_extra_time)
    return counted_goals(*parts) if judged.settlement is not None else goals_so_far(*parts, judged.running)


def ruleset_faults(new: NewRuleset) -> list[Fault]:
    """All that is wrong with a new ruleset, whose label is stripped already."""
    faults = []
    if not _CODE.fullmatch(new.code) or len(new.code) > LONGEST_CODE:
        message = f"A code has 1 to {LONGEST_CODE} lower case letters, digits and hyphens."
        faults.append(_fault(message, "code"))
    if not 1 <= len(new.label) <= LONGEST_LABEL or not is_plain(new.label):
        faults.append(_fault(f"A label has 1 to {LONGEST_LABEL} characters, on one line.", "label"))
    return faults + _weight_faults(new.points)


def frozen() -> RulesetFrozen:
    return RulesetFrozen("A match has locked: the ruleset can no longer change.", field=("rulesetId",))


def weights_of(given: Iterable[tuple[GuessFact, int]]) -> Weights:
    """Weights in the order of the facts; those that are not given are 0."""
    points = dict(given)
    return Weights(*(points.get(fact, 0) for fact in GuessFact))


def _weight_faults(given: tuple[tuple[GuessFact, int], ...]) -> list[Fault]:
    faults = []
    if len(given) > len(GuessFact):
        faults.append(_fault(f"Give at most {len(GuessFact)} weights, one for each fact.", "weights"))
    seen = set()
    for place, (fact, points) in enumerate(given):
        if fact in seen:
            faults.append(_fault("Name each fact once.", "weights", str(place), "fact"))
        seen.add(fact)
        if type(points) is not int or not 0 <= points <= MOST_POINTS:
            message = f"A weight is a whole number from 0 to {MOST_POINTS}."
            faults.append(_fault(message, "weights", str(place), "points"))
    return faults


def _fault(message: str, *field: str) -> Fault:
    return Fault("INVALID_INPUT", message, field)


def _lines(right: Facts, weights: Weights) -> tuple[PointsLine, ...]:
    return tuple(
        PointsLine(fact, bool(is_right), weight, weight * is_right)
        for fact, is_right, weight in zip(GuessFact, right, weights, strict=True)
    )


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
