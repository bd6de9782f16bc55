"""SQL of rulesets: versions are added and read, nothing else."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from domain.ids import RulesetId, new_id
from domain.scoring.model import NewRuleset, Ruleset, ScoreBasis, Weights
from domain.scoring.tables import FACTS, rulesets
from domain.tables import any_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


_BY_ID = select(rulesets).where(any_of(rulesets.c.id, "ids"))


async def read_rulesets(connection: "AsyncConnection", ids: Iterable[RulesetId]) -> list[Ruleset]:
    rows = await connection.execute(_BY_ID, {"ids": list(ids)})
    return [to_ruleset(row) for row in rows.mappings()]


async def page_of_latest(connection: "AsyncConnection", *, first: int, after: str | None) -> list[Ruleset]:
    """The latest version of each code, by code: up to `first` + 1 of those behind the code `after`."""
    # Codes are compared byte by byte, so that a page goes on where the one before has ended, whatever the locale.
    code = rulesets.c.code.collate("C")
    statement = select(rulesets).distinct(code).order_by(code, rulesets.c.version.desc()).limit(first + 1)
    if after is not None:
        statement = statement.where(code > after)
    return [to_ruleset(row) for row in (await connection.execute(statement)).mappings()]


async def lock_code(connection: "AsyncConnection", code: str) -> None:
    """Let one transaction at a time add a version to a code."""
    key = func.hashtextextended(f"ruleset:{code}", 0)
    await connection.execute(select(func.pg_advisory_xact_lock(key)))


async def read_latest(connection: "AsyncConnection", code: str) -> Ruleset | None:
    """The latest version of a code."""
    statement = select(rulesets).where(rulesets.c.code == code).order_by(rulesets.c.version.desc()).limit(1)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else to_ruleset(row)


async def insert_version(connection: "AsyncConnection", new: NewRuleset, weights: Weights, version: int) -> Ruleset:
    """Add a version that nobody else adds at this moment: call `lock_code` first."""
    points = {fact: getattr(weights, fact) for fact in FACTS}
    values = {"id": new_id(), "code": new.code, "version": version, "label": new.label, "basis": new.basis, **points}
    row = await connection.execute(insert(rulesets).values(values).returning(rulesets))
    return to_ruleset(row.mappings().one())


def to_ruleset(row: Mapping[Any, Any]) -> Ruleset:
    return Ruleset(
        id=RulesetId(row["id"]),
        code=row["code"],
        version=row["version"],
        label=row["label"],
        basis=ScoreBasis(row["basis"]),
        weights=Weights(**{fact: row[fact] for fact in FACTS}),
    )
