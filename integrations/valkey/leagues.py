"""Boards of leagues in Valkey: put there by whoever had to fetch facts for one, gone after a while.

    league:{id}:members        set: member ids (16 bytes) of who is ranked
    league:{id}:leaderboard    sorted set: member id, minus the packed score; of its total
    league:{id}:stamp          string: epoch and version of that board, its size, and when it was computed
    league:{id}:members_stamp  string: epoch and league version of the members, and how many they are

The board of a league in one tournament has that tournament's id behind `leaderboard` and `stamp`.
"""

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from domain.ids import LeagueId
from domain.leaderboard.arrays import ID_SIZE, Ids, split_ids
from domain.leaderboard.model import BoardKey, BoardState
from domain.leaderboard.ports import LeagueBoard
from domain.leaderboard.ranking import Ranking
from integrations.valkey import scripts
from integrations.valkey.patience import Patience, raise_unless_refused
from integrations.valkey.strings import read_strings

if TYPE_CHECKING:
    from redis.asyncio import Redis

KEPT_SECONDS = 900


def league_key(league_id: LeagueId, *names: object) -> str:
    return ":".join((f"league:{{{league_id}}}", *map(str, names)))


class LeagueKeys:
    """Reads and writes them."""

    def __init__(self, client: "Redis", patience: Patience) -> None:
        self._client = client
        self._patience = patience
        self._keep = client.register_script(scripts.KEEP_LEAGUE)

    async def board(self, key: BoardKey, epoch: str, version: int) -> LeagueBoard | None:
        stamp, scores = _keys_of(key)
        stamped, found = await self._both(stamp, "ZRANGE", scores, 0, -1, "WITHSCORES")
        words = _words(stamped)
        if not isinstance(found, list) or words[:3] != [epoch, str(version), str(len(_pairs(found)))]:
            return None
        try:
            computed_at = datetime.fromisoformat(words[3])
            pairs = [(member, -int(float(score))) for member, score in _pairs(found)]
        except (IndexError, ValueError, OverflowError):  # cut, or no board's score
            return None
        ids = np.array([member for member, _ in pairs], dtype=f"S{ID_SIZE}")
        packed = np.array([packed for _, packed in pairs], dtype=np.int64)
        by_id = np.argsort(ids)
        return LeagueBoard(Ranking(ids[by_id], packed[by_id]), computed_at)

    async def members(self, league_id: LeagueId, epoch: str, version: int) -> Ids | None:
        stamp, name = league_key(league_id, "members_stamp"), league_key(league_id, "members")
        stamped, found = await self._both(stamp, "SMEMBERS", name)
        if not isinstance(found, list | set) or _words(stamped) != [epoch, str(version), str(len(found))]:
            return None
        return np.sort(np.array(list(found), dtype=f"S{ID_SIZE}"))

    async def kept(self, keys: Sequence[BoardKey]) -> list[BoardKey]:
        names = {_keys_of(key)[0]: key for key in keys}
        found = await read_strings(self._client, self._patience, list(names))
        return [names[name] for name, stamped in found.items() if stamped is not None]

    async def keep(self, state: BoardState, board: LeagueBoard) -> None:
        league_id = state.key.league_id
        assert league_id is not None
        members = (league_key(league_id, "members_stamp"), league_key(league_id, "members"))
        entries = split_ids(board.ranking.ids.tobytes())
        scores = [member for pair in zip((-board.ranking.packed).tolist(), entries, strict=True) for member in pair]
        stamps = (
            f"{state.epoch} {state.version} {len(entries)} {board.computed_at.isoformat()}",
            f"{state.epoch} {state.league_version} {len(entries)}",
        )
        async with self._patience.exchange(members[0]):
            for keys, stamp, values in zip((_keys_of(state.key), members), stamps, (scores, entries), strict=True):
                kept = self._keep(keys=list(keys), args=[stamp, KEPT_SECONDS, *values])
                await cast("Awaitable[Any]", kept)

    async def _both(self, stamp: str, *command: str | int) -> tuple[Any, Any]:
        """A stamp, and what it stands for, in one step: unlike that of a tournament it may come again."""
        async with self._patience.exchange(stamp):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.get(stamp)
            pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=False)
            raise_unless_refused(*answers)
        return answers[0], answers[1]


def _keys_of(key: BoardKey) -> tuple[str, str]:
    assert key.league_id is not None
    names = () if key.tournament_id is None else (key.tournament_id,)
    return league_key(key.league_id, "stamp", *names), league_key(key.league_id, "leaderboard", *names)


def _words(stamped: Any) -> list[str]:
    return stamped.decode(errors="replace").split(" ") if isinstance(stamped, bytes) else []


def _pairs(found: list[Any]) -> list[tuple[bytes, Any]]:
    """Members with scores, in the answer's forms of both protocol versions."""
    if found and not isinstance(found[0], list | tuple):
        return list(zip(found[::2], found[1::2], strict=True))
    return [(member, score) for member, score in found]
