"""SQL of data health: what is stored of tournaments, what is odd about it, and what was dismissed."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, insert, literal, or_, select, union_all

from domain.execution.model import Execution
from domain.execution.store import COLUMNS, to_execution
from domain.execution.tables import executions
from domain.ids import MatchId, MemberId, TournamentId
from domain.ingestion.finality.tables import held_readings
from domain.ingestion.health.model import DoubtfulMatch, HealthProblem, Pending, QuarantinedRecord, StoredTournament
from domain.ingestion.health.tables import dismissed_problems
from domain.ingestion.quarantine.tables import quarantined_records
from domain.ingestion.verdict import ACCEPTED
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind, ResultState
from domain.match.store import LAST, is_settled
from domain.match.tables import matches
from domain.settlement.result.tables import IS_OPEN, pending_results
from domain.tables import among
from domain.tournament.model import TournamentStatus
from domain.tournament.tables import rounds, tournaments

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

_DAY = timedelta(days=1)
_OF_MATCH = (
    *("tournament_id", "id", "home_label", "away_label", "kick_off", "missing_since", "result_state"),
    *("hold_reason", "data_warning"),
)
_PENDING_GOALS = [
    func.coalesce(pending_results.c[f"{side}_extra_time"], pending_results.c[f"{side}_regulation"]).label(side)
    for side in ("home", "away")
]


async def read_tournaments(
    connection: "AsyncConnection", ids: Iterable[TournamentId], stale_after: timedelta
) -> list[StoredTournament]:
    """Tournaments in numbers. Teams are those that play a match."""
    of_tournament = matches.c.tournament_id == tournaments.c.id
    sides = union_all(
        *(
            select(matches.c[side]).where(of_tournament).correlate(tournaments)
            for side in ("home_team_id", "away_team_id")
        )
    ).subquery("sides")
    read = func.coalesce(tournaments.c.matches_at, tournaments.c.created_at)
    statement = select(
        tournaments.c.id,
        tournaments.c.status,
        tournaments.c.matches_at,
        _number(select(func.count()).select_from(rounds).where(rounds.c.tournament_id == tournaments.c.id), "rounds"),
        _number(select(func.count(sides.c[0].distinct())).select_from(sides), "teams"),
        _number(select(func.count()).select_from(matches).where(of_tournament), "matches"),
        _number(select(func.count()).select_from(matches).where(of_tournament, is_settled()), "settled_matches"),
        (read <= func.clock_timestamp() - literal(stale_after)).label("is_stale"),
    ).where(among(tournaments.c.id, ids))
    return [
        StoredTournament(
            id=TournamentId(row.id),
            status=TournamentStatus(row.status),
            rounds=row.rounds,
            teams=row.teams,
            matches=row.matches,
            settled_matches=row.settled_matches,
            read_at=row.matches_at,
            is_stale=row.is_stale,
        )
        for row in await connection.execute(statement)
    ]


async def read_doubtful(
    connection: "AsyncConnection", ids: Iterable[TournamentId], overdue_after: timedelta
) -> list[DoubtfulMatch]:
    """Matches of which something is odd, by kick-off."""
    is_overdue = _is_overdue(overdue_after)
    is_changed = and_(held_readings.c.match_id.is_not(None), matches.c.result_state.in_(ACCEPTED))
    said = (matches.c.missing_since, matches.c.hold_reason, matches.c.data_warning, pending_results.c.id)
    statement = (
        select(
            *(matches.c[name] for name in _OF_MATCH),
            is_overdue.label("is_overdue"),
            held_readings.c.content,
            pending_results.c.id.label("pending_id"),
            pending_results.c.kind,
            pending_results.c.found_at,
            *_PENDING_GOALS,
        )
        .select_from(matches)
        .outerjoin(held_readings, held_readings.c.match_id == matches.c.id)
        .outerjoin(pending_results, and_(pending_results.c.match_id == matches.c.id, IS_OPEN))
        .where(
            among(matches.c.tournament_id, ids),
            or_(is_overdue, is_changed, *(column.is_not(None) for column in said)),
        )
        .order_by(func.coalesce(matches.c.kick_off, LAST), matches.c.id)
    )
    return [_to_doubtful(row) for row in await connection.execute(statement)]


async def read_quarantined(connection: "AsyncConnection", ids: Iterable[TournamentId]) -> list[QuarantinedRecord]:
    columns = quarantined_records.c
    statement = select(columns.tournament_id, columns.external_id, columns.reason)
    statement = statement.where(among(columns.tournament_id, ids)).order_by(columns.external_id)
    return [QuarantinedRecord(*row) for row in await connection.execute(statement)]


async def last_executions(connection: "AsyncConnection", ids: Iterable[TournamentId]) -> list[Execution]:
    """The latest execution of each operation on each tournament."""
    of_each = (executions.c.tournament_id, executions.c.operation)
    statement = select(*COLUMNS).distinct(*of_each).where(among(executions.c.tournament_id, ids))
    statement = statement.order_by(*of_each, executions.c.queued_at.desc(), executions.c.id.desc())
    return [to_execution(row) for row in await connection.execute(statement)]


async def read_dismissed(connection: "AsyncConnection", ids: Iterable[TournamentId]) -> set[tuple[TournamentId, str]]:
    """Tournaments and keys of problems that were dismissed."""
    columns = dismissed_problems.c
    statement = select(columns.tournament_id, columns.problem).where(among(columns.tournament_id, ids))
    return {(TournamentId(row.tournament_id), row.problem) for row in await connection.execute(statement)}


async def insert_dismissed(connection: "AsyncConnection", problem: HealthProblem, by: MemberId | None) -> None:
    values = {"tournament_id": problem.tournament_id, "problem": problem.key, "dismissed_by": by}
    await connection.execute(insert(dismissed_problems).values(values))


def _is_overdue(after: timedelta) -> "ColumnElement[bool]":
    """Whether a match lies in the past and has not ended. With only a date it may be played on all of that day."""
    begins = matches.c.kick_off + case(
        (matches.c.kick_off_precision == KickOffPrecision.DATE, literal(_DAY)), else_=literal(timedelta(0))
    )
    is_open = matches.c.status.in_([MatchStatus.NOT_STARTED, MatchStatus.IN_PLAY])
    is_past = func.coalesce(begins <= func.clock_timestamp() - literal(after), False)
    return and_(is_open, matches.c.kick_off_precision != KickOffPrecision.UNKNOWN, is_past)


def _number(statement: Any, name: str) -> Any:
    return statement.scalar_subquery().label(name)


def _to_doubtful(row: "Row[Any]") -> DoubtfulMatch:
    goals = None if row.home is None else Goals(row.home, row.away)
    pending = None
    if row.pending_id is not None:
        pending = Pending(row.pending_id, ResultKind(row.kind), goals, row.found_at)
    return DoubtfulMatch(
        tournament_id=TournamentId(row.tournament_id),
        id=MatchId(row.id),
        title=f"{row.home_label} - {row.away_label}",
        kick_off=row.kick_off,
        is_overdue=row.is_overdue,
        missing_since=row.missing_since,
        result_state=ResultState(row.result_state),
        hold_reason=row.hold_reason,
        data_warning=row.data_warning,
        held_content=row.content,
        pending=pending,
    )
