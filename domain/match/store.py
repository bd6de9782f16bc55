"""SQL of matches. One list of columns builds `Match`; whether a lock has passed is the database clock's word."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from domain.guess.tables import guesses, tournament_members
from domain.ids import MatchId, MemberId, RoundId, TeamId, TournamentId
from domain.match.model import Goals, KickOffPrecision, Match, MatchStatus, ResultKind, ResultState
from domain.match.rules import VOID_STATUSES, MatchScope
from domain.match.tables import matches
from domain.settlement.tables import settlements
from domain.tables import Instant, Uuid, among, any_of
from domain.tournament.tables import rounds, tournaments

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

SCOPE_LIMIT = 100
"""Matches in a scope at most."""

LAST: "ColumnElement[datetime]" = literal_column("'infinity'::timestamptz", Instant)
"""Where a match without a date stands in an order by time."""

_PLAIN = (
    "id",
    "tournament_id",
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
    "result_state",
    "result_kind",
    "result_revision",
    "hold_reason",
    "data_warning",
    "version",
    "stadium",
)


def lock_passed(at: "ColumnElement[datetime] | None" = None) -> ColumnElement[bool]:
    """Whether a match's lock has passed at an instant (default: the database's now). Never null.

    The one condition behind both the end of guessing and the sight of others' guesses.
    """
    return func.coalesce(matches.c.lock_at <= _instant(at), false())


def gate(tournament_id: ColumnElement[UUID]) -> ColumnElement[int]:
    """Key of the advisory lock by which savers of guesses and writers of a tournament's matches take turns."""
    return func.hashtextextended(func.concat("matches:", tournament_id), 0)


async def close_gate(connection: "AsyncConnection", tournament_id: TournamentId) -> None:
    """Wait for guesses that are being saved, and have new ones wait; before all rows of a tournament are locked.

    Savers share the locks of rows, and pass by whoever waits to have one alone: in the minutes before a kick-off he
    would wait for ever.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(gate(literal(tournament_id, Uuid)))))


async def has_locked(connection: "AsyncConnection", tournament_id: TournamentId) -> bool:
    """Whether a match of the tournament has locked: from then on its rulesets stand."""
    locked = exists().where(matches.c.tournament_id == tournament_id, lock_passed())
    has: bool = (await connection.execute(select(locked))).scalar_one()
    return has


def is_paused(at: "ColumnElement[datetime] | None" = None) -> ColumnElement[bool]:
    """Whether guesses of a match are PAUSED at an instant (default: the database's now).

    With only a date, `kick_off` is the start of that day in the tournament's zone, and the pause lasts from then until
    the time is known or the match has begun.
    """
    on_its_day = and_(
        matches.c.kick_off_precision == KickOffPrecision.DATE,
        matches.c.status == MatchStatus.NOT_STARTED,
        matches.c.kick_off <= _instant(at),
    )
    return or_(
        matches.c.status.in_([*VOID_STATUSES, MatchStatus.POSTPONED]),
        matches.c.result_kind == ResultKind.VOID,
        matches.c.result_state == ResultState.VOID,
        matches.c.kick_off.is_(None),
        matches.c.kick_off_precision == KickOffPrecision.UNKNOWN,
        func.coalesce(on_its_day, false()),
    )


def is_settled() -> ColumnElement[bool]:
    """Whether a match's result stands and pays. One that was called off, and is on again, awaits its next result."""
    is_decided = matches.c.result_state.in_([ResultState.FINAL, ResultState.VOID])
    is_active = exists().where(settlements.c.match_id == matches.c.id, settlements.c.superseded_version.is_(None))
    return and_(is_decided, is_active)


@cache
def select_matches() -> Select[Any]:
    """What `to_match` reads, to be narrowed by the caller. Made once: it is large."""
    read_whole = select(tournaments.c.matches_at).where(tournaments.c.id == matches.c.tournament_id).scalar_subquery()
    return select(
        *(matches.c[name] for name in _PLAIN),
        func.greatest(matches.c.last_checked_at, read_whole).label("last_checked_at"),
        lock_passed().label("is_locked"),
        is_paused().label("is_paused"),
        is_settled().label("is_settled"),
    )


def to_match(row: Row[Any]) -> Match:
    return Match(
        id=MatchId(row.id),
        tournament_id=TournamentId(row.tournament_id),
        round_id=RoundId(row.round_id),
        home_team_id=None if row.home_team_id is None else TeamId(row.home_team_id),
        away_team_id=None if row.away_team_id is None else TeamId(row.away_team_id),
        home_label=row.home_label,
        away_label=row.away_label,
        kick_off=row.kick_off,
        kick_off_precision=KickOffPrecision(row.kick_off_precision),
        lock_at=row.lock_at,
        is_locked=row.is_locked,
        status=MatchStatus(row.status),
        minute=row.minute,
        goals=_goals(row.home_goals, row.away_goals),
        regulation=_goals(row.home_regulation, row.away_regulation),
        after_extra_time=_goals(row.home_extra_time, row.away_extra_time),
        shoot_out=_goals(row.home_shoot_out, row.away_shoot_out),
        result_state=ResultState(row.result_state),
        result_kind=ResultKind(row.result_kind),
        result_revision=row.result_revision,
        hold_reason=row.hold_reason,
        data_warning=row.data_warning,
        version=row.version,
        stadium=row.stadium,
        last_checked_at=row.last_checked_at,
        is_settled=row.is_settled,
        is_paused=row.is_paused,
    )


async def read_matches(connection: "AsyncConnection", ids: Iterable[MatchId]) -> list[Match]:
    return [to_match(row) for row in await connection.execute(_MATCHES, {"ids": list(ids)})]


async def page_of_tournament(
    connection: "AsyncConnection",
    tournament_id: TournamentId,
    *,
    round_id: RoundId | None,
    statuses: Sequence[MatchStatus] | None,
    first: int,
    after: tuple[datetime | None, MatchId] | None,
) -> tuple[list[Match], int]:
    """Up to `first` + 1 matches by kick-off, those without a date last, and how many there are in all."""
    chosen = [matches.c.tournament_id == tournament_id]
    if round_id is not None:
        chosen.append(matches.c.round_id == round_id)
    if statuses is not None:
        chosen.append(among(matches.c.status, statuses))
    return await _page_by_kick_off(connection, chosen, first, after)


async def matches_between(
    connection: "AsyncConnection",
    member_id: MemberId,
    start: datetime,
    end: datetime,
    *,
    first: int,
    after: tuple[datetime | None, MatchId] | None,
) -> tuple[list[Match], int]:
    """Matches of joined tournaments that kick off from `start` on and before `end`; as `page_of_tournament`."""
    chosen = [_joined_by(member_id), matches.c.kick_off >= start, matches.c.kick_off < end]
    return await _page_by_kick_off(connection, chosen, first, after)


async def matches_to_guess(
    connection: "AsyncConnection", member_id: MemberId, *, first: int, after: tuple[datetime, MatchId] | None
) -> tuple[list[Match], int]:
    """Open matches of joined tournaments without the member's guess, by lock; as `page_of_tournament`."""
    given = exists().where(
        guesses.c.tournament_id == matches.c.tournament_id,
        guesses.c.match_id == matches.c.id,
        guesses.c.member_id == member_id,
    )
    chosen = [
        _joined_by(member_id),
        matches.c.status == MatchStatus.NOT_STARTED,
        matches.c.home_team_id.is_not(None),
        matches.c.away_team_id.is_not(None),
        ~lock_passed(),
        ~is_paused(),
        ~given,
    ]
    when: ColumnElement[datetime] = func.coalesce(matches.c.lock_at, matches.c.kick_off)
    return await _page(connection, chosen, when, first, after)


async def matches_in_scope(connection: "AsyncConnection", scope: MatchScope) -> list[Match]:
    """By kick-off, those without a date last."""
    if scope.round_id is not None:
        chosen = matches.c.round_id == scope.round_id
    elif scope.live_of_tournament_id is not None:
        live = matches.c.status == MatchStatus.IN_PLAY
        chosen = and_(matches.c.tournament_id == scope.live_of_tournament_id, live)
    else:
        chosen = among(matches.c.id, scope.match_ids)
    order = (matches.c.kick_off.asc().nulls_last(), matches.c.id)
    return await _read(connection, select_matches().where(chosen).order_by(*order).limit(SCOPE_LIMIT))


async def read_versions(
    connection: "AsyncConnection",
    *,
    round_ids: Iterable[RoundId],
    tournament_ids: Iterable[TournamentId],
    match_ids: Iterable[MatchId],
) -> dict[Any, int]:
    """Match counters of the tournaments (of the rounds' tournaments), and versions of the matches, by id."""
    of_rounds = select(rounds.c.id, tournaments.c.match_version).join_from(
        rounds, tournaments, tournaments.c.id == rounds.c.tournament_id
    )
    statement = union_all(
        of_rounds.where(among(rounds.c.id, round_ids)),
        select(tournaments.c.id, tournaments.c.match_version).where(among(tournaments.c.id, tournament_ids)),
        select(matches.c.id, matches.c.version).where(among(matches.c.id, match_ids)),
    )
    return {row[0]: row[1] for row in await connection.execute(statement)}


async def _page_by_kick_off(
    connection: "AsyncConnection",
    chosen: list[ColumnElement[bool]],
    first: int,
    after: tuple[datetime | None, MatchId] | None,
) -> tuple[list[Match], int]:
    return await _page(connection, chosen, func.coalesce(matches.c.kick_off, LAST), first, after)


async def _page(
    connection: "AsyncConnection",
    chosen: list[ColumnElement[bool]],
    when: ColumnElement[datetime],
    first: int,
    after: tuple[datetime | None, MatchId] | None,
) -> tuple[list[Match], int]:
    """Two statements: the rows after a position in the order (when, id), and the number of all."""
    statement = select_matches().where(*chosen).order_by(when, matches.c.id).limit(first + 1)
    if after is not None:
        position = tuple_(func.coalesce(literal(after[0], Instant), LAST), literal(after[1], Uuid))
        statement = statement.where(tuple_(when, matches.c.id) > position)
    total = await connection.execute(select(func.count()).select_from(matches).where(*chosen))
    return await _read(connection, statement), total.scalar_one()


async def _read(connection: "AsyncConnection", statement: Select[Any]) -> list[Match]:
    return [to_match(row) for row in await connection.execute(statement)]


def _joined_by(member_id: MemberId) -> ColumnElement[bool]:
    joined = select(tournament_members.c.tournament_id).where(tournament_members.c.member_id == member_id)
    return matches.c.tournament_id.in_(joined)


def _instant(at: "ColumnElement[datetime] | None") -> "ColumnElement[datetime]":
    return func.clock_timestamp() if at is None else at


def _goals(home: int | None, away: int | None) -> Goals | None:
    return None if home is None or away is None else Goals(home, away)


# Built once: building takes longer than running.
_MATCHES = select_matches().where(any_of(matches.c.id, "ids"))
