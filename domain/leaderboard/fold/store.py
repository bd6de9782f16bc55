"""SQL of members' facts: the fold of guesses, settlements and scorelines, and the present sums that materialise it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ARRAY, BigInteger, Integer, and_, column, func, literal, or_, select
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
    from sqlalchemy import ColumnElement, Select
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
    paid = _paid(tournament_id, basis, guesses.c.member_id).where(is_active(version)).group_by(guesses.c.member_id)
    if are_few:
        # A league reads its members' guesses by index; a whole tournament's are read in one pass.
        paid = paid.where(guesses.c.member_id.in_(select(asked.c.member_id)))
    if round_id is not None:
        of_round = select(matches.c.id).where(matches.c.tournament_id == tournament_id, matches.c.round_id == round_id)
        paid = paid.where(settlements.c.match_id.in_(of_round))
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
    first = func.width_bucket(settlements.c.version - 1, places)
    end = func.coalesce(func.width_bucket(settlements.c.superseded_version - 1, places), len(versions))
    key = (guesses.c.member_id, rounds.c.position, first, end)
    paid = _paid(tournament_id, basis, *key).where(
        matches.c.id == settlements.c.match_id,
        rounds.c.id == matches.c.round_id,
        guesses.c.member_id.in_(ranked),
        settlements.c.version <= versions[-1],
    )
    return paid.group_by(*key)


def _paid(tournament_id: TournamentId, basis: ScoreBasis, *key: "ColumnElement[Any]") -> "Select[Any]":
    """What settlements pay for guesses, or ever paid, summed up by `key` (the caller groups by it)."""
    line = settlement_scorelines
    is_same = and_(
        line.c.settlement_id == settlements.c.id,
        line.c.basis == basis,
        line.c.home == guesses.c.home,
        line.c.away == guesses.c.away,
    )
    sums = (to_type(func.count().filter(line.c[fact]), Integer).label(fact) for fact in FACTS)
    joined = guesses.join(settlements, settlements.c.match_id == guesses.c.match_id).join(line, is_same)
    of_tournament = and_(guesses.c.tournament_id == tournament_id, settlements.c.tournament_id == tournament_id)
    return select(*key, *sums).select_from(joined).where(of_tournament)


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
