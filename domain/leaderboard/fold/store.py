"""SQL of members' facts: the fold of guesses, settlements and scorelines, and the present sums that materialise it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ARRAY, BigInteger, Integer, and_, any_, column, func, literal, or_, select
from sqlalchemy import cast as to_type
from sqlalchemy.dialects import postgresql

from domain.guess.tables import guesses, tournament_members
from domain.ids import LeagueId, MemberId, RoundId, TournamentId
from domain.leaderboard.model import BoardState
from domain.league.model import LeagueRole
from domain.league.tables import league_members
from domain.match.model import ResultState
from domain.match.tables import matches
from domain.member.tables import members
from domain.scoring.model import ScoreBasis
from domain.scoring.tables import FACTS
from domain.settlement.tables import member_scores, settlement_scorelines, settlements
from domain.tables import Uuid, among
from domain.tournament.tables import rounds

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Label, Select
    from sqlalchemy.ext.asyncio import AsyncConnection


# ---------------------------------------------------------------- who is ranked


def members_of_tournament(tournament_id: TournamentId, *, at: datetime | None = None) -> "Select[Any]":
    """All who have joined, or had at `at`."""
    statement = select(tournament_members.c.member_id).where(tournament_members.c.tournament_id == tournament_id)
    return statement if at is None else statement.where(tournament_members.c.joined_at <= at)


def members_of_league(league_id: LeagueId, *, at: datetime | None = None) -> "Select[Any]":
    """All members who are ranked (not VIEWERs), of today or of `at`."""
    statement = members_ever(league_id)
    if at is None:
        return statement.where(league_members.c.left_at.is_(None))
    has_left = league_members.c.left_at <= at
    return statement.where(league_members.c.joined_at <= at, func.coalesce(has_left, False).is_(False)).distinct()


def members_ever(league_id: LeagueId) -> "Select[Any]":
    """All memberships that are or were ranked; who came back is there more than once."""
    return select(league_members.c.member_id).where(
        league_members.c.league_id == league_id, league_members.c.role != LeagueRole.VIEWER
    )


def ranked_members(
    league_id: LeagueId | None, tournament_id: TournamentId, *, at: datetime | None = None
) -> "Select[Any]":
    """Members of a tournament's board, or of a league's."""
    if league_id is None:
        return members_of_tournament(tournament_id, at=at)
    return members_of_league(league_id, at=at)


async def read_ids(connection: "AsyncConnection", ranked: "Select[Any]") -> list[MemberId]:
    return [MemberId(member) for member in (await connection.execute(ranked)).scalars()]


async def read_named(connection: "AsyncConnection", ranked: "Select[Any]", prefix: str) -> list[MemberId]:
    """Those of the members whose nick names begin so, in small letters or large."""
    name = func.lower(members.c.nick_name)
    return await read_ids(
        connection, select(members.c.id).where(members.c.id.in_(ranked), func.starts_with(name, func.lower(prefix)))
    )


async def read_memberships(
    connection: "AsyncConnection", league_id: LeagueId
) -> list[tuple[MemberId, datetime, datetime | None]]:
    """Who was ranked, from when, until when."""
    statement = members_ever(league_id).add_columns(league_members.c.joined_at, league_members.c.left_at)
    return [(MemberId(row.member_id), row.joined_at, row.left_at) for row in await connection.execute(statement)]


# ---------------------------------------------------------------- facts


def present_facts(ranked: "Select[Any] | None", tournament_id: TournamentId, basis: ScoreBasis) -> "Select[Any]":
    """Present facts of members, zeros for those who have not joined; None: of all who have."""
    score = member_scores
    of_basis = and_(score.c.tournament_id == tournament_id, score.c.basis == basis)
    if ranked is None:
        return select(score.c.member_id, *(score.c[fact] for fact in FACTS)).where(of_basis)
    asked = ranked.subquery()
    return select(asked.c.member_id, *(func.coalesce(score.c[fact], 0) for fact in FACTS)).select_from(
        asked.outerjoin(score, and_(of_basis, score.c.member_id == asked.c.member_id))
    )


def facts(
    ranked: "Select[Any]",
    tournament_id: TournamentId,
    basis: ScoreBasis,
    *,
    round_id: RoundId | None = None,
    version: int | None = None,
    are_few: bool = False,
) -> "Select[Any]":
    """THE fold: guesses x settlements active at `version` (default: now) x scorelines; of all matches, or a round's.

    `are_few`: the members are a league's, not all of the tournament's.
    """
    asked = ranked.subquery()
    is_part = are_few or round_id is not None
    paid = _paid(tournament_id, basis, is_active(version), is_part=is_part)
    if are_few:
        # A league reads its members' guesses by index; a whole tournament's are read in one pass.
        paid = paid.where(guesses.c.member_id.in_(select(asked.c.member_id)))
    if round_id is not None:
        of_round = select(matches.c.id).where(matches.c.tournament_id == tournament_id, matches.c.round_id == round_id)
        paid = paid.where(guesses.c.match_id == any_(func.array(of_round.scalar_subquery())))
    sums = paid.subquery()
    found = (func.coalesce(sums.c[fact], 0) for fact in FACTS)
    return select(asked.c.member_id, *found).select_from(asked.outerjoin(sums, sums.c.member_id == asked.c.member_id))


def facts_over_time(
    ranked: "Select[Any]", tournament_id: TournamentId, basis: ScoreBasis, versions: Sequence[int]
) -> "Select[Any]":
    """The same fold at several versions (ascending) in one pass: each payment with the versions that it was active at.

    Rows are (member, position of the match's round, first and end of the places in `versions`, five facts).
    """
    places = literal(list(versions), ARRAY(BigInteger))
    was_active = settlements.c.version <= versions[-1]
    first = func.width_bucket(settlements.c.version - 1, places).label("first")
    end = func.coalesce(func.width_bucket(settlements.c.superseded_version - 1, places), len(versions)).label("end")
    position = select(rounds.c.position).join(matches, matches.c.round_id == rounds.c.id)
    of_match = position.where(matches.c.id == settlements.c.match_id).scalar_subquery().label("position")
    paid = _paid(tournament_id, basis, was_active, of_match, first, end, is_part=True)
    return paid.where(guesses.c.member_id.in_(ranked))


def _paid(
    tournament_id: TournamentId,
    basis: ScoreBasis,
    was_active: "ColumnElement[bool]",
    *key: "Label[Any]",
    is_part: bool,
) -> "Select[Any]":
    """What settlements paid for guesses, summed up by member and `key` (of the settlement).

    `is_part`: the caller reads a part of the guesses. They meet one small table, of the scorelines that paid anything,
    which is a third cheaper than two joins; but all guesses are read by several processes, which it would prevent.
    """
    line = settlement_scorelines
    lines = (
        select(settlements.c.match_id, line.c.home, line.c.away, *(line.c[fact] for fact in FACTS), *key)
        .join(line, and_(line.c.settlement_id == settlements.c.id, line.c.basis == basis))
        .where(settlements.c.tournament_id == tournament_id, was_active, or_(*(line.c[fact] for fact in FACTS)))
    )
    paying = lines.cte("paying").prefix_with("MATERIALIZED") if is_part else lines.subquery("paying")
    is_same = and_(
        paying.c.match_id == guesses.c.match_id, paying.c.home == guesses.c.home, paying.c.away == guesses.c.away
    )
    by = (guesses.c.member_id, *(paying.c[column.name] for column in key))
    sums = (to_type(func.count().filter(paying.c[fact]), Integer).label(fact) for fact in FACTS)
    joined = guesses.join(paying, is_same)
    return select(*by, *sums).select_from(joined).where(guesses.c.tournament_id == tournament_id).group_by(*by)


def is_active(version: "ColumnElement[Any] | int | None" = None) -> "ColumnElement[bool]":
    """That a settlement pays now, or did at `version`."""
    superseded = settlements.c.superseded_version
    if version is None:
        return superseded.is_(None)
    return and_(settlements.c.version <= version, or_(superseded.is_(None), superseded > version))


async def copy(connection: "AsyncConnection", statement: "Select[Any]") -> bytes:
    """Rows in PostgreSQL's binary COPY format, which arrays are read from at once."""
    chunks: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        chunks.append(chunk)

    # COPY takes no parameters; the values are ids, numbers and times of ours.
    query = str(statement.compile(dialect=cast("Any", postgresql).dialect(), compile_kwargs={"literal_binds": True}))
    raw = await connection.get_raw_connection()
    await cast("Any", raw.driver_connection).copy_from_query(query, output=keep, format="binary")
    return b"".join(chunks)


# ---------------------------------------------------------------- matches that were guessed


async def count_guessed(
    connection: "AsyncConnection", state: BoardState, member_ids: Iterable[MemberId]
) -> Mapping[MemberId, int]:
    """How many of the board's settled matches each member had guessed, void ones left out; who had none is missing."""
    tournament_ids = [part.tournament_id for part in state.counted]
    versions = [None if state.past_at is None else part.settled_version for part in state.counted]
    asked = (
        func.unnest(literal(tournament_ids, ARRAY(Uuid)), literal(versions, ARRAY(BigInteger)))
        .table_valued(column("tournament_id", Uuid), column("version", BigInteger))
        .render_derived("asked")
    )
    is_present = asked.c.version.is_(None)
    counts = or_(and_(is_present, is_active(), matches.c.result_state != ResultState.VOID), is_active(asked.c.version))
    statement = (
        select(guesses.c.member_id, func.count().label("number"))
        .select_from(
            guesses.join(asked, asked.c.tournament_id == guesses.c.tournament_id)
            .join(settlements, settlements.c.match_id == guesses.c.match_id)
            .join(matches, matches.c.id == guesses.c.match_id)
        )
        .where(
            among(guesses.c.member_id, member_ids),
            among(guesses.c.tournament_id, tournament_ids),
            settlements.c.guesses > 0,  # a void result pays none of them
            counts,
        )
        .group_by(guesses.c.member_id)
    )
    if state.key.round_id is not None:
        statement = statement.where(matches.c.round_id == state.key.round_id)
    return {MemberId(row.member_id): row.number for row in await connection.execute(statement)}
