"""Compares a history with what the plain rules make of it: guesses, sums, proofs, and every board."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import text

from domain.clock import utc_now
from domain.guess import service as guesses
from domain.ids import MemberId
from domain.leaderboard.model import BoardKey, BoardSource
from domain.leaderboard.projector import project
from domain.leaderboard.service import Boards
from domain.scoring.model import ScoreBasis
from tests.support.boards import places, walk
from tests.support.corrections import assert_proven
from tests.support.game_model import NO_FACTS, Game
from tests.support.history import WEIGHTS, History
from tests.support.ingester import round_of
from tests.support.settlement import settled_facts

Sums = dict[MemberId, tuple[int, ...]]


def added(history: History, games: Iterable[Game], *, is_regulation: bool = False) -> Sums:
    """Facts of all members over these games."""
    games = list(games)
    return {
        member: tuple(
            sum(column)
            for column in zip(
                NO_FACTS, *(game.facts(member, is_regulation=is_regulation) for game in games), strict=True
            )
        )
        for member in history.members
    }


def ranked(sums: Sums) -> list[tuple[Any, ...]]:
    """Rows of a board: points, then exact scores, differences, outcomes; equal ones share a rank."""
    scores = {
        member: (sum(map(int.__mul__, WEIGHTS, facts)), facts[4], facts[1], facts[0]) for member, facts in sums.items()
    }
    order = sorted(scores, key=lambda member: ([-part for part in scores[member]], member.bytes))
    return [
        (
            member,
            position,
            1 + sum(score > scores[member] for score in scores.values()),
            1 + len({score for score in scores.values() if score > scores[member]}),
            list(scores.values()).count(scores[member]),
            *scores[member],
        )
        for position, member in enumerate(order, start=1)
    ]


async def assert_right(history: History) -> None:
    """Once everything is settled: scorelines = member scores = boards = the plain rules, and equal digests."""
    games = [*history.games, *history.past]
    await _assert_guesses(history, games)
    await assert_proven(history.database, history.tournament_id)
    for basis in ScoreBasis:
        wanted = added(history, games, is_regulation=basis is ScoreBasis.REGULATION)
        assert await settled_facts(history.database, history.tournament_id, basis) == wanted
    assert await project(history.database, history.projection, history.tournament_id) is not None
    await _assert_boards(history, games)
    await _assert_settled_once(history)


async def _assert_guesses(history: History, games: list[Game]) -> None:
    """What counts, and what was saved too late for an earlier kick-off."""
    ids = {game.id: game for game in games if game.id is not None}
    for member in history.members:
        for match_id, guess in (await guesses.read_own(history.database, member, ids)).items():
            game = ids[match_id]
            counting, saves = game.counting(member), [goals for by, _, goals in game.saves if by == member]
            assert guess.goals == (counting and game.by_side(counting))
            is_late = bool(saves) and game.lock is not None and _last(game, member) >= game.lock
            assert guess.late_goals == (game.by_side(saves[-1]) if is_late else None)


def _last(game: Game, member: MemberId) -> Any:
    return [at for by, at, _ in game.saves if by == member][-1]


async def _assert_boards(history: History, games: list[Game]) -> None:
    """From Valkey and from the database: the tournament's, and those of its rounds by the fold."""
    boards = [Boards(history.database, projection, utc_now) for projection in (history.projection, None)]
    keys = {BoardKey(tournament_id=history.tournament_id): games}
    for slug in "12":
        key = BoardKey(round_id=await round_of(history.database, history.tournament_id, slug))
        keys[key] = [game for game in games if game.round_slug == slug]
    for key, counted in keys.items():
        wanted = ranked(added(history, counted))
        for place, source in enumerate(boards):
            board = await source.open(key, settled_only=True)
            assert board is not None
            if key.tournament_id is not None:
                assert board.head.source is (BoardSource.PROJECTION, BoardSource.DATABASE)[place]
            assert places(await walk(board, 2)) == wanted


async def _assert_settled_once(history: History) -> None:
    """One settlement of a revision, one key of each, and one active settlement of each match that has a result (O1)."""
    statement = text(
        "SELECT count(*) = count(DISTINCT (s.match_id, s.revision)) AND count(*) = count(k.key)"
        " AND count(*) FILTER (WHERE s.superseded_version IS NULL) = count(DISTINCT s.match_id)"
        " FROM settlements s LEFT JOIN idempotency_keys k ON k.effect_digest = s.effect_digest AND k.status = 'APPLIED'"
        " WHERE s.tournament_id = :id"
    )
    async with history.database.read() as connection:
        assert (await connection.execute(statement, {"id": history.tournament_id})).scalar_one()
