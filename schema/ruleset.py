"""Rulesets."""

from typing import Self

import strawberry

from domain.scoring import model as domain
from domain.scoring.model import GuessFact, ScoreBasis
from schema.describe import describe
from schema.ids import global_id
from schema.shared import Node

describe(
    GuessFact,
    "What can be right about a guess. Weights of right facts are added up; none replaces another.",
    OUTCOME="Home win, draw or away win.",
    GOAL_DIFFERENCE="The difference of goals; for a draw only when the score is exact.",
    HOME_GOALS="The home team's goals.",
    AWAY_GOALS="The away team's goals.",
    EXACT="The whole score.",
)


describe(
    ScoreBasis,
    "Which score counts for points. Shoot-out goals never do.",
    AFTER_EXTRA_TIME="After extra time where there was any.",
    REGULATION="After 90 minutes.",
)


@strawberry.type(description="Points for one fact.")
class RulesetWeight:
    fact: GuessFact = strawberry.field(description="The fact.")
    points: int = strawberry.field(description="0 to 100.")


@strawberry.type(
    description=(
        "Weights over facts. A version never changes; which version applies is frozen once the first "
        "match in scope has locked."
    )
)
class Ruleset(Node):
    id: strawberry.ID = strawberry.field(description="Opaque id of this version.")
    code: str = strawberry.field(description="Name for code: `default`, `kicktipp`, `exact-bonus`, or an added one.")
    version: int = strawberry.field(description="Counts versions of the code from 1.")
    label: str = strawberry.field(description="Name to show.")
    score_basis: ScoreBasis = strawberry.field(description="Which score counts.")
    weights: list[RulesetWeight] = strawberry.field(description="One for each fact; 5.")

    @classmethod
    def from_domain(cls, ruleset: domain.Ruleset) -> Self:
        """Shape a ruleset."""
        return cls(
            id=global_id("Ruleset", ruleset.id),
            code=ruleset.code,
            version=ruleset.version,
            label=ruleset.label,
            score_basis=ruleset.basis,
            weights=[
                RulesetWeight(fact=fact, points=points) for fact, points in zip(GuessFact, ruleset.weights, strict=True)
            ],
        )
