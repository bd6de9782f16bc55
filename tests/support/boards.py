"""Boards ranked a second way, by SQL window functions, and a projection that holds what the database does."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import text

from domain.clock import utc_now
from domain.ids import LeagueId, MemberId, TournamentId
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import RankedRow
from domain.leaderboard.projector import project
from domain.leaderboard.rules import pack_row
from domain.leaderboard.service import Boards
from integrations.valkey.projection import ValkeyProjection

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.database import Database

RANK = """
SELECT member_id,
    row_number() OVER (ORDER BY points DESC, exact DESC, goal_difference DESC, outcome DESC, member_id) AS position,
    rank() OVER (ORDER BY points DESC, exact DESC, goal_difference DESC, outcome DESC) AS rank,
    dense_rank() OVER (ORDER BY points DESC, exact DESC, goal_difference DESC, outcome DESC) AS dense_rank,
    count(*) OVER (PARTITION BY points, exact, goal_difference, outcome) AS tied,
    points, exact, goal_difference, outcome
FROM ({facts}) AS facts ORDER BY position
"""
OF_TOURNAMENT = """
SELECT s.member_id, s.exact, s.goal_difference, s.outcome,
    s.outcome * r.outcome + s.goal_difference * r.goal_difference + s.home_goals * r.home_goals
    + s.away_goals * r.away_goals + s.exact * r.exact AS points
FROM member_scores s JOIN tournaments t ON t.id = s.tournament_id JOIN rulesets r ON r.id = t.ruleset_id
WHERE s.tournament_id = :tournament_id AND s.basis = 'AFTER_EXTRA_TIME'
"""
OF_LEAGUE = """
SELECT m.member_id, coalesce(sum(s.exact), 0) AS exact, coalesce(sum(s.goal_difference), 0) AS goal_difference,
    coalesce(sum(s.outcome), 0) AS outcome,
    coalesce(sum(s.outcome * r.outcome + s.goal_difference * r.goal_difference + s.home_goals * r.home_goals
    + s.away_goals * r.away_goals + s.exact * r.exact), 0) AS points
FROM league_members m
LEFT JOIN league_tournaments l ON l.league_id = m.league_id AND l.removed_at IS NULL AND l.status <> 'UPCOMING'
LEFT JOIN rulesets r ON r.id = l.ruleset_id
LEFT JOIN member_scores s ON s.tournament_id = l.tournament_id AND s.member_id = m.member_id
    AND s.basis = 'AFTER_EXTRA_TIME'
WHERE m.league_id = :league_id AND m.left_at IS NULL AND m.role <> 'VIEWER'
GROUP BY m.member_id
"""
# From guesses and results alone: neither scorelines nor sums nor superseded versions are looked at.
OF_VERSION = """
WITH result AS (
    SELECT DISTINCT ON (s.match_id) s.match_id, r.kind,
        coalesce(r.home_extra_time, r.home_regulation) AS home, coalesce(r.away_extra_time, r.away_regulation) AS away
    FROM settlements s JOIN match_results r ON r.match_id = s.match_id AND r.revision = s.revision
    JOIN matches m ON m.id = s.match_id
    WHERE s.tournament_id = :tournament_id AND s.version <= :version
        AND (CAST(:round_id AS uuid) IS NULL OR m.round_id = :round_id)
    ORDER BY s.match_id, s.version DESC
), ranked AS (
    SELECT member_id FROM tournament_members
    WHERE CAST(:league_id AS uuid) IS NULL AND tournament_id = :tournament_id AND joined_at <= :at
    UNION
    SELECT member_id FROM league_members
    WHERE league_id = :league_id AND NOT watched @> CAST(:at AS timestamptz) AND left_cause IS DISTINCT FROM 'ERASED'
        AND joined_at <= :at AND (left_at IS NULL OR left_at > :at)
), guess AS (
    SELECT g.member_id, sign(g.home - g.away) = sign(r.home - r.away) AS outcome, g.home = r.home AS home_goals,
        g.away = r.away AS away_goals, g.home = r.home AND g.away = r.away AS exact,
        g.home - g.away = r.home - r.away AND (r.home <> r.away OR g.home = r.home) AS goal_difference
    FROM guesses g JOIN result r ON r.match_id = g.match_id AND r.kind <> 'VOID'
    WHERE g.tournament_id = :tournament_id
), total AS (
    SELECT member_id, {sums} FROM ranked LEFT JOIN guess USING (member_id) GROUP BY member_id
)
SELECT member_id, total.exact, total.goal_difference, total.outcome, {points} AS points FROM total, (
    SELECT w.* FROM rulesets w WHERE w.id = coalesce(
        (SELECT ruleset_id FROM league_tournaments WHERE league_id = :league_id AND tournament_id = :tournament_id),
        (SELECT ruleset_id FROM tournaments WHERE id = :tournament_id))
) AS weight
"""
FACTS = ("outcome", "goal_difference", "home_goals", "away_goals", "exact")
Places = list[tuple[Any, ...]]


async def ranked_by_sql(
    database: "Database", *, tournament_id: TournamentId | None = None, league_id: LeagueId | None = None
) -> Places:
    """(member, position, rank, dense rank, tied, points, exact, differences, outcomes) of every row."""
    facts = OF_TOURNAMENT if league_id is None else OF_LEAGUE
    values = {"tournament_id": tournament_id} if league_id is None else {"league_id": league_id}
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(RANK.format(facts=facts)), values)]


async def ranked_at_version(
    database: "Database", tournament_id: TournamentId, version: int, at: datetime, **names: UUID | None
) -> Places:
    """The same of an earlier version of a tournament, or of a league or round in it, with the members of `at`."""
    facts = OF_VERSION.format(
        sums=", ".join(f"count(*) FILTER (WHERE {fact}) AS {fact}" for fact in FACTS),
        points=" + ".join(f"total.{fact} * weight.{fact}" for fact in FACTS),
    )
    values = {"tournament_id": tournament_id, "version": version, "at": at, "league_id": None, "round_id": None}
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(RANK.format(facts=facts)), values | names)]


def places(rows: "list[RankedRow] | tuple[RankedRow, ...]") -> Places:
    return [
        (
            row.member_id,
            row.position,
            row.rank,
            row.dense_rank,
            row.tied,
            row.points,
            row.exact_scores,
            row.goal_differences,
            row.outcomes,
        )
        for row in rows
    ]


async def walk(board: OpenBoard, size: int) -> list[RankedRow]:
    """All rows, page by page."""
    rows: list[RankedRow] = []
    page = await board.page(first=size)
    while True:
        rows += page.rows
        if not page.has_next:
            return rows
        last = page.rows[-1]
        page = await board.page(first=size, after=(board.mark, pack_row(last), last.member_id))
        assert page.has_previous
        assert not page.board_moved


async def walk_back(board: OpenBoard, size: int) -> list[RankedRow]:
    """All rows, page by page from the end."""
    rows: list[RankedRow] = []
    page = await board.page(last=size)
    while True:
        rows = [*page.rows, *rows]
        if not page.has_previous:
            return rows
        first = page.rows[0]
        page = await board.page(last=size, before=(board.mark, pack_row(first), first.member_id))
        assert page.has_next
        assert not page.board_moved


async def projected(database: "Database", valkey: "Redis", *tournament_ids: TournamentId) -> Boards:
    """Boards whose projection holds these tournaments as they are now."""
    projection = ValkeyProjection(valkey)
    for tournament_id in tournament_ids:
        assert await project(database, projection, tournament_id) is not None
    return Boards(database, projection, utc_now)


def ids_of(rows: "list[RankedRow] | tuple[RankedRow, ...]") -> list[MemberId]:
    return [row.member_id for row in rows]
