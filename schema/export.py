"""Files for one member, by `exportLeaderboard`."""

from datetime import datetime
from typing import Self

import strawberry

from domain.execution import exports as domain
from domain.execution.model import ExecutionState
from domain.leaderboard.export.model import ExportFormat
from domain.leaderboard.model import Moment
from resolvers.context import Services
from schema.describe import describe
from schema.ids import global_id
from schema.leaderboard import BoardInput
from schema.moments import BoardMomentInput, moment_of
from schema.shared import Node, UserError

describe(
    ExportFormat,
    "Kind of an exported file.",
    CSV="Comma-separated, with a header.",
    JSON="One array of objects.",
)


@strawberry.type(
    description=("A file made for the viewer, by `requestDataExport` or `exportLeaderboard`; others do not see it.")
)
class Export(Node):
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    state: ExecutionState = strawberry.field(description="How far it is; ask again by `node`.")
    requested_at: datetime = strawberry.field(description="When it was asked for.")
    url: str | None = strawberry.field(description="Where to fetch it, signed and short-lived; null until completed.")
    expires_at: datetime | None = strawberry.field(description="When the file is removed; null until completed.")

    @classmethod
    def from_domain(cls, export: domain.Export, services: Services) -> Self:
        """Shape an export; a file whose time is over has no address any more."""
        is_there = export.expires_at is not None and services.clock() < export.expires_at
        return cls(
            id=global_id("Export", export.id),
            state=export.state,
            requested_at=export.requested_at,
            url=services.report_url(export.key) if export.key is not None and is_there else None,
            expires_at=export.expires_at,
        )


@strawberry.input(description="Input of `exportLeaderboard`.")
class ExportLeaderboardInput:
    board: BoardInput = strawberry.field(description="Which board.")
    as_of: BoardMomentInput | None = strawberry.field(
        default=strawberry.UNSET, description="As it stood at an earlier moment; default now."
    )
    settled_only: bool = strawberry.field(default=True, description="Leave provisional points out.")
    format: ExportFormat = strawberry.field(default=ExportFormat.CSV, description="Kind of file.")

    def moment(self) -> Moment | None:
        """The moment that it names; None for now."""
        return moment_of(self.as_of)


@strawberry.type(description="Result of `requestDataExport` and `exportLeaderboard`.")
class ExportPayload:
    export: Export | None = strawberry.field(
        description="The export asked for, or an equal one already under way; null when refused."
    )
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")
