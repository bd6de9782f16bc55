"""SQL of the matches that ingestion owns: read whole under their locks, written where they differ."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, exists, func, insert, select, update

from domain.ids import MatchId, TournamentId
from domain.ingestion.finality.model import HeldReading
from domain.ingestion.finality.tables import held_readings
from domain.ingestion.model import StoredMatch
from domain.match.model import ResultState
from domain.match.store import close_gate
from domain.match.tables import match_results, matches

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

MATCH_COLUMNS = (
    "round_id",
    "home_team_id",
    "away_team_id",
    "home_label",
    "away_label",
    "kick_off",
    "kick_off_precision",
    "lock_at",
    "status",
    "minute",
    "home_goals",
    "away_goals",
    "home_regulation",
    "away_regulation",
    "home_extra_time",
    "away_extra_time",
    "home_shoot_out",
    "away_shoot_out",
    "result_kind",
    "hold_reason",
    "data_warning",
    "stadium",
)
"""Columns of `matches` that ingestion owns."""


async def read_matches_for_update(
    connection: "AsyncConnection", tournament_id: TournamentId
) -> dict[MatchId, StoredMatch]:
    """All matches of a tournament, locked in the order of their ids, as every writer locks them."""
    whole = matches.c.tournament_id == tournament_id
    await close_gate(connection, tournament_id)
    # Locked by a statement of its own: what is read afterwards was committed before the locks were had.
    await connection.execute(select(matches.c.id).where(whole).order_by(matches.c.id).with_for_update())
    columns = [matches.c[name] for name in MATCH_COLUMNS]
    latest = and_(match_results.c.match_id == matches.c.id, match_results.c.revision == matches.c.result_revision)
    by_admin = exists().where(latest, match_results.c.source == "OVERRIDE").label("by_admin")
    held = (held_readings.c.content, held_readings.c.first_read_at)
    about = (matches.c.result_state, matches.c.missing_since, matches.c.last_checked_at, by_admin, *held)
    statement = (
        select(matches.c.id, *about, *columns)
        .select_from(matches.outerjoin(held_readings, held_readings.c.match_id == matches.c.id))
        .where(whole)
        .order_by(matches.c.id)
    )
    return {MatchId(row.id): _stored(row) for row in await connection.execute(statement)}


def _stored(row: Any) -> StoredMatch:
    values = dict(zip(MATCH_COLUMNS, row[7:], strict=True))
    return StoredMatch(
        MatchId(row.id),
        values,
        ResultState(row.result_state),
        missing=row.missing_since is not None,
        checked_at=row.last_checked_at,
        by_admin=row.by_admin,
        held=None if row.content is None else HeldReading(row.content, row.first_read_at),
    )


async def insert_matches(connection: "AsyncConnection", rows: list[dict[str, Any]], checked_at: datetime) -> None:
    if rows:
        await connection.execute(insert(matches), [{**row, "last_checked_at": checked_at} for row in rows])


async def update_matches(connection: "AsyncConnection", rows: list[dict[str, Any]], checked_at: datetime) -> None:
    """Each row: `match_id`, every column of MATCH_COLUMNS, and `result_state`."""
    if not rows:
        return
    values = {name: bindparam(f"new_{name}", type_=matches.c[name].type) for name in (*MATCH_COLUMNS, "result_state")}
    statement = (
        update(matches)
        .where(matches.c.id == bindparam("match_id", type_=matches.c.id.type))
        .values(**values, version=matches.c.version + 1, missing_since=None, last_checked_at=checked_at)
    )
    named = [{key if key == "match_id" else f"new_{key}": value for key, value in row.items()} for row in rows]
    await connection.execute(statement, named)


async def mark_missing(connection: "AsyncConnection", ids: list[MatchId]) -> None:
    """Matches that the provider no longer lists: kept, and told in the tournament's data health."""
    if ids:
        await connection.execute(
            update(matches).where(matches.c.id.in_(ids)).values(missing_since=func.clock_timestamp())
        )
