"""Reads places of one state of a board: from a ranking in memory, or from the projection."""

from typing import Protocol

from domain.ids import MemberId, TournamentId
from domain.leaderboard.model import RankedRow
from domain.leaderboard.ports import Projection
from domain.leaderboard.ranking import Ranking, Stamp


class Moved(Exception):
    """The projection holds another state by now."""


class Reader(Protocol):
    """Places count from 0. Raises Moved when the state can no longer be read."""

    async def rows(self, start: int, count: int) -> list[RankedRow]: ...

    async def rows_after(self, packed: int, member_id: MemberId, count: int) -> list[RankedRow]: ...

    async def rows_around(self, member_id: MemberId, radius: int) -> list[RankedRow]: ...


class RankingReader:
    def __init__(self, ranking: Ranking) -> None:
        self._ranking = ranking

    async def rows(self, start: int, count: int) -> list[RankedRow]:
        return self._ranking.rows(start, start + count)

    async def rows_after(self, packed: int, member_id: MemberId, count: int) -> list[RankedRow]:
        start = self._ranking.after(packed, member_id)
        return self._ranking.rows(start, start + count)

    async def rows_around(self, member_id: MemberId, radius: int) -> list[RankedRow]:
        place = self._ranking.find(member_id)
        return [] if place is None else self._ranking.rows(place - radius, place + radius + 1)


class ProjectionReader:
    def __init__(self, projection: Projection, tournament_id: TournamentId, stamp: Stamp) -> None:
        self._projection = projection
        self._tournament_id = tournament_id
        self._stamp = stamp

    async def rows(self, start: int, count: int) -> list[RankedRow]:
        return _found(await self._projection.rows(self._tournament_id, self._stamp, start, count))

    async def rows_after(self, packed: int, member_id: MemberId, count: int) -> list[RankedRow]:
        found = await self._projection.rows_after(self._tournament_id, self._stamp, packed, member_id, count)
        return _found(found)

    async def rows_around(self, member_id: MemberId, radius: int) -> list[RankedRow]:
        return _found(await self._projection.rows_around(self._tournament_id, self._stamp, member_id, radius))


def _found(rows: list[RankedRow] | None) -> list[RankedRow]:
    if rows is None:
        raise Moved
    return rows
