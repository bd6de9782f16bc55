"""The audit log, for platform admins."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Self, TypeAlias
from uuid import UUID

import orjson
import strawberry

from domain.audit import model as domain
from domain.ids import DeadLetterId, ExecutionId, MatchId, MemberId, RoundId, RulesetId, ScheduleId, TournamentId
from resolvers.pages import Page
from schema import ids
from schema.context import Info
from schema.dead_letter import DeadLetter
from schema.execution import Execution
from schema.ids import MalformedId, global_id, optional_id, split, uuid_part
from schema.match import Match
from schema.member import Member
from schema.ruleset import Ruleset
from schema.schedule import Schedule
from schema.shared import Node, PageInfo, given, there
from schema.tournament import Round, Tournament

Finder: TypeAlias = Callable[[Info, UUID], Awaitable[Node | None]]

# Other ids of the same object.
_SAME_OBJECT = {"Viewer": "Member", "AdminMember": "Member"}


@strawberry.type(description="One act, and who did it.")
class AuditEntry(Node):
    source: strawberry.Private[domain.AuditEntry]
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    at: datetime = strawberry.field(description="When.")
    action: str = strawberry.field(description="What: the name of the mutation, or of the system's act.")
    reason: str | None = strawberry.field(description="Why, as the actor put it.")
    before: str | None = strawberry.field(description="What it was before, in JSON; null when nothing.")
    after: str | None = strawberry.field(description="What it is after, in JSON; null when nothing.")
    request_id: str = strawberry.field(description="Request, for the logs.")

    @strawberry.field(description="Who; null when the system did.")
    async def actor(self, info: Info) -> Member | None:
        if self.source.actor_id is None:
            return None
        return Member.from_domain(there(await info.context.loaders.member.load(self.source.actor_id)))

    @strawberry.field(
        description="To what; null when it is gone, or a private league's (its name stands nowhere here)."
    )
    async def subject(self, info: Info) -> Node | None:
        find = SUBJECTS.get(self.source.subject_kind or "")
        return await find(info, self.source.subject_id) if find is not None and self.source.subject_id else None

    @strawberry.field(description="The execution that came of it.")
    async def execution(self, info: Info) -> Execution | None:
        return await _execution(info, self.source.execution_id) if self.source.execution_id else None

    @classmethod
    def from_domain(cls, entry: domain.AuditEntry) -> Self:
        """Shape an entry."""
        return cls(
            source=entry,
            id=global_id("AuditEntry", entry.id),
            at=entry.at,
            action=entry.action,
            reason=entry.reason,
            before=_json(entry.before),
            after=_json(entry.after),
            request_id=entry.request_id,
        )


@strawberry.type(description="An audit entry in a page.")
class AuditEntryEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: AuditEntry = strawberry.field(description="The audit entry.")


@strawberry.type(description="A page of audit entries.")
class AuditEntryConnection:
    edges: list[AuditEntryEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def from_page(cls, page: Page[domain.AuditEntry]) -> Self:
        """Shape a page."""
        edges = [
            AuditEntryEdge(cursor=cursor, node=AuditEntry.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page))


@strawberry.input(description="Which audit entries; all conditions hold together.")
class AuditFilter:
    actor_id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="By this member.")
    subject_id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="To this object.")
    actions: list[str] | None = strawberry.field(default=strawberry.UNSET, description="These acts.")
    since: datetime | None = strawberry.field(default=strawberry.UNSET, description="At or after.")
    before: datetime | None = strawberry.field(default=strawberry.UNSET, description="Before.")

    def to_domain(self) -> domain.AuditFilter:
        """The filter in the domain's words.

        Raises:
            NotFound: an id in it is not one.
        """
        return domain.AuditFilter(
            actor_id=optional_id(self.actor_id, ids.member_id, "member", "filter", "actorId"),
            subject=optional_id(self.subject_id, _subject_of, "object", "filter", "subjectId"),
            actions=tuple(given(self.actions) or ()),
            since=given(self.since),
            before=given(self.before),
        )


def _subject_of(text: str) -> domain.Subject | None:
    """What a global id of any kind stands for in the log: its kind, and its last part, which is its own id."""
    try:
        kind, parts = split(text)
        own = uuid_part(parts[-1]) if parts else None
    except MalformedId:
        return None
    return domain.Subject(_kind_in_log(_SAME_OBJECT.get(kind, kind)), own) if own else None


def _kind_in_log(kind: str) -> str:
    """`DeadLetter` is written `DEAD_LETTER`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind).upper()


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


async def _member(info: Info, own: UUID) -> Node | None:
    found = await info.context.loaders.member.load(MemberId(own))
    return Member.from_domain(found) if found else None


async def _tournament(info: Info, own: UUID) -> Node | None:
    found = await info.context.loaders.tournament.load(TournamentId(own))
    return Tournament.from_domain(found) if found else None


async def _round(info: Info, own: UUID) -> Node | None:
    found = await info.context.loaders.round.load(RoundId(own))
    return Round.from_domain(found) if found else None


async def _match(info: Info, own: UUID) -> Node | None:
    found = await info.context.loaders.match.load(MatchId(own))
    return Match.from_domain(found) if found else None


async def _execution(info: Info, own: UUID) -> Execution | None:
    found = await info.context.loaders.execution.load(ExecutionId(own))
    return Execution.from_domain(found, info.context.services.report_url) if found else None


async def _dead_letter(info: Info, own: UUID) -> Node | None:
    found = await info.context.loaders.dead_letter.load(DeadLetterId(own))
    return DeadLetter.from_domain(found) if found else None


async def _schedule(info: Info, own: UUID) -> Node | None:
    found = await info.context.loaders.schedule.load(ScheduleId(own))
    return Schedule.from_domain(found) if found else None


async def _ruleset(info: Info, own: UUID) -> Node | None:
    found = await info.context.loaders.ruleset.load(RulesetId(own))
    return Ruleset.from_domain(found) if found else None


# What an act may be done to and an admin may see, by its kind in the log. Leagues are private, and so not among them.
SUBJECTS: Mapping[str, Finder] = {
    "MEMBER": _member,
    "TOURNAMENT": _tournament,
    "ROUND": _round,
    "MATCH": _match,
    "EXECUTION": _execution,
    "DEAD_LETTER": _dead_letter,
    "SCHEDULE": _schedule,
    "RULESET": _ruleset,
}
