"""Corrections: the public log of a tournament, and the commands of admins."""

from datetime import datetime
from typing import Self

import strawberry

from domain.correction import model as domain
from domain.correction.model import CorrectionSource
from domain.match import model as football
from domain.match.model import ResultKind
from resolvers.pages import Page
from schema.context import Info
from schema.describe import describe
from schema.ids import global_id
from schema.match import Match, MatchResult, Settlement
from schema.shared import Node, PageInfo, given, there

describe(
    CorrectionSource,
    "Who made a correction.",
    PROVIDER="The provider changed its result.",
    ADMIN="A platform admin.",
)


@strawberry.type(description="Entry of the public log: a result that changed after it had been settled.")
class Correction(Node):
    source_entry: strawberry.Private[domain.Correction]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    before: MatchResult = strawberry.field(description="The result before.")
    after: MatchResult = strawberry.field(description="The result after.")
    source: CorrectionSource = strawberry.field(description="Who made it.")
    reason: str = strawberry.field(description="Why, in words; from the provider a standing phrase.")
    corrected_at: datetime = strawberry.field(description="When it was accepted.")
    settlement: Settlement | None = strawberry.field(
        description="The settlement that it led to: compensating entries, never an edit. Null until settled."
    )

    @strawberry.field(description="The match.")
    async def match(self, info: Info) -> Match:
        return Match.from_domain(there(await info.context.loaders.match.load(self.source_entry.match_id)))

    @classmethod
    def from_domain(cls, entry: domain.Correction) -> Self:
        """Shape an entry of the log."""
        return cls(
            source_entry=entry,
            id=global_id("Correction", entry.match_id, entry.after.revision),
            before=MatchResult.from_revision(entry.before),
            after=MatchResult.from_revision(entry.after),
            source=entry.source,
            reason=entry.reason,
            corrected_at=entry.corrected_at,
            settlement=Settlement.from_domain(entry.settlement) if entry.settlement else None,
        )


@strawberry.type(description="A correction in a page.")
class CorrectionEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: Correction = strawberry.field(description="The correction.")


@strawberry.type(description="A page of corrections.")
class CorrectionConnection:
    edges: list[CorrectionEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.Correction]) -> Self:
        """Shape a page."""
        edges = [
            CorrectionEdge(cursor=cursor, node=Correction.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.input(description="A pair of goals, each 0 to 99.")
class GoalsInput:
    home: int = strawberry.field(description="Of the home team.")
    away: int = strawberry.field(description="Of the away team.")


@strawberry.input(description="Input of `correctResult`. Provider readings no longer change the match afterwards.")
class CorrectResultInput:
    match_id: strawberry.ID = strawberry.field(description="Which match.")
    kind: ResultKind = strawberry.field(description="VOID takes no goals, the others need `regulation`.")
    regulation: GoalsInput | None = strawberry.field(default=strawberry.UNSET, description="After 90 minutes.")
    after_extra_time: GoalsInput | None = strawberry.field(
        default=strawberry.UNSET, description="After extra time, goals of the 90 minutes included."
    )
    shoot_out: GoalsInput | None = strawberry.field(default=strawberry.UNSET, description="Shoot-out alone.")
    reason: str = strawberry.field(description="Why, for the public log; 3 to 500 characters.")
    dry_run: bool = strawberry.field(default=True, description="Only report what would change.")
    expected_digest: str | None = strawberry.field(
        default=strawberry.UNSET, description="`SettlementEffect.digest` of the dry run; needed unless `dryRun`."
    )


@strawberry.input(description="Input of `replaySettlement`.")
class ReplaySettlementInput:
    tournament_id: strawberry.ID = strawberry.field(description="Which tournament.")
    match_id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Only this match.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")
    dry_run: bool = strawberry.field(default=True, description="Only report what would change.")
    expected_digest: str | None = strawberry.field(
        default=strawberry.UNSET, description="`SettlementEffect.digest` of the dry run; needed unless `dryRun`."
    )


def goals_of(pair: GoalsInput | None) -> football.Goals | None:
    """Goals that may have been left out."""
    found = given(pair)
    return None if found is None else football.Goals(found.home, found.away)
