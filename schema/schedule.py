"""Schedules and their runs, for platform admins."""

from datetime import datetime
from typing import Self, TypeVar

import strawberry

from domain.execution.model import Operation
from domain.ids import ScheduleId
from domain.schedule import model as domain
from domain.schedule.model import KEPT, Kept, ScheduleRunOutcome, ScheduleStatus
from resolvers import schedule as resolvers
from resolvers.pages import Page
from schema import execution as execution_types
from schema import ids
from schema.commands import OperationInput
from schema.context import Info
from schema.describe import describe
from schema.ids import global_id
from schema.references import ExecutionRef, MatchRef, RoundRef, TournamentRef
from schema.shared import Node, PageInfo, UserError, given, there

T = TypeVar("T")

describe(
    ScheduleStatus,
    "Whether a schedule runs.",
    ACTIVE="Runs.",
    PAUSED="Does not run for now.",
    RETIRED="Does not run any more; a one-time schedule retires after its run.",
)
describe(
    ScheduleRunOutcome,
    "What became of a slot.",
    STARTED="An execution was queued.",
    SKIPPED_OVERLAP="The previous execution was still live.",
)


@strawberry.type(description="One slot of a schedule.")
class ScheduleRun(Node):
    source: strawberry.Private[domain.ScheduleRun]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    slot: datetime = strawberry.field(description="Nominal time; at most one run for each.")
    outcome: ScheduleRunOutcome = strawberry.field(description="What became of it.")
    missed_slots: int = strawberry.field(
        description="Earlier slots missed with it while the platform was down; run once for all of them."
    )

    @strawberry.field(description="Its execution; null when skipped.")
    async def execution(self, info: Info) -> ExecutionRef | None:
        if self.source.execution_id is None:
            return None
        found = there(await info.context.loaders.execution.load(self.source.execution_id))
        return execution_types.Execution.from_domain(found, info.context.services.report_url)

    @classmethod
    def from_domain(cls, run: domain.ScheduleRun) -> Self:
        """Shape a slot."""
        return cls(
            source=run,
            id=global_id("ScheduleRun", run.schedule_id, ids.instant_text(run.slot)),
            slot=run.slot,
            outcome=run.outcome,
            missed_slots=run.missed_slots,
        )


@strawberry.type(description="A run in a page.")
class ScheduleRunEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: ScheduleRun = strawberry.field(description="The run.")


@strawberry.type(description="A page of runs.")
class ScheduleRunConnection:
    edges: list[ScheduleRunEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.ScheduleRun]) -> Self:
        """Shape a page."""
        edges = [
            ScheduleRunEdge(cursor=cursor, node=ScheduleRun.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.type(description="A recurring or one-time trigger of an operation.")
class Schedule(Node):
    source: strawberry.Private[domain.Schedule]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    name: str = strawberry.field(description="Unique name.")
    operation: Operation = strawberry.field(description="What it runs.")
    cron: str | None = strawberry.field(description="Five-field cron expression; null for a one-time schedule.")
    time_zone: str = strawberry.field(description="IANA zone of `cron`.")
    run_at: datetime | None = strawberry.field(description="When a one-time schedule runs; null for a recurring one.")
    status: ScheduleStatus = strawberry.field(description="Whether it runs.")
    next_run_at: datetime | None = strawberry.field(description="Next slot; null when paused or retired.")

    @strawberry.field(description="The tournament that it is about; null for all active ones.")
    async def tournament(self, info: Info) -> TournamentRef | None:
        return await execution_types.tournament_of_target(info, self.source.command.target)

    @strawberry.field(description="The round that it is about.")
    async def round(self, info: Info) -> RoundRef | None:
        return await execution_types.round_of_target(info, self.source.command.target)

    @strawberry.field(description="The match that it is about.")
    async def match(self, info: Info) -> MatchRef | None:
        return await execution_types.match_of_target(info, self.source.command.target)

    @strawberry.field(description="Latest run.")
    async def last_run(self, info: Info) -> ScheduleRun | None:
        found = await info.context.loaders.last_run.load(self.source.id)
        return ScheduleRun.from_domain(found) if found else None

    @strawberry.field(description="Runs, latest slot first.")
    async def runs(self, info: Info, first: int = 25, after: str | None = strawberry.UNSET) -> ScheduleRunConnection:
        page = await resolvers.runs_page(info.context, self.source.id, first=first, after=given(after))
        return ScheduleRunConnection.from_page(page)

    @classmethod
    def from_domain(cls, schedule: domain.Schedule) -> Self:
        """Shape a schedule."""
        return cls(
            source=schedule,
            id=global_id("Schedule", schedule.id),
            name=schedule.name,
            operation=schedule.command.operation,
            cron=schedule.cron,
            time_zone=schedule.time_zone,
            run_at=schedule.run_at,
            status=schedule.status,
            next_run_at=schedule.next_slot,
        )


@strawberry.type(description="A schedule in a page.")
class ScheduleEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: Schedule = strawberry.field(description="The schedule.")


@strawberry.type(description="A page of schedules.")
class ScheduleConnection:
    edges: list[ScheduleEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.Schedule]) -> Self:
        """Shape a page."""
        edges = [
            ScheduleEdge(cursor=cursor, node=Schedule.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.type(description="A schedule after a change.")
class SchedulePayload:
    schedule: Schedule | None = strawberry.field(description="Null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")

    @classmethod
    def from_outcome(cls, schedule: domain.Schedule | None, errors: list[UserError]) -> Self:
        """Shape what a command gave."""
        return cls(schedule=Schedule.from_domain(schedule) if schedule else None, errors=errors)


@strawberry.input(description="Input of `createSchedule`: either `cron` or `runAt`.")
class CreateScheduleInput:
    name: str = strawberry.field(description="Unique, 3 to 80 characters.")
    operation: OperationInput = strawberry.field(description="What to run on what.")
    cron: str | None = strawberry.field(default=strawberry.UNSET, description="Five-field cron expression.")
    time_zone: str = strawberry.field(default="UTC", description="IANA zone of `cron`.")
    run_at: datetime | None = strawberry.field(default=strawberry.UNSET, description="When to run once.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")

    def to_domain(self) -> domain.NewSchedule:
        """What is asked for, in the domain's words.

        Raises:
            NotFound: an id in it is not one.
        """
        return domain.NewSchedule(
            name=self.name,
            command=self.operation.command(),
            cron=given(self.cron),
            run_at=given(self.run_at),
            time_zone=self.time_zone,
        )


@strawberry.input(description="Input of `updateSchedule`; what is left out stays.")
class UpdateScheduleInput:
    schedule_id: strawberry.ID = strawberry.field(description="Which.")
    cron: str | None = strawberry.field(
        default=strawberry.UNSET, description="Five-field cron expression; not for one-time schedules."
    )
    time_zone: str | None = strawberry.field(default=strawberry.UNSET, description="IANA zone of `cron`.")
    run_at: datetime | None = strawberry.field(default=strawberry.UNSET, description="New time of a one-time schedule.")
    status: ScheduleStatus | None = strawberry.field(default=strawberry.UNSET, description="Pause, resume or retire.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")

    def change(self) -> domain.ScheduleChange:
        """The change in the domain's words."""
        return domain.ScheduleChange(
            cron=_kept(self.cron),
            time_zone=_kept(self.time_zone),
            run_at=_kept(self.run_at),
            status=_kept(self.status),
        )


@strawberry.input(description="Input of `runScheduleNow`.")
class RunScheduleNowInput:
    schedule_id: strawberry.ID = strawberry.field(description="Which.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")


def required_schedule(schedule_id: str) -> ScheduleId:
    """The schedule that an input names.

    Raises:
        NotFound: it is no id of a schedule.
    """
    return ids.required(ids.schedule_id(schedule_id), "schedule", "scheduleId")


def _kept(value: T) -> T | Kept:
    return KEPT if value is strawberry.UNSET else value
