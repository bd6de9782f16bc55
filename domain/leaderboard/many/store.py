"""SQL of many leagues' boards: what they depend on, and who is ranked on them, all at one moment."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, LargeBinary, Text, bindparam, column, func, literal, null, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by

from domain.ids import LeagueId, TournamentId
from domain.leaderboard.model import BoardKey, BoardState, Part
from domain.leaderboard.store import COUNTED, OF_TOURNAMENT, match_counts, times_played, to_part, to_spans, to_weights
from domain.league.model import LeagueRole
from domain.league.tables import league_members, league_tournaments, leagues
from domain.member.tables import installation, members
from domain.scoring.tables import FACTS, rulesets
from domain.tables import Uuid, any_of
from domain.tournament.tables import tournaments

if TYPE_CHECKING:
    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

Pair = tuple[TournamentId, str]
"""A tournament, and the basis that a ruleset counts it by."""


async def read_states(connection: "AsyncConnection", keys: Collection[BoardKey]) -> dict[BoardKey, BoardState]:
    """States of boards of leagues without a round, by two statements; boards that do not exist are left out.

    The connection reads one moment. What a tournament counts is read once for all its leagues.
    """
    asked = {"league_ids": list({key.league_id for key in keys})}
    links = (await connection.execute(_league_links(), asked)).all()
    played = await _read_played(connection, {(link.id, link.basis) for link in links if link.id is not None})
    of_leagues = {league_id: list(found) for league_id, found in groupby(links, lambda link: link.league_id)}
    states = {}
    for key in keys:
        found = [link for link in of_leagues.get(key.league_id, ()) if _is_on(link, key)]
        if found:
            states[key] = _league_state_of(key, found, played)
    return states


async def read_members(
    connection: "AsyncConnection", league_ids: Collection[LeagueId]
) -> dict[LeagueId, tuple[bytes, list[str]]]:
    """Who is ranked in leagues (not VIEWERs): ids of 16 bytes, ascending, and names. Empty leagues are left out."""
    found = await connection.execute(_members(), {"league_ids": list(league_ids)})
    return {LeagueId(row.league_id): (row.ids, row.names) for row in found}


@cache
def _members() -> "Select[Any]":
    ranked, nothing = league_members, literal(b"")
    ids = func.string_agg(func.uuid_send(members.c.id), aggregate_order_by(nothing, members.c.id), type_=LargeBinary)
    names = func.array_agg(aggregate_order_by(members.c.nick_name, members.c.id), type_=ARRAY(Text))
    return (
        select(ranked.c.league_id, ids.label("ids"), names.label("names"))
        .select_from(ranked.join(members, members.c.id == ranked.c.member_id))
        .where(any_of(ranked.c.league_id, "league_ids"), ranked.c.left_at.is_(None))
        .where(ranked.c.role != LeagueRole.VIEWER)
        .group_by(ranked.c.league_id)
    )


@cache
def _league_links() -> "Select[Any]":
    """All that leagues play or have played, each league's together; one that plays nothing has one row."""
    link = league_tournaments
    return (
        select(
            leagues.c.id.label("league_id"),
            leagues.c.board_version.label("league_version"),
            link.c.tournament_id.label("id"),
            rulesets.c.basis,
            *(rulesets.c[fact] for fact in FACTS),
            link.c.status.in_(COUNTED).label("counts_in_total"),
            times_played().label("played"),
            link.c.removed_at,
            installation.c.epoch,
            func.clock_timestamp().label("read_at"),
        )
        .select_from(leagues.outerjoin(link, link.c.league_id == leagues.c.id))
        .outerjoin(rulesets, rulesets.c.id == link.c.ruleset_id)
        .join(installation, true())
        .where(any_of(leagues.c.id, "league_ids"), leagues.c.deleted_at.is_(None))
        .order_by(leagues.c.id, link.c.tournament_id)
    )


async def _read_played(connection: "AsyncConnection", asked: Iterable[Pair]) -> Mapping[Pair, Part]:
    """What boards show of tournaments under the bases of their rulesets, whatever else the rulesets say."""
    pairs = list(asked)
    if not pairs:
        return {}
    given = {"tournament_ids": [pair[0] for pair in pairs], "bases": [pair[1] for pair in pairs]}
    found = await connection.execute(_played(), given)
    return {(row.id, row.basis): to_part(row) for row in found}


@cache
def _played() -> "Select[Any]":
    asked = (
        func.unnest(bindparam("tournament_ids", type_=ARRAY(Uuid)), bindparam("bases", type_=ARRAY(Text)))
        .table_valued(column("tournament_id", Uuid), column("basis", Text))
        .render_derived("asked")
    )
    counts = match_counts(frozenset(), asked.c.basis)
    return (
        select(
            *OF_TOURNAMENT,
            asked.c.basis,
            *(literal(0).label(fact) for fact in FACTS),
            true().label("counts_in_total"),
            null().label("played"),
            *counts.c,
        )
        .select_from(asked.join(tournaments, tournaments.c.id == asked.c.tournament_id))
        .join(counts, true())
    )


def _is_on(link: "Row[Any]", key: BoardKey) -> bool:
    """Whether a tournament is on a board; of a total all that ever were, for their counters."""
    return key.tournament_id is None or (link.id == key.tournament_id and link.removed_at is None)


def _league_state_of(key: BoardKey, links: "Sequence[Row[Any]]", played: Mapping[Pair, Part]) -> BoardState:
    parts = [
        replace(
            played[link.id, link.basis],
            weights=to_weights(link),
            counts_in_total=link.counts_in_total,
            played=to_spans(link.played),
        )
        for link in links
        if link.id is not None
    ]
    (head, *_) = links
    return BoardState(key, str(head.epoch), head.league_version, head.read_at, tuple(parts))
