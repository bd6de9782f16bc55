"""Compares what the projection holds of a tournament with what it should hold, part by part."""

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
from redis.exceptions import ResponseError

from domain.ids import TournamentId
from domain.leaderboard.score_table import ScoreTable
from integrations.valkey.layout import key, live_strings, settled_strings
from integrations.valkey.patience import Patience

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.leaderboard.ranking import Ranking

_ENTRIES_A_READ = 5_000


async def board_differences(
    client: "Redis", patience: Patience, tournament_id: TournamentId, table: ScoreTable, ranking: "Ranking"
) -> list[str]:
    """The parts that differ from those of a board."""
    found = []
    for strings in (settled_strings, live_strings):
        for name, value in (await asyncio.to_thread(strings, table, ranking)).items():
            if await _string_differs(client, patience, key(tournament_id, name), value):
                found.append(name)
    if await _entries_differ(client, patience, key(tournament_id, "master_scores"), ranking.settled):
        found.append("master_scores")
    return found


async def _string_differs(client: "Redis", patience: Patience, name: str, expected: bytes) -> bool:
    try:
        return bool((await patience.in_time(client.get(name)) or b"") != expected)
    except ResponseError:  # a key of another type
        return True


async def _entries_differ(client: "Redis", patience: Patience, name: str, board: "Ranking") -> bool:
    """Whether a sorted set holds anything but the members of a board with their scores, in its order."""
    try:
        if await patience.in_time(client.zcard(name)) != len(board):
            return True
        for start in range(0, len(board), _ENTRIES_A_READ):
            found = await patience.in_time(client.zrange(name, start, start + _ENTRIES_A_READ - 1, withscores=True))
            if _differ(found, board, slice(start, start + _ENTRIES_A_READ)):
                return True
    except ResponseError:  # a key of another type
        return True
    return False


def _differ(found: list[Any], board: "Ranking", part: slice) -> bool:
    if b"".join(member for member, _ in found) != board.ids[part].tobytes():
        return True
    expected: list[float] = (-board.packed[part]).astype(np.float64).tolist()
    return [float(score) for _, score in found] != expected
