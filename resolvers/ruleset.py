"""Rulesets: read by anyone, added by platform admins."""

from domain.ids import RulesetId
from domain.scoring import service as rulesets
from domain.scoring.model import NewRuleset, Ruleset
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, page_size, words
from resolvers.permissions import allow, anyone, platform_admin


@allow(anyone)
async def page(context: Context, *, first: int, after: str | None) -> Page[Ruleset]:
    """The rulesets on offer, by code."""
    cursors = Cursors("rulesets")
    (place,) = cursors.read(after, words) if after is not None else (None,)
    rows = await rulesets.page_of_latest(context.database, first=page_size(first), after=place)
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.code))


@allow(anyone)
async def read(context: Context, *, ruleset_id: RulesetId) -> Ruleset | None:
    """One version of a ruleset."""
    return await context.loaders.ruleset.load(ruleset_id)


@allow(platform_admin)
async def create(context: Context, *, new: NewRuleset, reason: str) -> Ruleset:
    """Add a ruleset, or the next version of one that was added."""
    return await rulesets.create(
        context.database, new, actor_id=context.member_id, reason=reason, request_id=context.request.id
    )
