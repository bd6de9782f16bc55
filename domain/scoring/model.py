"""Facts of a guess, rulesets that weigh them, and the score they are judged on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from domain.ids import RulesetId


class GuessFact(StrEnum):
    OUTCOME = "OUTCOME"
    GOAL_DIFFERENCE = "GOAL_DIFFERENCE"
    HOME_GOALS = "HOME_GOALS"
    AWAY_GOALS = "AWAY_GOALS"
    EXACT = "EXACT"


class ScoreBasis(StrEnum):
    AFTER_EXTRA_TIME = "AFTER_EXTRA_TIME"
    REGULATION = "REGULATION"


class Facts(NamedTuple):
    """Of one guess each 0 or 1, of a member how often each was right. In the order of `GuessFact`."""

    outcome: int
    goal_difference: int
    home_goals: int
    away_goals: int
    exact: int


class Weights(NamedTuple):
    """Points for each fact, 0 to 100. In the order of `GuessFact`."""

    outcome: int
    goal_difference: int
    home_goals: int
    away_goals: int
    exact: int


@dataclass(frozen=True, slots=True)
class Ruleset:
    id: RulesetId
    code: str
    version: int
    label: str
    basis: ScoreBasis
    weights: Weights


@dataclass(frozen=True, slots=True)
class NewRuleset:
    """A ruleset to be added, as it is asked for; facts that are not named pay 0."""

    code: str
    label: str
    basis: ScoreBasis
    points: tuple[tuple[GuessFact, int], ...]
