"""Use cases of rulesets: which are on offer, and a new one, or a new version of one that was added."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.rules import reason_faults
from domain.database import Database
from domain.errors import Refused
from domain.ids import MemberId, RulesetId
from domain.scoring import rules, store
from domain.scoring.model import GuessFact, NewRuleset, Ruleset


async def read_rulesets(database: Database, ids: Iterable[RulesetId]) -> dict[RulesetId, Ruleset]:
    async with database.read() as connection:
        return {found.id: found for found in await store.read_rulesets(connection, ids)}


async def page_of_latest(database: Database, *, first: int, after: str | None = None) -> list[Ruleset]:
    """The rulesets on offer: the latest version of each code, by code; up to `first` + 1 of those behind `after`."""
    async with database.read() as connection:
        return await store.page_of_latest(connection, first=first, after=after)


async def create(
    database: Database, new: NewRuleset, *, actor_id: MemberId | None, reason: str, request_id: str
) -> Ruleset:
    """Add a ruleset; of a code that is there already the next version. What plays under an earlier one stays so.

    Raises:
        Refused: all that is wrong with the input.
    """
    new, reason = replace(new, label=new.label.strip()), reason.strip()
    if faults := rules.ruleset_faults(new) + reason_faults(reason):
        raise Refused(faults)
    async with database.begin() as connection:
        await store.lock_code(connection, new.code)
        before = await store.read_latest(connection, new.code)
        version = before.version + 1 if before else 1
        made = await store.insert_version(connection, new, rules.weights_of(new.points), version)
        act = Act(
            "createRuleset",
            actor_id,
            request_id,
            subject_kind="RULESET",
            subject_id=made.id,
            reason=reason,
            before=_shown(before) if before else None,
            after=_shown(made),
        )
        await audit.record(connection, act)
    return made


def _shown(ruleset: Ruleset) -> dict[str, Any]:
    """A ruleset as the audit log has it."""
    return {
        "code": ruleset.code,
        "version": ruleset.version,
        "label": ruleset.label,
        "scoreBasis": ruleset.basis.value,
        "weights": {fact.value: points for fact, points in zip(GuessFact, ruleset.weights, strict=True)},
    }
