"""SQL of earlier moments: which versions tournaments had then, when rounds began, and how many matches counted."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, BigInteger, and_, column, exists, func, literal, or_, select

from domain.ids import RoundId, TournamentId
from domain.leaderboard.fold.store import is_active
from domain.leaderboard.model import Baseline
from domain.match.model import ResultKind
from domain.match.tables import match_results, matches
from domain.settlement.tables import score_versions, settlements
from domain.tables import Uuid, among
from domain.tournament.tables import rounds, tournaments

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class BegunRound:
    """A round that is, or was, the current one."""

    id: RoundId
    tournament_id: TournamentId
    position: int
    began: Baseline | None
    """None where no beginning was kept, such as of a round that was current from the start."""
    next_began: Baseline | None
    """When the next round became current; None for the latest."""


@dataclass(frozen=True, slots=True)
class MatchCounts:
    """Matches of a board at a version, void ones left out."""

    settled: int
    all: int
    lacks_since: datetime | None = None
    """When the oldest settlement was made that the board waits with."""


async def time_of_version(connection: "AsyncConnection", tournament_id: TournamentId, version: int) -> datetime | None:
    """When a version of a tournament's scores came to be; None when it has not."""
    statement = select(score_versions.c.at).where(
        score_versions.c.tournament_id == tournament_id, score_versions.c.version == version
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def versions_at(
    connection: "AsyncConnection", tournament_ids: Collection[TournamentId], at: datetime
) -> dict[TournamentId, int]:
    """The versions of tournaments' scores at an instant; those that had none settled are left out."""
    statement = (
        select(score_versions.c.tournament_id, func.max(score_versions.c.version).label("version"))
        .where(among(score_versions.c.tournament_id, tournament_ids), score_versions.c.at <= at)
        .group_by(score_versions.c.tournament_id)
    )
    return {TournamentId(row.tournament_id): row.version for row in await connection.execute(statement)}


async def begun_round(connection: "AsyncConnection", round_id: RoundId) -> BegunRound | None:
    """A round with the beginning of the next; None when there is no such round, or it has not begun."""
    of_tournament = select(rounds.c.tournament_id).where(rounds.c.id == round_id).scalar_subquery()
    statement = _begun().where(rounds.c.tournament_id == of_tournament)
    found = {row.id: row for row in await connection.execute(statement)}
    return _begun_round(found[round_id]) if round_id in found else None


async def begun_rounds(connection: "AsyncConnection", tournament_id: TournamentId) -> list[BegunRound]:
    """All rounds that have begun, in order."""
    statement = _begun().where(rounds.c.tournament_id == tournament_id)
    return [_begun_round(row) for row in await connection.execute(statement)]


async def count_matches(
    connection: "AsyncConnection",
    versions: Mapping[TournamentId, int],
    round_id: RoundId | None,
    count_regulation: Collection[TournamentId],
) -> dict[TournamentId, MatchCounts]:
    """Matches of tournaments, or of a round, at a version of each. Void is what a settlement had made void by then.

    `count_regulation`: those of which the score after 90 minutes counts; without it a match is not settled there.
    """
    asked = (
        func.unnest(literal(list(versions), ARRAY(Uuid)), literal(list(versions.values()), ARRAY(BigInteger)))
        .table_valued(column("tournament_id", Uuid), column("version", BigInteger))
        .render_derived("asked")
    )
    was_active = and_(settlements.c.match_id == matches.c.id, is_active(asked.c.version))
    result = and_(
        match_results.c.match_id == settlements.c.match_id, match_results.c.revision == settlements.c.revision
    )
    is_void = func.coalesce(match_results.c.kind == ResultKind.VOID, False)
    lacks_part = and_(match_results.c.kind == ResultKind.PLAYED, match_results.c.home_regulation.is_(None))
    is_waiting = and_(among(matches.c.tournament_id, count_regulation), lacks_part)
    statement = (
        select(
            matches.c.tournament_id,
            func.count().filter(~is_void).label("all"),
            func.count(settlements.c.id).filter(~is_void, ~is_waiting).label("settled"),
            func.min(settlements.c.applied_at).filter(is_waiting).label("lacks_since"),
        )
        .select_from(
            matches.join(asked, asked.c.tournament_id == matches.c.tournament_id)
            .outerjoin(settlements, was_active)
            .outerjoin(match_results, result)
        )
        .group_by(matches.c.tournament_id)
    )
    if round_id is not None:
        statement = statement.where(matches.c.round_id == round_id)
    found = await connection.execute(statement)
    return {TournamentId(row.tournament_id): MatchCounts(row.settled, row.all, row.lacks_since) for row in found}


def _begun() -> Any:
    """Rounds that have begun, by position, each with when one behind it first did.

    One that was put in between after those behind it had begun never was the current one: it is passed over. So are
    those without matches, such as of a former provider.
    """
    behind: Any = {"partition_by": rounds.c.tournament_id, "order_by": rounds.c.position, "rows": (1, None)}
    current = rounds.alias("current_round")
    return (
        select(
            rounds.c.id,
            rounds.c.tournament_id,
            rounds.c.position,
            rounds.c.baseline_version,
            rounds.c.baseline_at,
            func.min(rounds.c.baseline_version).over(**behind).label("next_version"),
            func.min(rounds.c.baseline_at).over(**behind).label("next_at"),
        )
        .join(tournaments, tournaments.c.id == rounds.c.tournament_id)
        .outerjoin(current, current.c.id == tournaments.c.current_round_id)
        .where(
            or_(rounds.c.baseline_version.is_not(None), rounds.c.position <= current.c.position),
            exists().where(matches.c.round_id == rounds.c.id),
        )
        .order_by(rounds.c.position)
    )


def _begun_round(row: "Row[Any]") -> BegunRound:
    return BegunRound(
        id=RoundId(row.id),
        tournament_id=TournamentId(row.tournament_id),
        position=row.position,
        began=_baseline(row.baseline_version, row.baseline_at),
        next_began=_baseline(row.next_version, row.next_at),
    )


def _baseline(version: int | None, at: datetime | None) -> Baseline | None:
    return None if version is None or at is None else Baseline(version, at)
