"""Scores and weights at their bounds: settled, corrected, ranked and projected as any others; beyond them refused."""

import pytest
from redis.asyncio import Redis
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from domain.leaderboard.model import BoardKey, BoardSource
from domain.match.model import Goals
from domain.scoring import service as scoring
from domain.scoring.model import GuessFact, NewRuleset, ScoreBasis
from domain.tournament.tables import tournaments
from runtime.database import PostgresDatabase
from tests.support.boards import places, projected, ranked_by_sql
from tests.support.corrections import assert_proven
from tests.support.football import make_members, make_tournament, pass_lock, put_guesses
from tests.support.settlement import accept, expected_facts, play, settled_facts

MOST_GOALS, MOST_POINTS = 99, 100
CORNERS = [(99, 99), (99, 0), (0, 99), (0, 0), (98, 98), (99, 98)]


async def test_the_highest_scores_under_the_highest_weights(database: PostgresDatabase, valkey: Redis) -> None:
    made = await make_tournament(database, matches=2)
    points = tuple((fact, MOST_POINTS) for fact in GuessFact)
    new = NewRuleset("all", "All that there is", ScoreBasis.AFTER_EXTRA_TIME, points)
    ruleset = await scoring.create(database, new, actor_id=None, reason="To see the bounds.", request_id="test")
    async with database.begin() as connection:
        chosen = update(tournaments).where(tournaments.c.id == made.id).values(ruleset_id=ruleset.id)
        await connection.execute(chosen)
    members = await make_members(database, len(CORNERS), joins=[made])
    given = [
        (match_id, member_id, *goals)
        for match_id in made.matches
        for member_id, goals in zip(members, CORNERS, strict=True)
    ]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches)

    await play(database, made.matches[0], 99, 99)
    for corrected in CORNERS:
        await play(database, made.matches[1], *corrected)
        results = {made.matches[0]: Goals(99, 99), made.matches[1]: Goals(*corrected)}
        assert await settled_facts(database, made.id) == await expected_facts(database, results, members)
        await assert_proven(database, made.id)
        board = await (await projected(database, valkey, made.id)).open(BoardKey(tournament_id=made.id))
        assert board is not None
        assert board.head.source is BoardSource.PROJECTION
        rows = (await board.page(first=10)).rows
        assert places(rows) == await ranked_by_sql(database, tournament_id=made.id)
        assert rows[0].points == max(row.points for row in rows) >= 5 * MOST_POINTS


@pytest.mark.parametrize(("home", "away"), [(MOST_GOALS + 1, 0), (0, MOST_GOALS + 1), (-1, 0), (0, -1)])
async def test_the_database_takes_no_result_out_of_bounds(database: PostgresDatabase, home: int, away: int) -> None:
    made = await make_tournament(database, matches=1)

    with pytest.raises(DBAPIError, match="ck_match_results_regulation"):
        await accept(database, made.matches[0], home, away)

    assert await accept(database, made.matches[0], abs(home) % 100, abs(away) % 100) == 1
