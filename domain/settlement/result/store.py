"""SQL of accepted results: their revisions, what matches tell of the latest one, and what waits behind an admin's."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Text, bindparam, case, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.ids import MatchId, MemberId, TournamentId, new_id
from domain.match.model import Goals, MatchStatus, ResultKind, ResultState
from domain.match.tables import RESULT_PARTS, match_results, matches
from domain.settlement.result.tables import IS_OPEN, pending_results
from domain.settlement.rules import AcceptedResult, NewResult, PendingResult
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
    results = [to_result(row) for row in (await connection.execute(statement)).mappings()]
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


async def show_results(connection: "AsyncConnection", found: Iterable[NewResult]) -> None:
    """Have matches show results that an admin has set: status and score. What was not played out is called off."""
    is_void = bindparam("kind", type_=Text) == ResultKind.VOID
    called_off = case(
        (matches.c.status == MatchStatus.IN_PLAY, MatchStatus.ABANDONED.value),
        (matches.c.status.in_([MatchStatus.NOT_STARTED, MatchStatus.POSTPONED]), MatchStatus.CANCELLED.value),
        else_=matches.c.status,
    )
    statement = (
        update(matches)
        .where(matches.c.id == bindparam("match_id"))
        .values(
            {name: bindparam(name) for part in ("goals", *RESULT_PARTS) for name in (f"home_{part}", f"away_{part}")}
            | {
                "status": case((is_void, called_off), else_=MatchStatus.ENDED.value),
                "minute": None,
                "hold_reason": None,
                "data_warning": None,
            }
        )
    )
    rows = [
        {"match_id": result.match_id, "kind": result.kind.value}
        | _part_values(result, goals=result.after_extra_time or result.regulation)
        for result in found
    ]
    if rows:
        await connection.execute(statement, rows)


async def last_pending(connection: "AsyncConnection", match_ids: Iterable[MatchId]) -> dict[MatchId, PendingResult]:
    """What the provider said last of each match while an admin's result stood, whatever became of it."""
    statement = (
        select(pending_results, IS_OPEN.label("is_open"))
        .distinct(pending_results.c.match_id)
        .where(among(pending_results.c.match_id, match_ids))
        .order_by(pending_results.c.match_id, pending_results.c.found_at.desc())
    )
    rows = (await connection.execute(statement)).mappings()
    return {MatchId(row["match_id"]): _pending(row) for row in rows}


async def put_pending(connection: "AsyncConnection", found: Iterable[NewResult]) -> None:
    """Keep what providers say now, in place of what they said before where that still waits."""
    rows = [
        {"id": new_id(), "match_id": result.match_id, "kind": result.kind.value} | _part_values(result)
        for result in found
    ]
    statement = upsert(pending_results)
    names = ["kind", *(f"{side}_{part}" for part in RESULT_PARTS for side in ("home", "away"))]
    changes = {name: statement.excluded[name] for name in names} | {"found_at": func.clock_timestamp()}
    replacing = statement.on_conflict_do_update(index_elements=["match_id"], index_where=IS_OPEN, set_=changes)
    if rows:
        await connection.execute(replacing, rows)


async def accept_pending(connection: "AsyncConnection", match_id: MatchId, revision: int) -> None:
    """An admin has set what the provider says: it is a revision now."""
    accepted = {"accepted_at": func.clock_timestamp(), "accepted_revision": revision}
    waiting = update(pending_results).where(pending_results.c.match_id == match_id, IS_OPEN)
    await connection.execute(waiting.values(accepted))


async def withdraw_pending(connection: "AsyncConnection", match_ids: Sequence[MatchId]) -> None:
    """The provider now says what the admin did: nothing waits any more."""
    if match_ids:
        waiting = update(pending_results).where(among(pending_results.c.match_id, match_ids), IS_OPEN)
        await connection.execute(waiting.values(dismissed_at=func.clock_timestamp()))


async def dismiss_pending(connection: "AsyncConnection", pending_id: UUID, by: MemberId | None) -> None:
    """An admin has seen what the provider says and lets the result stand; it is not asked about again."""
    waiting = update(pending_results).where(pending_results.c.id == pending_id, IS_OPEN)
    await connection.execute(waiting.values(dismissed_at=func.clock_timestamp(), dismissed_by=by))


async def results_after(connection: "AsyncConnection", match_id: MatchId, revision: int) -> list[AcceptedResult]:
    """Accepted revisions above `revision`, oldest first."""
    statement = (
        select(match_results)
        .where(match_results.c.match_id == match_id, match_results.c.revision > revision)
        .order_by(match_results.c.revision)
    )
    return [to_result(row) for row in (await connection.execute(statement)).mappings()]


def _goals(row: Mapping[Any, Any], part: str) -> Goals | None:
    home = row[f"home_{part}"]
    return None if home is None else Goals(home, row[f"away_{part}"])


def to_result(row: Mapping[Any, Any]) -> AcceptedResult:
    return AcceptedResult(
        match_id=MatchId(row["match_id"]),
        revision=row["revision"],
        kind=ResultKind(row["kind"]),
        source=row["source"],
        regulation=_goals(row, "regulation"),
        after_extra_time=_goals(row, "extra_time"),
        shoot_out=_goals(row, "shoot_out"),
        status_at=row["status_at"],
        cause=row["cause"],
    )


def _pending(row: "RowMapping") -> PendingResult:
    return PendingResult(
        match_id=MatchId(row["match_id"]),
        kind=ResultKind(row["kind"]),
        regulation=_goals(row, "regulation"),
        after_extra_time=_goals(row, "extra_time"),
        shoot_out=_goals(row, "shoot_out"),
        found_at=row["found_at"],
        is_open=row["is_open"],
        was_refused=row["dismissed_by"] is not None,
    )


def _result_row(result: NewResult, latest: AcceptedResult | None, now: datetime) -> dict[str, Any]:
    return {
        "match_id": result.match_id,
        "revision": latest.revision + 1 if latest else 1,
        "kind": result.kind,
        "source": result.source,
        "cause": result.cause,
        "status_at": max(now, latest.status_at + timedelta(microseconds=1)) if latest else now,
        "actor_id": result.actor_id,
        "reason": result.reason,
    } | _part_values(result)


def _part_values(result: NewResult, **more: Goals | None) -> dict[str, Any]:
    """The columns of its parts; a void result has none."""
    parts = {
        "regulation": result.regulation,
        "extra_time": result.after_extra_time,
        "shoot_out": result.shoot_out,
        **more,
    }
    row: dict[str, Any] = {}
    for name, goals in parts.items():
        row[f"home_{name}"], row[f"away_{name}"] = (
            goals if goals and result.kind is not ResultKind.VOID else (None, None)
        )
    return row


def _match_row(result: NewResult, revision: int) -> dict[str, Any]:
    state = ResultState.VOID if result.kind is ResultKind.VOID else ResultState.FINAL
    return {"match_id": result.match_id, "state": state.value, "kind": result.kind.value, "revision": revision}
