"""Rulesets."""

from typing import Self

import strawberry

from domain.scoring import model as domain
from domain.scoring.model import GuessFact, ScoreBasis
from resolvers.pages import Page
from schema.describe import describe
from schema.ids import global_id
from schema.shared import Node, PageInfo, UserError

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


@strawberry.type(description="A ruleset in a page.")
class RulesetEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: Ruleset = strawberry.field(description="The ruleset.")


@strawberry.type(description="A page of rulesets.")
class RulesetConnection:
    edges: list[RulesetEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.Ruleset]) -> Self:
        """Shape a page."""
        edges = [
            RulesetEdge(cursor=cursor, node=Ruleset.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.input(description="Points for one fact.")
class RulesetWeightInput:
    fact: GuessFact = strawberry.field(description="The fact, once each.")
    points: int = strawberry.field(description="0 to 100.")


@strawberry.input(description="Input of `createRuleset`. An existing code makes its next version.")
class CreateRulesetInput:
    code: str = strawberry.field(description="Lower case letters, digits and hyphens.")
    label: str = strawberry.field(description="Name to show.")
    score_basis: ScoreBasis = strawberry.field(default=ScoreBasis.AFTER_EXTRA_TIME, description="Which score counts.")
    weights: list[RulesetWeightInput] = strawberry.field(
        description="Points for each fact; facts left out pay 0. At most 5."
    )
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")

    def to_domain(self) -> domain.NewRuleset:
        """What is asked for, in the domain's words."""
        return domain.NewRuleset(
            code=self.code,
            label=self.label,
            basis=self.score_basis,
            points=tuple((weight.fact, weight.points) for weight in self.weights),
        )


@strawberry.type(description="Result of `createRuleset`.")
class RulesetPayload:
    ruleset: Ruleset | None = strawberry.field(description="Null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")

    @classmethod
    def from_outcome(cls, ruleset: domain.Ruleset | None, errors: list[UserError]) -> Self:
        """Shape what the command gave."""
        return cls(ruleset=Ruleset.from_domain(ruleset) if ruleset else None, errors=errors)
