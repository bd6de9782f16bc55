"""SQL of boards: what a board depends on, read at one moment."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, and_, bindparam, cast, column, exists, func, literal, null, or_, select, text, true
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE, Range, aggregate_order_by

from domain.database import Database
from domain.ids import LeagueId, TournamentId
from domain.leaderboard.fold.store import is_active, lacks_regulation
from domain.leaderboard.model import Baseline, BoardKey, BoardState, Part, Span
from domain.leaderboard.provisional.store import is_settled, to_live, told
from domain.league.model import LeagueTournamentStatus
from domain.league.tables import league_tournaments, leagues
from domain.match.model import MatchStatus, ResultState
from domain.match.tables import matches
from domain.member.tables import installation, members
from domain.outbox.store import members_are_changing
from domain.scoring.model import ScoreBasis, Weights
from domain.scoring.rules import bases, basis_row
from domain.scoring.tables import FACTS, rulesets
from domain.settlement.tables import settlements
from domain.tables import Uuid
from domain.tournament.model import TournamentMode, TournamentStatus
from domain.tournament.tables import rounds, tournaments

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, FromClause, Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

_NAMES = ("league_id", "tournament_id", "round_id")
"""The parts of a board's key."""

OF_TOURNAMENT = (
    *(tournaments.c.id, tournaments.c.mode, tournaments.c.settled_version, tournaments.c.board_version),
    *(tournaments.c.removals, tournaments.c.movement_version, tournaments.c.movement_at),
    members_are_changing(tournaments.c.id).label("is_changing"),
)

COUNTED = (LeagueTournamentStatus.ACTIVE, LeagueTournamentStatus.COMPLETED)

_LEAGUES = text(
    """
SELECT league.id AS league_id, link.tournament_id
FROM leagues AS league
JOIN league_tournaments AS link ON link.league_id = league.id AND link.removed_at IS NULL
WHERE league.deleted_at IS NULL AND (CAST(:tournament_id AS uuid) IS NULL OR EXISTS (
    SELECT FROM league_tournaments AS played
    WHERE played.league_id = league.id AND played.tournament_id = :tournament_id AND played.removed_at IS NULL
))
ORDER BY 1, 2
"""
)


# ---------------------------------------------------------------- what a board depends on


async def epoch(connection: "AsyncConnection") -> str:
    return str((await connection.execute(select(installation.c.epoch))).scalar_one())


async def read_state(connection: "AsyncConnection", key: BoardKey) -> BoardState | None:
    """None when there is no such board: a league that does not play the tournament, a round of another one."""
    statement, given = _asked(key)
    return _to_state(key, (await connection.execute(statement, given)).all())


async def fetch_state(database: Database, key: BoardKey) -> BoardState | None:
    """The same by itself, for it is read at every request and event of a board."""
    return _to_state(key, await database.fetch(*_asked(key)))


async def fetch_named_state(
    database: Database, key: BoardKey, members: Sequence[bytes]
) -> tuple[BoardState | None, dict[bytes, str]]:
    """The same of a tournament's board, with nick names of that moment of members (ids of 16 bytes)."""
    # As one text: the driver looks at each of many values.
    given = {"tournament_id": key.tournament_id, "member_ids": ",".join(map(bytes.hex, members))}
    found = await database.fetch(_named_state(), given)
    named = zip(members, found[0].names or (), strict=True) if found and members else ()
    return _to_state(key, found), {member: name for member, name in named if name is not None}


def _asked(key: BoardKey) -> "tuple[Select[Any], dict[str, Any]]":
    given = {name: value for name in _NAMES if (value := getattr(key, name)) is not None}
    return _board_state(frozenset(given)), given


def _to_state(key: BoardKey, found: Sequence[Any]) -> BoardState | None:
    if not found:
        return None
    parts = tuple(to_part(row) for row in found if row.id is not None)
    tournament_id = parts[0].tournament_id if key.tournament_id or key.round_id else None
    head = found[0]
    return BoardState(
        key=BoardKey(key.league_id, tournament_id, key.round_id),
        epoch=str(head.epoch),
        league_version=head.league_version,
        read_at=head.read_at,
        parts=parts,
    )


async def versions(database: Database, keys: Sequence[BoardKey]) -> dict[BoardKey, int]:
    """Stream versions of many boards, by one statement; boards that do not exist are left out."""
    ids = {name: [getattr(key, name) for key in keys] for name in _NAMES}
    return {keys[row.n - 1]: row.version for row in await database.fetch(_versions(), ids)}


@cache
def _versions() -> "Select[Any]":
    asked = (
        func.unnest(*(bindparam(name, type_=ARRAY(Uuid)) for name in _NAMES))
        .table_valued(*(column(name, Uuid) for name in _NAMES), with_ordinality="n")
        .render_derived("asked")
    )
    links = (
        select(func.coalesce(func.sum(tournaments.c.board_version), 0))
        .select_from(league_tournaments.join(tournaments, tournaments.c.id == league_tournaments.c.tournament_id))
        .where(league_tournaments.c.league_id == leagues.c.id)
        .scalar_subquery()
    )
    played = tournaments.alias()
    return (
        select(
            asked.c.n,
            (func.coalesce(leagues.c.board_version, 0) + func.coalesce(played.c.board_version, links)).label("version"),
        )
        .select_from(
            asked.outerjoin(rounds, rounds.c.id == asked.c.round_id)
            .outerjoin(played, played.c.id == func.coalesce(asked.c.tournament_id, rounds.c.tournament_id))
            .outerjoin(leagues, leagues.c.id == asked.c.league_id)
        )
        .where(
            or_(asked.c.league_id.is_(None), leagues.c.deleted_at.is_(None) & leagues.c.id.is_not(None)),
            or_(played.c.id.is_not(None), asked.c.tournament_id.is_(None) & asked.c.round_id.is_(None)),
            or_(leagues.c.id.is_not(None), played.c.id.is_not(None)),
        )
    )


async def league_version(connection: "AsyncConnection", league_id: LeagueId) -> int | None:
    """What a league's own changes have counted."""
    return (
        await connection.execute(select(leagues.c.board_version).where(leagues.c.id == league_id))
    ).scalar_one_or_none()


async def boards_in_play(connection: "AsyncConnection") -> dict[TournamentId, tuple[str, int]]:
    """Epoch and board version of every tournament that is not over."""
    statement = (
        select(tournaments.c.id, installation.c.epoch, tournaments.c.board_version)
        .join(installation, true())
        .where(tournaments.c.status.in_([TournamentStatus.UPCOMING, TournamentStatus.ACTIVE]))
    )
    return {TournamentId(row.id): (str(row.epoch), row.board_version) for row in await connection.execute(statement)}


async def boards_over(connection: "AsyncConnection") -> list[TournamentId]:
    """Every tournament that is over."""
    is_over = tournaments.c.status.in_([TournamentStatus.COMPLETED, TournamentStatus.CANCELLED])
    return list((await connection.execute(select(tournaments.c.id).where(is_over))).scalars())


async def boards_of_leagues(connection: "AsyncConnection", tournament_id: TournamentId | None) -> list[BoardKey]:
    """Boards without a round of the leagues that play a tournament, or of all leagues that play any."""
    found: dict[BoardKey, None] = {}
    for row in await connection.execute(_LEAGUES, {"tournament_id": tournament_id}):
        league_id = LeagueId(row.league_id)
        found |= dict.fromkeys([BoardKey(league_id), BoardKey(league_id, TournamentId(row.tournament_id))])
    return list(found)


@cache
def _board_state(given: frozenset[str]) -> "Select[Any]":
    """For keys with these parts, which are its parameters: built anew each time, it would take longer than running."""
    return _league_state(given) if "league_id" in given else _tournament_state(given)


@cache
def _named_state() -> "Select[Any]":
    asked = (
        func.unnest(cast(func.string_to_array(bindparam("member_ids", type_=Text), ","), ARRAY(Uuid)))
        .table_valued(column("id", Uuid), with_ordinality="n")
        .render_derived("asked")
    )
    names = (
        select(func.array_agg(aggregate_order_by(members.c.nick_name, asked.c.n), type_=ARRAY(Text)))
        .select_from(asked.outerjoin(members, members.c.id == asked.c.id))
        .scalar_subquery()
    )
    return _board_state(frozenset({"tournament_id"})).add_columns(names.label("names"))


def _tournament_state(given: frozenset[str]) -> "Select[Any]":
    own = (tournaments.c.ruleset_id, literal(0), true(), null())
    return _state(*own, tournaments, given).join(installation, true()).where(_is_asked(given))


def _league_state(given: frozenset[str]) -> "Select[Any]":
    link = league_tournaments
    is_present = link.c.removed_at.is_(None)
    is_one = len(given) > 1
    played = leagues.outerjoin(link, link.c.league_id == leagues.c.id).outerjoin(
        tournaments, tournaments.c.id == link.c.tournament_id
    )
    columns = (leagues.c.board_version, link.c.status.in_(COUNTED), times_played())
    statement = _state(link.c.ruleset_id, *columns, played, given)
    is_it = leagues.c.id == bindparam("league_id")
    statement = statement.join(installation, true()).where(is_it, leagues.c.deleted_at.is_(None))
    return statement.where(_is_asked(given), is_present) if is_one else statement.order_by(tournaments.c.id)


def _state(
    ruleset_id: "ColumnElement[Any]",
    league_version: "ColumnElement[Any]",
    counts_in_total: "ColumnElement[Any]",
    played: "ColumnElement[Any]",
    source: "FromClause",
    given: frozenset[str],
) -> "Select[Any]":
    counts = match_counts(given, rulesets.c.basis)
    return (
        select(
            *OF_TOURNAMENT,
            rulesets.c.basis,
            *(rulesets.c[fact] for fact in FACTS),
            league_version.label("league_version"),
            counts_in_total.label("counts_in_total"),
            played.label("played"),
            installation.c.epoch,
            func.clock_timestamp().label("read_at"),
            *counts.c,
        )
        .select_from(source)
        .outerjoin(rulesets, rulesets.c.id == ruleset_id)
        .outerjoin(counts, true())
    )


def match_counts(given: frozenset[str], basis: "ColumnElement[Any]") -> Any:
    """Matches of a board; void ones count nowhere, and those whose score this board lacks wait."""
    counts_regulation = and_(basis == ScoreBasis.REGULATION, tournaments.c.mode != TournamentMode.REGULAR_SEASON)
    lacks = and_(counts_regulation, lacks_regulation())
    counts = and_(is_settled(), ~lacks)
    statement = (
        select(
            func.count().label("matches"),
            func.count().filter(counts).label("settled_matches"),
            func.count().filter(~counts, matches.c.status == MatchStatus.ENDED).label("pending_matches"),
            func.min(settlements.c.applied_at).filter(lacks).label("lacks_since"),
            told().label("live"),
        )
        .select_from(matches.outerjoin(settlements, (settlements.c.match_id == matches.c.id) & is_active()))
        .where(matches.c.tournament_id == tournaments.c.id, matches.c.result_state != ResultState.VOID)
    )
    if "round_id" in given:
        statement = statement.where(matches.c.round_id == bindparam("round_id"))
    return statement.lateral("counts")


def _is_asked(given: frozenset[str]) -> "ColumnElement[bool]":
    """Which tournament a key names: directly, or by its round, or by both when they agree."""
    conditions = []
    if "tournament_id" in given:
        conditions.append(tournaments.c.id == bindparam("tournament_id"))
    if "round_id" in given:
        is_it = rounds.c.id == bindparam("round_id")
        conditions.append(exists().where(is_it, rounds.c.tournament_id == tournaments.c.id))
    return and_(*conditions)


def to_part(row: "Row[Any]") -> Part:
    """A tournament's part of a board, from a row with its versions, ruleset and counts of matches."""
    mode, basis = TournamentMode(row.mode), ScoreBasis(row.basis)
    has_baseline = row.movement_version is not None
    return Part(
        tournament_id=TournamentId(row.id),
        settled_version=row.settled_version,
        board_version=row.board_version,
        basis=basis_row(mode, basis),
        bases=bases(mode),
        weights=to_weights(row),
        counts_in_total=row.counts_in_total,
        played=to_spans(row.played),
        baseline=Baseline(row.movement_version, row.movement_at) if has_baseline else None,
        settled_matches=row.settled_matches,
        matches=row.matches,
        pending_matches=row.pending_matches,
        live=to_live(row.live, bases(mode)),
        lacks_since=row.lacks_since,
        removals=row.removals,
        is_changing=row.is_changing,
    )


def times_played() -> "ColumnElement[Any]":
    """When a league has played a tournament: since it took it up, until it gave it up, but for the gaps."""
    link = league_tournaments.c
    whole = func.tstzmultirange(func.tstzrange(link.added_at, link.removed_at), type_=TSTZMULTIRANGE)
    return whole.op("-")(link.gaps)


def to_spans(played: "Iterable[Range[datetime]] | None") -> tuple[Span, ...]:
    return tuple((span.lower, span.upper) for span in played or ())  # type: ignore[misc]  # it always has a beginning


def to_weights(row: "Row[Any]") -> Weights:
    return Weights(*(getattr(row, fact) for fact in FACTS))
