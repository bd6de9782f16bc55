"""SQL of corrections: the public log as a view of results and settlements, dry runs, and scores read whole."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, exists, or_, select, true, tuple_

from domain.correction import rules
from domain.correction.comparison import Copies
from domain.correction.model import Correction
from domain.execution.model import ExecutionState, Operation, Target
from domain.execution.tables import executions
from domain.ids import MatchId, TournamentId
from domain.leaderboard.fold.store import copy, present_facts
from domain.match.tables import RESULT_PARTS, match_results, matches
from domain.scoring.model import ScoreBasis
from domain.settlement.result.store import to_result
from domain.settlement.store import to_settlement
from domain.settlement.tables import settlements
from domain.tournament.tables import tournaments

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

Place = tuple[datetime, MatchId, int]
"""Where an entry of the log stands: when it was accepted, its match, its revision."""

_AFTER, _BEFORE = match_results.alias("after"), match_results.alias("before")
_SAID = ("kind", *(f"{side}_{part}" for part in RESULT_PARTS for side in ("home", "away")))


async def page(
    connection: "AsyncConnection", tournament_id: TournamentId, limit: int, after: Place | None
) -> list[Correction]:
    """Entries of a tournament's log, latest first, from behind a place on."""
    statement = _log().where(matches.c.tournament_id == tournament_id)
    if after is not None:
        statement = statement.where(tuple_(_AFTER.c.accepted_at, _AFTER.c.match_id, _AFTER.c.revision) < after)
    order = (_AFTER.c.accepted_at.desc(), _AFTER.c.match_id.desc(), _AFTER.c.revision.desc())
    rows = (await connection.execute(statement.order_by(*order).limit(limit))).mappings()
    return [_correction(row) for row in rows]


async def read(connection: "AsyncConnection", match_id: MatchId, revision: int) -> Correction | None:
    """One entry of the log."""
    statement = _log().where(_AFTER.c.match_id == match_id, _AFTER.c.revision == revision)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else _correction(row)


async def has_dry_run(connection: "AsyncConnection", operation: Operation, target: Target, digest: str) -> bool:
    """Whether a dry run of this operation has shown this digest, and no score of the tournament has changed since."""
    of_match, of_tournament = executions.c.match_id, executions.c.tournament_id
    dry_runs = (
        select(executions.c.id)
        .join(tournaments, tournaments.c.id == executions.c.tournament_id)
        .where(
            executions.c.operation == operation,
            executions.c.state == ExecutionState.COMPLETED,
            executions.c.dry_run,
            of_match.is_(None) if target.match_id is None else of_match == target.match_id,
            true() if target.tournament_id is None else of_tournament == target.tournament_id,
            executions.c.effect["digest"].as_string() == digest,
            executions.c.effect["settled_version"].as_integer() == tournaments.c.settled_version,
        )
        .limit(1)
    )
    return (await connection.execute(dry_runs)).first() is not None


async def copy_scores(
    connection: "AsyncConnection", tournament_id: TournamentId, bases: Iterable[ScoreBasis]
) -> Copies:
    """Facts of all members as they are recorded."""
    return {basis: await copy(connection, present_facts(None, tournament_id, basis)) for basis in bases}


def _log() -> "Select[Any]":
    """Revisions that say something else than the one before them, of matches that had been settled by then."""
    settled_before = exists().where(
        settlements.c.match_id == _AFTER.c.match_id, settlements.c.revision < _AFTER.c.revision
    )
    is_predecessor = and_(_BEFORE.c.match_id == _AFTER.c.match_id, _BEFORE.c.revision == _AFTER.c.revision - 1)
    settled = and_(settlements.c.match_id == _AFTER.c.match_id, settlements.c.revision == _AFTER.c.revision)
    return (
        select(
            *(column.label(f"after_{column.name}") for column in _AFTER.c),
            *(column.label(f"before_{column.name}") for column in _BEFORE.c),
            *(column.label(f"settlement_{column.name}") for column in settlements.c),
        )
        .select_from(
            _AFTER.join(_BEFORE, is_predecessor)
            .join(matches, matches.c.id == _AFTER.c.match_id)
            .outerjoin(settlements, settled)
        )
        .where(_AFTER.c.cause != "REPLAY", _is_different(), settled_before.correlate(_AFTER))
    )


def _is_different() -> "ColumnElement[bool]":
    return or_(*(_AFTER.c[name].is_distinct_from(_BEFORE.c[name]) for name in _SAID))


def _correction(row: "RowMapping") -> Correction:
    after = _part_of(row, "after_")
    revision = to_result(after)
    settlement = _part_of(row, "settlement_")
    return Correction(
        match_id=revision.match_id,
        before=to_result(_part_of(row, "before_")),
        after=revision,
        source=rules.source_of(revision.cause),
        reason=rules.reason_of(revision.cause, revision.kind, after["reason"]),
        corrected_at=after["accepted_at"],
        settlement=None if settlement["id"] is None else to_settlement(settlement),
    )


def _part_of(row: "RowMapping", prefix: str) -> dict[str, Any]:
    return {str(name)[len(prefix) :]: value for name, value in row.items() if str(name).startswith(prefix)}
