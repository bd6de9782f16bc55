"""The state of tournaments' data, and what needs a look."""

from typing import Self

import strawberry

from domain.ids import TournamentId
from domain.ingestion.health import model as domain
from domain.ingestion.health.model import HealthProblemCode
from schema import ids
from schema import match as match_types
from schema.context import Info
from schema.describe import describe
from schema.execution import Execution
from schema.ids import global_id
from schema.references import ExecutionRef, MatchRef
from schema.shared import Node, UserError, there

describe(
    HealthProblemCode,
    "What can be wrong with a tournament's data.",
    INCOMPLETE="Rounds, teams or matches are not ingested yet.",
    STALE="Active, and nothing was read for too long.",
    OVERDUE_MATCH="A match lies in the past and has not ended.",
    HELD_RESULT="A match has ended and is held back from settlement.",
    RESULT_DIFFERS="The provider now differs from a corrected or settled result.",
    MISSING_MATCH="The provider no longer lists a match.",
    QUARANTINED_RECORD="A record of the provider was set aside: it fits two of ours, or none.",
    UNKNOWN_STATUS="The provider gives a status that we do not know.",
    IMPOSSIBLE_SCORE="The provider gives a score that cannot be, such as a level shoot-out.",
)


@strawberry.type(description="Something about a tournament's data that needs a look.")
class HealthProblem(Node):
    source: strawberry.Private[domain.HealthProblem]
    id: strawberry.ID = strawberry.field(description="Opaque id; the same while the problem stands.")
    code: HealthProblemCode = strawberry.field(description="What it is.")
    message: str = strawberry.field(description="For people, with what to do.")

    @strawberry.field(description="The match that it is about; null for the whole tournament.")
    async def match(self, info: Info) -> MatchRef | None:
        if self.source.match_id is None:
            return None
        return match_types.Match.from_domain(there(await info.context.loaders.match.load(self.source.match_id)))

    @classmethod
    def from_domain(cls, problem: domain.HealthProblem) -> Self:
        """Shape a problem."""
        return cls(
            source=problem,
            id=global_id("HealthProblem", problem.tournament_id, problem.key),
            code=problem.code,
            message=problem.message,
        )


@strawberry.type(description="State of a tournament's data.")
class TournamentHealth:
    rounds: int = strawberry.field(description="Rounds stored.")
    teams: int = strawberry.field(description="Teams stored.")
    matches: int = strawberry.field(description="Matches stored.")
    settled_matches: int = strawberry.field(description="Matches settled.")
    last_executions: list[ExecutionRef] = strawberry.field(
        description="Latest execution of each operation on it; at most one for each."
    )
    problems: list[HealthProblem] = strawberry.field(description="What needs a look, worst first; at most 50.")

    @classmethod
    def from_domain(cls, health: domain.TournamentHealth, info: Info) -> Self:
        """Shape the health of a tournament."""
        report_url = info.context.services.report_url
        return cls(
            rounds=health.rounds,
            teams=health.teams,
            matches=health.matches,
            settled_matches=health.settled_matches,
            last_executions=[Execution.from_domain(each, report_url) for each in health.last_executions],
            problems=[HealthProblem.from_domain(problem) for problem in health.problems],
        )


@strawberry.input(description="Input of `dismissHealthProblem`.")
class DismissHealthProblemInput:
    problem_id: strawberry.ID = strawberry.field(description="Which.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")

    def problem(self) -> tuple[TournamentId, str]:
        """The tournament, and the key of the problem in it.

        Raises:
            NotFound: it is no such id.
        """
        return ids.required(ids.health_problem_id(self.problem_id), "problem", "problemId")


@strawberry.type(description="Result of `dismissHealthProblem`.")
class HealthProblemPayload:
    dismissed_problem_id: strawberry.ID | None = strawberry.field(description="Id to drop; null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")
