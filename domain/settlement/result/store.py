"""SQL of accepted results: their revisions, and what matches tell of the latest one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, bindparam, case, func, insert, or_, select, update

from domain.ids import MatchId, TournamentId
from domain.match.model import Goals, ResultKind, ResultState
from domain.match.tables import match_results, matches
from domain.settlement.rules import AcceptedResult, NewResult
from domain.tables import among

if TYPE_CHECKING:
    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection


async def lock_matches(connection: "AsyncConnection", match_ids: Iterable[MatchId]) -> dict[MatchId, TournamentId]:
    """Lock match rows in the order of their ids; the answer lacks those that do not exist."""
    statement = (
        select(matches.c.id, matches.c.tournament_id)
        .where(among(matches.c.id, match_ids))
        .order_by(matches.c.id)
        .with_for_update()
    )
    return {MatchId(row.id): TournamentId(row.tournament_id) for row in await connection.execute(statement)}


async def latest_results(connection: "AsyncConnection", match_ids: Iterable[MatchId]) -> dict[MatchId, AcceptedResult]:
    """The latest accepted revision of each match; call it when their rows are locked."""
    statement = (
        select(match_results)
        .distinct(match_results.c.match_id)
        .where(among(match_results.c.match_id, match_ids))
        .order_by(match_results.c.match_id, match_results.c.revision.desc())
    )
    results = [_result(row) for row in (await connection.execute(statement)).mappings()]
    return {result.match_id: result for result in results}


async def insert_results(
    connection: "AsyncConnection", found: Sequence[NewResult], latest: Mapping[MatchId, AcceptedResult]
) -> dict[MatchId, int]:
    """Add revisions; their times rise strictly within a match, whatever the clock does."""
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    rows = [_result_row(result, latest.get(result.match_id), now) for result in found]
    if rows:
        await connection.execute(insert(match_results), rows)
    return {MatchId(row["match_id"]): row["revision"] for row in rows}


async def point_to_results(
    connection: "AsyncConnection", found: Iterable[NewResult], revisions: Mapping[MatchId, int]
) -> None:
    """Have matches tell their accepted results, where they do not yet. A match with a score takes no more guesses."""
    rows = [_match_row(result, revisions[result.match_id]) for result in found]
    statement = (
        update(matches)
        .where(
            matches.c.id == bindparam("match_id"),
            or_(
                matches.c.result_state != bindparam("state", type_=Text),
                matches.c.result_kind != bindparam("kind"),
                matches.c.result_revision != bindparam("revision"),
            ),
        )
        .values(
            result_state=bindparam("state", type_=Text),
            result_kind=bindparam("kind"),
            result_revision=bindparam("revision"),
            version=matches.c.version + 1,
            lock_at=case(
                (bindparam("state", type_=Text) == ResultState.VOID, matches.c.lock_at),
                else_=func.least(matches.c.lock_at, func.clock_timestamp()),
            ),
        )
    )
    if rows:
        await connection.execute(statement, rows)


async def results_after(connection: "AsyncConnection", match_id: MatchId, revision: int) -> list[AcceptedResult]:
    """Accepted revisions above `revision`, oldest first."""
    statement = (
        select(match_results)
        .where(match_results.c.match_id == match_id, match_results.c.revision > revision)
        .order_by(match_results.c.revision)
    )
    return [_result(row) for row in (await connection.execute(statement)).mappings()]


def _goals(row: "RowMapping", part: str) -> Goals | None:
    home = row[f"home_{part}"]
    return None if home is None else Goals(home, row[f"away_{part}"])


def _result(row: "RowMapping") -> AcceptedResult:
    return AcceptedResult(
        match_id=MatchId(row["match_id"]),
        revision=row["revision"],
        kind=ResultKind(row["kind"]),
        source=row["source"],
        regulation=_goals(row, "regulation"),
        after_extra_time=_goals(row, "extra_time"),
        shoot_out=_goals(row, "shoot_out"),
        status_at=row["status_at"],
    )


def _result_row(result: NewResult, latest: AcceptedResult | None, now: datetime) -> dict[str, Any]:
    is_void = result.kind is ResultKind.VOID
    parts = {
        "regulation": result.regulation,
        "extra_time": result.after_extra_time,
        "shoot_out": result.shoot_out,
    }
    row: dict[str, Any] = {
        "match_id": result.match_id,
        "revision": latest.revision + 1 if latest else 1,
        "kind": result.kind,
        "source": result.source,
        "cause": result.cause,
        "status_at": max(now, latest.status_at + timedelta(microseconds=1)) if latest else now,
    }
    for name, goals in parts.items():
        row[f"home_{name}"], row[f"away_{name}"] = (None, None) if goals is None or is_void else goals
    return row


def _match_row(result: NewResult, revision: int) -> dict[str, Any]:
    state = ResultState.VOID if result.kind is ResultKind.VOID else ResultState.FINAL
    return {"match_id": result.match_id, "state": state.value, "kind": result.kind.value, "revision": revision}
