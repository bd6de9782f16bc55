"""SQL of members' facts: the fold of guesses, settlements and scorelines, and the present sums that materialise it."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ARRAY, BigInteger, and_, bindparam, column, exists, func, or_, select, union_all
from sqlalchemy.dialects import postgresql

from domain.guess.tables import guesses
from domain.ids import MemberId, RoundId, TournamentId
from domain.leaderboard.model import BoardState
from domain.match.model import ResultKind, ResultState
from domain.match.tables import match_results, matches
from domain.scoring.model import ScoreBasis
from domain.scoring.tables import FACTS
from domain.settlement.tables import judged_guesses, member_scores, settlements
from domain.tables import Uuid, any_of

if TYPE_CHECKING:
    from sqlalchemy import ClauseElement, ColumnElement, Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

_DIALECT = cast("Any", postgresql).dialect()


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


# Written out, not composed: that took a tenth of the time of a league's board.
_LINE_FACTS = ", ".join(f"line.{fact}" for fact in FACTS)
_PAYS = " OR ".join(f"line.{fact}" for fact in FACTS)
_COUNTS = ", ".join(f"CAST(count(*) FILTER (WHERE paying.{fact}) AS integer) AS {fact}" for fact in FACTS)
_SUMS = ", ".join(f"coalesce(sums.{fact}, 0) + coalesce(kept.{fact}, 0)" for fact in FACTS)
_PAYING = """
SELECT settlements.id AS settlement_id, settlements.match_id, line.home, line.away, {line_facts} {key}
FROM settlements {joins}
JOIN settlement_scorelines AS line ON line.settlement_id = settlements.id AND line.basis = '{basis}'
WHERE settlements.tournament_id = '{tournament_id}' AND {was_active} AND ({pays}) AND {whose} settlements.keeps_guesses
"""
_PAID = """
SELECT guess.member_id, {key} {counts}
FROM guesses AS guess
JOIN paying ON paying.match_id = guess.match_id AND paying.home = guess.home AND paying.away = guess.away
WHERE guess.tournament_id = '{tournament_id}' {which}
GROUP BY {key} guess.member_id
"""
# The same by guesses that have changed since they were judged.
_KEPT = """
SELECT guess.member_id, {key} {counts}
FROM ({paying}) AS paying
JOIN judged_guesses AS guess ON guess.settlement_id = paying.settlement_id
    AND guess.home = paying.home AND guess.away = paying.away
WHERE true {which}
GROUP BY {key} guess.member_id
"""
_FACTS = """
WITH ranked AS ({ranked}), paying AS {materialized} ({paying})
SELECT ranked.member_id, {sums}
FROM ranked LEFT JOIN ({paid}) AS sums ON sums.member_id = ranked.member_id
LEFT JOIN ({kept}) AS kept ON kept.member_id = ranked.member_id
"""
# What was paid then and is not now comes back, what is paid now and was not then goes.
_CHANGES = ", ".join(
    f"CAST(count(*) FILTER (WHERE paying.{fact} AND NOT is_present)"
    f" - count(*) FILTER (WHERE paying.{fact} AND is_present) AS integer) AS {fact}"
    for fact in FACTS
)
_BEFORE = """
WITH ranked AS ({ranked}), paying AS MATERIALIZED ({paying})
SELECT ranked.member_id, {sums}
FROM ranked LEFT JOIN member_scores AS score
    ON score.tournament_id = '{tournament_id}' AND score.basis = '{basis}' AND score.member_id = ranked.member_id
LEFT JOIN ({paid}) AS sums ON sums.member_id = ranked.member_id
LEFT JOIN ({kept}) AS kept ON kept.member_id = ranked.member_id
"""
_SUMS_BEFORE = ", ".join(
    f"coalesce(score.{fact}, 0) + coalesce(sums.{fact}, 0) + coalesce(kept.{fact}, 0)" for fact in FACTS
)
_OF_CHANGED = "AND guess.match_id = ANY(ARRAY(SELECT match_id FROM paying))"
_OF_RANKED = "AND guess.member_id IN (SELECT member_id FROM ranked)"
_OF_ROUND = """AND {match} = ANY(ARRAY(
    SELECT id FROM matches WHERE tournament_id = '{tournament_id}' AND round_id = '{round_id}'))"""
# By joins: a subquery would be run for each scoreline, for a third of the time of it all.
_WITH_ROUNDS = "JOIN matches ON matches.id = settlements.match_id JOIN rounds ON rounds.id = matches.round_id"
_STOP_KEY = """, rounds.position,
    width_bucket(settlements.version - 1, {places}) AS first_place,
    coalesce(width_bucket(settlements.superseded_version - 1, {places}), {count}) AS end_place"""


def facts(
    ranked: "Select[Any]",
    tournament_id: TournamentId,
    basis: ScoreBasis,
    *,
    round_id: RoundId | None = None,
    version: int | None = None,
    are_few: bool = False,
) -> str:
    """THE fold: guesses x settlements active at `version` (default: now) x scorelines; of all matches, or a round's.

    `are_few`: the members are a league's, not all of the tournament's.
    """
    # A league reads its members' guesses by index, a round those of its matches; a whole tournament's are read in one
    # pass. A part meets one small table, of the scorelines that paid anything, which is a third cheaper than two joins;
    # all of them are read by several processes, which such a table would prevent.
    which, which_kept = _OF_RANKED if are_few else "", ""
    if round_id is not None:
        of_round = {"tournament_id": tournament_id, "round_id": round_id}
        which += _OF_ROUND.format(match="guess.match_id", **of_round)
        which_kept = _OF_ROUND.format(match="paying.match_id", **of_round)
    was_active = _literal(is_active(version))
    return _FACTS.format(
        ranked=_literal(ranked),
        materialized="MATERIALIZED" if which else "NOT MATERIALIZED",
        paying=_paying(tournament_id, basis, was_active),
        paid=_PAID.format(tournament_id=tournament_id, which=which, key="", counts=_COUNTS),
        kept=_kept(_paying(tournament_id, basis, was_active, whose=_CHANGED), which_kept),
        sums=_SUMS,
    )


def facts_before(
    ranked: "Select[Any]", tournament_id: TournamentId, basis: ScoreBasis, version: int, *, are_few: bool
) -> str:
    """The same fold of all matches at `version`, backwards from the present sums: for versions of the later half."""
    has_changed = f"({_literal(is_active(version))}) <> ({_literal(is_active())})"
    key = ", settlements.superseded_version IS NULL AS is_present"
    # A few members' guesses are read by their index, be it for many matches: how many is not known to the planner.
    which = _OF_RANKED if are_few else _OF_CHANGED
    return _BEFORE.format(
        sums=_SUMS_BEFORE,
        tournament_id=tournament_id,
        basis=basis,
        ranked=_literal(ranked),
        paying=_paying(tournament_id, basis, has_changed, key),
        paid=_PAID.format(tournament_id=tournament_id, which=which, key="", counts=_CHANGES),
        kept=_kept(_paying(tournament_id, basis, has_changed, key, whose=_CHANGED), "", counts=_CHANGES),
    )


def facts_over_time(
    ranked: "Select[Any]", tournament_id: TournamentId, basis: ScoreBasis, versions: Sequence[int]
) -> str:
    """The same fold at several versions (ascending) in one pass: each payment with the versions that it was active at.

    Rows are (member, position of the match's round, first and end of the places in `versions`, five facts).
    """
    places = f"CAST(ARRAY[{', '.join(map(str, versions))}] AS bigint[])"
    key = _STOP_KEY.format(places=places, count=len(versions))
    was_active = f"settlements.version <= {versions[-1]}"
    paying, paying_kept = (
        _paying(tournament_id, basis, was_active, key, whose, _WITH_ROUNDS) for whose in (_PRESENT, _CHANGED)
    )
    columns = "paying.position, paying.first_place, paying.end_place,"
    paid = _PAID.format(tournament_id=tournament_id, which=_OF_RANKED, key=columns, counts=_COUNTS)
    kept = _kept(paying_kept, _OF_RANKED, columns)
    # Both parts ask for the members as if each stood alone: the planner then knows how few they are.
    asked = f"ranked AS NOT MATERIALIZED ({_literal(ranked)}), paying AS MATERIALIZED ({paying})"
    return f"WITH {asked} {paid} UNION ALL {kept}"


_PRESENT, _CHANGED = "NOT", ""
"""Settlements whose guesses are the present ones, and those that keep what they judged."""


def _paying(
    tournament_id: TournamentId,
    basis: ScoreBasis,
    was_active: str,
    key: str = "",
    whose: str = _PRESENT,
    joins: str = "",
) -> str:
    """The scorelines that paid anything, with the facts that they paid."""
    values = {"tournament_id": tournament_id, "basis": basis, "was_active": was_active, "key": key, "whose": whose}
    return _PAYING.format(**values, joins=joins, line_facts=_LINE_FACTS, pays=_PAYS)


def _kept(paying: str, which: str, key: str = "", counts: str = _COUNTS) -> str:
    return _KEPT.format(paying=paying, which=which, key=key, counts=counts)


def is_active(version: "ColumnElement[Any] | int | None" = None) -> "ColumnElement[bool]":
    """That a settlement pays now, or did at `version`."""
    superseded = settlements.c.superseded_version
    if version is None:
        return superseded.is_(None)
    return and_(settlements.c.version <= version, or_(superseded.is_(None), superseded > version))


def lacks_regulation() -> "ColumnElement[bool]":
    """That a settlement could not judge the score after 90 minutes: boards that count it wait for that part."""
    return exists().where(
        match_results.c.match_id == settlements.c.match_id,
        match_results.c.revision == settlements.c.revision,
        match_results.c.kind == ResultKind.PLAYED,
        match_results.c.home_regulation.is_(None),
    )


async def copy(connection: "AsyncConnection", statement: "Select[Any] | str") -> bytes:
    """Rows in PostgreSQL's binary COPY format, which arrays are read from at once."""
    chunks: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        chunks.append(chunk)

    query = statement if isinstance(statement, str) else _literal(statement)
    raw = await connection.get_raw_connection()
    await cast("Any", raw.driver_connection).copy_from_query(query, output=keep, format="binary")
    return b"".join(chunks)


def _literal(statement: "ClauseElement") -> str:
    """SQL with its values in it, since COPY takes no parameters: ids, numbers and times of ours."""
    return str(statement.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


# ---------------------------------------------------------------- matches that were guessed


async def count_guessed(
    connection: "AsyncConnection", state: BoardState, member_ids: Iterable[MemberId]
) -> Mapping[MemberId, int]:
    """How many of the board's settled matches each member had guessed, void ones left out; who had none is missing."""
    given: dict[str, Any] = {
        "tournament_ids": [part.tournament_id for part in state.counted],
        "versions": [part.settled_version for part in state.counted],
        "member_ids": list(member_ids),
    }
    if state.key.round_id is not None:
        given["round_id"] = state.key.round_id
    if by_regulation := state.count_regulation:
        given["by_regulation"] = by_regulation
    statement = _guessed(frozenset(given), is_present=state.past_at is None)
    return {MemberId(row.member_id): row.number for row in await connection.execute(statement, given)}


@cache
def _guessed(given: frozenset[str], *, is_present: bool) -> "Select[Any]":
    """The statement for boards of which these things are given."""
    is_judged = and_(guesses.c.match_id == settlements.c.match_id, ~settlements.c.keeps_guesses)
    of_tournaments = any_of(guesses.c.tournament_id, "tournament_ids")
    present = _judged_by(given, guesses, and_(is_judged, of_tournaments))
    kept = _judged_by(given, judged_guesses, judged_guesses.c.settlement_id == settlements.c.id)
    if is_present:  # a result may be void before that is settled
        present, kept = (one.where(matches.c.result_state != ResultState.VOID) for one in (present, kept))
    found = union_all(present, kept).subquery("found")
    return select(found.c.member_id, func.count().label("number")).group_by(found.c.member_id)


def _judged_by(given: frozenset[str], given_guesses: "Table", is_judged: "ColumnElement[bool]") -> "Select[Any]":
    """Who guessed what was settled, once for each match, by one of the two tables of guesses."""
    asked = (
        func.unnest(bindparam("tournament_ids", type_=ARRAY(Uuid)), bindparam("versions", type_=ARRAY(BigInteger)))
        .table_valued(column("tournament_id", Uuid), column("version", BigInteger))
        .render_derived("asked")
    )
    statement = (
        select(given_guesses.c.member_id)
        .select_from(
            given_guesses.join(settlements, is_judged)
            .join(asked, asked.c.tournament_id == settlements.c.tournament_id)
            .join(matches, matches.c.id == settlements.c.match_id)
        )
        .where(
            any_of(given_guesses.c.member_id, "member_ids"),
            any_of(settlements.c.tournament_id, "tournament_ids"),
            settlements.c.guesses > 0,  # a void result pays none of them
            is_active(asked.c.version),
        )
    )
    if "round_id" in given:
        statement = statement.where(matches.c.round_id == bindparam("round_id"))
    if "by_regulation" in given:
        lacks = and_(any_of(settlements.c.tournament_id, "by_regulation"), lacks_regulation())
        statement = statement.where(~lacks)
    return statement
