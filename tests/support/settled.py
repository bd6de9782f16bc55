"""Settled tournaments, and what must hold of one when all of its matches are settled, whatever happened."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import text

from domain.clock import utc_now
from domain.ids import MatchId, MemberId, TournamentId
from domain.leaderboard.model import BoardKey, BoardSource
from domain.leaderboard.service import Boards
from domain.match.model import Goals
from integrations.valkey.projection import ValkeyProjection
from tests.support.boards import places, ranked_by_sql, walk
from tests.support.corrections import assert_proven
from tests.support.executions import until
from tests.support.football import make_members, make_tournament, pass_lock, put_guess
from tests.support.settlement import expected_facts, play, settled_facts

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase

_GUESSES = text("""
WITH given AS (
    INSERT INTO guesses (tournament_id, match_id, member_id, home, away, revision, saved_at)
    SELECT match.tournament_id, match.id, member.member_id, abs(hashtext(match.id || ':' || member.member_id)) % 4,
        abs(hashtext(member.member_id || ':' || match.id)) % 4, 1,
        least(match.lock_at, clock_timestamp()) - interval '1 day'
    FROM matches AS match JOIN tournament_members AS member USING (tournament_id)
    WHERE match.tournament_id = :tournament_id
    RETURNING *
)
INSERT INTO guess_revisions (tournament_id, match_id, member_id, revision, home, away, saved_at, request_id)
SELECT tournament_id, match_id, member_id, revision, home, away, saved_at, 'test' FROM given
""")


async def settle_one(database: "PostgresDatabase", label: str) -> tuple[TournamentId, MemberId]:
    """A tournament with one settled match, and a member who guessed it right."""
    made = await make_tournament(database, matches=1, label=label)
    (member_id,) = await make_members(database, 1, joins=[made])
    await put_guess(database, made, made.matches[0], member_id, 2, 1)
    await pass_lock(database, *made.matches)
    await play(database, made.matches[0], 2, 1)
    return made.id, member_id


async def guess_everything(database: "PostgresDatabase", tournament_id: TournamentId) -> None:
    """Everyone has guessed every match, 0 to 3 goals a side, a day before its lock or before now."""
    async with database.begin() as connection:
        await connection.execute(_GUESSES, {"tournament_id": tournament_id})


async def assert_settled(
    database: "PostgresDatabase",
    valkey: "Redis",
    tournament_id: TournamentId,
    results: Mapping[MatchId, Goals],
    members: Sequence[MemberId],
) -> None:
    """Scorelines = member scores = board, as plain Python counts them, and equal digests (O2, O3, O5)."""
    assert await settled_facts(database, tournament_id) == await expected_facts(database, dict(results), members)
    await assert_proven(database, tournament_id)
    boards = Boards(database, ValkeyProjection(valkey), utc_now)

    async def is_projected() -> bool:
        board = await boards.open(BoardKey(tournament_id=tournament_id))
        return board is not None and board.head.source is BoardSource.PROJECTION

    await until(is_projected, within=30)
    board = await boards.open(BoardKey(tournament_id=tournament_id))
    assert board is not None
    assert places(await walk(board, 100)) == await ranked_by_sql(database, tournament_id=tournament_id)
