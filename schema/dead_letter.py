"""Dead letters, for platform admins."""

from collections.abc import Callable
from datetime import datetime
from typing import Self

import orjson
import strawberry

from domain.execution import model as executions
from domain.execution.dead_letter import model as domain
from domain.execution.dead_letter.model import DeadLetterResolution
from domain.execution.model import Operation
from domain.ids import DeadLetterId
from resolvers.pages import Page
from schema import ids
from schema.context import Info
from schema.describe import describe
from schema.execution import Execution, ExecutionError
from schema.ids import global_id, required
from schema.member import Member
from schema.shared import Node, PageInfo, UserError, there

describe(
    DeadLetterResolution,
    "What became of a dead letter.",
    REPLAYED="Sent again.",
    DISCARDED="Closed without running.",
)


@strawberry.type(description="A job that failed for good.")
class DeadLetter(Node):
    source: strawberry.Private[domain.DeadLetter]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    operation: Operation = strawberry.field(description="What was to be run.")
    message: str = strawberry.field(description="The job's message as sent, in JSON; never secrets or guesses.")
    attempts: int = strawberry.field(description="Tries made.")
    error: ExecutionError = strawberry.field(description="Why the last one failed.")
    trace: str | None = strawberry.field(description="Where in the code it failed; null when the process died.")
    died_at: datetime = strawberry.field(description="When it was given up.")
    resolution: DeadLetterResolution | None = strawberry.field(description="What became of it; null while open.")
    resolved_at: datetime | None = strawberry.field(description="When it was resolved.")

    @strawberry.field(description="Its execution.")
    async def execution(self, info: Info) -> Execution:
        found = there(await info.context.loaders.execution.load(self.source.execution_id))
        return Execution.from_domain(found, info.context.services.report_url)

    @strawberry.field(description="Who resolved it.")
    async def resolved_by(self, info: Info) -> Member | None:
        if self.source.resolved_by is None:
            return None
        return Member.from_domain(there(await info.context.loaders.member.load(self.source.resolved_by)))

    @classmethod
    def from_domain(cls, letter: domain.DeadLetter) -> Self:
        """Shape a dead letter."""
        return cls(
            source=letter,
            id=global_id("DeadLetter", letter.id),
            operation=letter.operation,
            message=orjson.dumps(letter.message).decode(),
            attempts=letter.attempts,
            error=ExecutionError(code=letter.failure.code, message=letter.failure.message),
            trace=letter.trace,
            died_at=letter.died_at,
            resolution=letter.resolution,
            resolved_at=letter.resolved_at,
        )


@strawberry.type(description="A dead letter in a page.")
class DeadLetterEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: DeadLetter = strawberry.field(description="The dead letter.")


@strawberry.type(description="A page of dead letters.")
class DeadLetterConnection:
    edges: list[DeadLetterEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.DeadLetter]) -> Self:
        """Shape a page."""
        edges = [
            DeadLetterEdge(cursor=cursor, node=DeadLetter.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.input(description="Input of `replayDeadLetter`.")
class ReplayDeadLetterInput:
    dead_letter_id: strawberry.ID = strawberry.field(description="Which.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")


@strawberry.input(description="Input of `discardDeadLetter`.")
class DiscardDeadLetterInput:
    dead_letter_id: strawberry.ID = strawberry.field(description="Which.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")


@strawberry.type(description="Result of `replayDeadLetter` and `discardDeadLetter`.")
class DeadLetterPayload:
    dead_letter: DeadLetter | None = strawberry.field(description="The dead letter, resolved; null when refused.")
    execution: Execution | None = strawberry.field(description="The new execution of a replay.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")

    @classmethod
    def from_replay(
        cls,
        replayed: tuple[domain.DeadLetter, executions.Execution] | None,
        errors: list[UserError],
        report_url: Callable[[str], str],
    ) -> Self:
        """Shape what a replay gave."""
        if replayed is None:
            return cls(dead_letter=None, execution=None, errors=errors)
        letter, execution = replayed
        shown = Execution.from_domain(execution, report_url)
        return cls(dead_letter=DeadLetter.from_domain(letter), execution=shown, errors=[])

    @classmethod
    def from_discard(cls, discarded: domain.DeadLetter | None, errors: list[UserError]) -> Self:
        """Shape what a discard gave."""
        letter = DeadLetter.from_domain(discarded) if discarded else None
        return cls(dead_letter=letter, execution=None, errors=errors)


def required_dead_letter(text: str) -> DeadLetterId:
    """The id in an input.

    Raises:
        NotFound: it is none of a dead letter.
    """
    return required(ids.dead_letter_id(text), "dead letter", "deadLetterId")
