"""Executions, for platform admins."""

from collections.abc import Callable
from datetime import datetime
from typing import Self

import strawberry

from domain.execution import model as domain
from domain.execution.effect import Effect
from domain.execution.model import ExecutionErrorCode, ExecutionState, ExecutionTrigger, Operation
from domain.execution.service import Accepted
from domain.ids import MemberId
from resolvers.pages import Page
from schema import ids
from schema import match as match_types
from schema import schedule as schedule_types
from schema import tournament as tournament_types
from schema.context import Info
from schema.describe import describe
from schema.ids import global_id, optional_id
from schema.member import Member
from schema.references import MatchRef, RoundRef, ScheduleRef, TournamentRef
from schema.shared import Node, PageInfo, UserError, given, there

describe(
    ExecutionState,
    "State of an execution: QUEUED to IN_PROGRESS or CANCELLED; IN_PROGRESS to COMPLETED, FAILED, CANCELLED, "
    "or QUEUED for a retry.",
    QUEUED="Waits for a worker, or for its retry.",
    IN_PROGRESS="A worker is at it.",
    COMPLETED="Over, and all of it done.",
    FAILED="Over, out of tries; a dead letter holds it.",
    CANCELLED="Over, stopped by an admin.",
)


describe(
    ExecutionTrigger,
    "What started an execution.",
    ADMIN="An admin.",
    SCHEDULE="A schedule's slot.",
    SYSTEM="The system, after another event.",
    MEMBER="A member, for the own account.",
)


describe(
    ExecutionErrorCode,
    "Why an execution failed.",
    PROVIDER_BLOCKED="The provider refuses us for now; the last good data are kept, and the circuit breaker is open.",
    PROVIDER_UNAVAILABLE="The provider did not answer, or said that it cannot.",
    PROVIDER_NOT_FOUND="The provider does not know what was asked for.",
    PROVIDER_BAD_DATA="The provider's answer makes no sense; nothing of it was stored.",
    PREREQUISITE_MISSING="Something must be ingested first; the message says what.",
    RESULT_INCOMPLETE="A part of the score that the ruleset counts is missing.",
    STALE_PREVIEW="The dry run's digest is no longer true.",
    WORKER_LOST="The worker was lost, time and again.",
    INTERNAL="Unexpected; see the logs under the request id.",
)


@strawberry.type(description="What was done to records.")
class ExecutionCounts:
    total: int | None = strawberry.field(description="Expected in all; null while unknown.")
    created: int = strawberry.field(description="New.")
    updated: int = strawberry.field(description="Changed.")
    unchanged: int = strawberry.field(description="Found equal.")
    failed: int = strawberry.field(description="Refused or failed, each with a line in the report.")

    @classmethod
    def from_domain(cls, counts: domain.Counts) -> Self:
        """Shape counts."""
        return cls(
            total=counts.total,
            created=counts.created,
            updated=counts.updated,
            unchanged=counts.unchanged,
            failed=counts.failed,
        )


@strawberry.type(description="Why an execution failed.")
class ExecutionError:
    code: ExecutionErrorCode = strawberry.field(description="Stable, for code.")
    message: str = strawberry.field(description="For people, with what to do.")

    @classmethod
    def from_domain(cls, execution: domain.Execution) -> Self | None:
        """Shape why an execution failed or waits; None when it does neither."""
        if execution.error_code is None:
            return None
        return cls(code=execution.error_code, message=execution.error_message or "")


@strawberry.type(description="A step of an execution.")
class ExecutionStep:
    position: int = strawberry.field(description="Order, from 1.")
    name: str = strawberry.field(description="What it does, such as `Round 17`.")
    state: ExecutionState = strawberry.field(description="How far it is.")
    counts: ExecutionCounts = strawberry.field(description="What it did so far.")
    note: str | None = strawberry.field(description="What to know about it, for people; null when nothing.")
    started_at: datetime | None = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it was over.")

    @classmethod
    def from_domain(cls, step: domain.ExecutionStep) -> Self:
        """Shape a step."""
        return cls(
            position=step.position,
            name=step.name,
            state=step.state,
            counts=ExecutionCounts.from_domain(step.counts),
            note=step.note,
            started_at=step.started_at,
            finished_at=step.finished_at,
        )


@strawberry.type(description="What changes for one member.")
class SettlementEffectChange:
    member_id: strawberry.Private[MemberId]
    points_before: int = strawberry.field(description="Points before.")
    points_after: int = strawberry.field(description="Points after.")
    rank_before: int = strawberry.field(description="Rank on the tournament's board before.")
    rank_after: int = strawberry.field(description="Rank on the tournament's board after.")

    @strawberry.field(description="The member.")
    async def member(self, info: Info) -> Member:
        return Member.from_domain(there(await info.context.loaders.member.load(self.member_id)))


@strawberry.type(description="A change of scores, planned or made. Points are those of the tournament's own ruleset.")
class SettlementEffect:
    digest: str = strawberry.field(
        description=(
            "Stands for the inputs and all of the change: pass it as `expectedDigest` to apply what a dry run showed."
        )
    )
    equals_recorded: bool = strawberry.field(
        description=("Whether the recomputed scores equal the recorded ones; for a replay, true is the good answer.")
    )
    matches: int = strawberry.field(description="Matches settled anew.")
    members_changed: int = strawberry.field(description="Members whose scores differ.")
    points_moved: int = strawberry.field(description="Points that differ, gains and losses both counted.")
    changes: list[SettlementEffectChange] = strawberry.field(
        description="The largest changes, at most 20; the report has all."
    )

    @classmethod
    def from_domain(cls, effect: Effect) -> Self:
        """Shape a change of scores."""
        return cls(
            digest=effect.digest,
            equals_recorded=effect.equals_recorded,
            matches=effect.matches,
            members_changed=effect.members_changed,
            points_moved=effect.points_moved,
            changes=[
                SettlementEffectChange(
                    member_id=change.member_id,
                    points_before=change.points_before,
                    points_after=change.points_after,
                    rank_before=change.rank_before,
                    rank_after=change.rank_after,
                )
                for change in effect.changes
            ],
        )


@strawberry.type(description="One run of an operation.")
class Execution(Node):
    source: strawberry.Private[domain.Execution]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    version: int = strawberry.field(description="Rises with every change: keep the higher when two sources meet.")
    operation: Operation = strawberry.field(description="What is run.")
    state: ExecutionState = strawberry.field(description="How far it is.")
    dry_run: bool = strawberry.field(description="Whether it only reports what it would do.")
    trigger: ExecutionTrigger = strawberry.field(description="What started it.")
    reason: str | None = strawberry.field(description="Why, as the admin put it; null when nobody started it.")
    request_id: str = strawberry.field(description="Request that started it, for the logs.")
    attempt: int = strawberry.field(description="Tries so far, from 1; 0 while queued for the first time.")
    max_attempts: int = strawberry.field(description="Tries before it becomes a dead letter.")
    next_attempt_at: datetime | None = strawberry.field(
        description="When it is tried again; null when no retry is waiting."
    )
    queued_at: datetime = strawberry.field(description="When it was queued.")
    started_at: datetime | None = strawberry.field(description="When a worker took it up first.")
    finished_at: datetime | None = strawberry.field(description="When it was over.")
    cancel_requested_at: datetime | None = strawberry.field(
        description="When an admin asked it to stop; it obeys after the present step."
    )
    counts: ExecutionCounts = strawberry.field(description="What it did so far, steps together.")
    error: ExecutionError | None = strawberry.field(description="Why it failed or waits for a retry.")
    report_url: str | None = strawberry.field(
        description=(
            "Where to fetch the report of a run that is over, cancelled ones too, signed and "
            "short-lived; null before, and when storing it failed."
        )
    )
    effect: SettlementEffect | None = strawberry.field(
        description=("What it would change or has changed in scores; only for CORRECT_RESULT and REPLAY_SETTLEMENT.")
    )

    @strawberry.field(description="Admin who started it; null when nobody did.")
    async def actor(self, info: Info) -> Member | None:
        if self.source.actor_id is None:
            return None
        return Member.from_domain(there(await info.context.loaders.member.load(self.source.actor_id)))

    @strawberry.field(description="The schedule that started it.")
    async def schedule(self, info: Info) -> ScheduleRef | None:
        if self.source.schedule_id is None:
            return None
        return schedule_types.Schedule.from_domain(
            there(await info.context.loaders.schedule.load(self.source.schedule_id))
        )

    @strawberry.field(description="The tournament that it is about; null for several or none.")
    async def tournament(self, info: Info) -> TournamentRef | None:
        return await tournament_of_target(info, self.source.target)

    @strawberry.field(description="The round that it is about.")
    async def round(self, info: Info) -> RoundRef | None:
        return await round_of_target(info, self.source.target)

    @strawberry.field(description="The match that it is about.")
    async def match(self, info: Info) -> MatchRef | None:
        return await match_of_target(info, self.source.target)

    @strawberry.field(description="Its steps, in order; at most 200.")
    async def steps(self, info: Info) -> list[ExecutionStep]:
        if self.source.started_at is None:
            return []
        return [ExecutionStep.from_domain(step) for step in await info.context.loaders.steps.load(self.source.id) or ()]

    @strawberry.field(description="The execution that it retries.")
    async def retry_of(self, info: Info) -> "Execution | None":
        if self.source.retry_of is None:
            return None
        found = there(await info.context.loaders.execution.load(self.source.retry_of))
        return Execution.from_domain(found, info.context.services.report_url)

    @classmethod
    def from_domain(cls, execution: domain.Execution, report_url: Callable[[str], str]) -> Self:
        """Shape an execution; `report_url` signs the address of its report."""
        waits = execution.state is ExecutionState.QUEUED and execution.attempt > 0
        return cls(
            source=execution,
            id=global_id("Execution", execution.id),
            version=execution.version,
            operation=execution.operation,
            state=execution.state,
            dry_run=execution.dry_run,
            trigger=execution.trigger,
            reason=execution.reason,
            request_id=execution.request_id,
            attempt=execution.attempt,
            max_attempts=execution.max_attempts,
            next_attempt_at=execution.not_before if waits else None,
            queued_at=execution.queued_at,
            started_at=execution.started_at,
            finished_at=execution.finished_at,
            cancel_requested_at=execution.cancel_requested_at,
            counts=ExecutionCounts.from_domain(execution.counts),
            error=ExecutionError.from_domain(execution),
            report_url=report_url(execution.report_key) if execution.report_key and execution.finished_at else None,
            effect=SettlementEffect.from_domain(execution.effect) if execution.effect else None,
        )


@strawberry.type(description="An execution in a page.")
class ExecutionEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: Execution = strawberry.field(description="The execution.")


@strawberry.type(description="A page of executions.")
class ExecutionConnection:
    edges: list[ExecutionEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.Execution], report_url: Callable[[str], str]) -> Self:
        """Shape a page."""
        edges = [
            ExecutionEdge(cursor=cursor, node=Execution.from_domain(item, report_url))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.input(description="Which executions; all conditions hold together.")
class ExecutionFilter:
    operations: list[Operation] | None = strawberry.field(
        default=strawberry.UNSET, description="Any of these operations."
    )
    states: list[ExecutionState] | None = strawberry.field(default=strawberry.UNSET, description="Any of these states.")
    tournament_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="About this tournament, its rounds or its matches."
    )
    schedule_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Started by this schedule."
    )
    queued_since: datetime | None = strawberry.field(default=strawberry.UNSET, description="Queued at or after.")
    queued_before: datetime | None = strawberry.field(default=strawberry.UNSET, description="Queued before.")

    def to_domain(self) -> domain.ExecutionFilter:
        """The filter in the domain's words."""
        return domain.ExecutionFilter(
            operations=tuple(given(self.operations) or ()),
            states=tuple(given(self.states) or ()),
            tournament_id=optional_id(self.tournament_id, ids.tournament_id, "tournament", "filter", "tournamentId"),
            schedule_id=optional_id(self.schedule_id, ids.schedule_id, "schedule", "filter", "scheduleId"),
            queued_since=given(self.queued_since),
            queued_before=given(self.queued_before),
        )


@strawberry.type(description="A command's execution.")
class ExecutionPayload:
    execution: Execution | None = strawberry.field(description="Follow it with `executionUpdates`; null when refused.")
    already_live: bool = strawberry.field(
        description=(
            "Whether an equal command was queued or in progress already, and its execution is the one returned."
        )
    )
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")

    @classmethod
    def from_outcome(cls, accepted: Accepted | None, errors: list[UserError], report_url: Callable[[str], str]) -> Self:
        """Shape what a command gave."""
        if accepted is None:
            return cls(execution=None, already_live=False, errors=errors)
        shown = Execution.from_domain(accepted.execution, report_url)
        return cls(execution=shown, already_live=accepted.already_live, errors=errors)


async def tournament_of_target(info: Info, target: domain.Target) -> "tournament_types.Tournament | None":
    """The tournament that a run is about."""
    return await tournament_types.tournament_of(info, target.tournament_id) if target.tournament_id else None


async def round_of_target(info: Info, target: domain.Target) -> "tournament_types.Round | None":
    """The round that a run is about."""
    return await tournament_types.round_of(info, target.round_id) if target.round_id else None


async def match_of_target(info: Info, target: domain.Target) -> "match_types.Match | None":
    """The match that a run is about."""
    if target.match_id is None:
        return None
    return match_types.Match.from_domain(there(await info.context.loaders.match.load(target.match_id)))
