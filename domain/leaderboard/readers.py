"""Reads places of one state of a board: from a ranking in memory, or from the projection."""

from typing import Protocol, TypeVar

from domain.ids import MemberId, TournamentId
from domain.leaderboard.model import RankedRow
from domain.leaderboard.ports import Projection
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.rules import pack_row
from domain.leaderboard.score_table import Stamp
from domain.leaderboard.sheet import Top, numbers_of

T = TypeVar("T")


class Moved(Exception):
    """The projection holds another state by now."""


class Reader(Protocol):
    """Places count from 0. Raises Moved when the state can no longer be read."""

    async def rows(self, start: int, count: int) -> list[RankedRow]: ...

    async def rows_after(self, packed: int, member_id: MemberId, count: int) -> list[RankedRow]: ...

    async def rows_before(self, packed: int, member_id: MemberId, count: int) -> list[RankedRow]: ...

    async def rows_around(self, member_id: MemberId, radius: int) -> list[RankedRow]: ...

    async def numbers(self, count: int) -> Top:
        """Of the first places."""
        ...

    @property
    def settled(self) -> "Reader":
        """Reads the same board by settled points and counters alone."""
        ...


class RankingReader:
    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking

    @property
    def settled(self) -> "RankingReader":
        return RankingReader(self.ranking.settled)

    async def rows(self, start: int, count: int) -> list[RankedRow]:
        return self.ranking.rows(start, start + count)

    async def rows_after(self, packed: int, member_id: MemberId, count: int) -> list[RankedRow]:
        start = self.ranking.after(packed, member_id)
        return self.ranking.rows(start, start + count)

    async def rows_before(self, packed: int, member_id: MemberId, count: int) -> list[RankedRow]:
        stop = self.ranking.before(packed, member_id)
        return self.ranking.rows(stop - count, stop)

    async def rows_around(self, member_id: MemberId, radius: int) -> list[RankedRow]:
        place = self.ranking.find(member_id)
        return [] if place is None else self.ranking.rows(place - radius, place + radius + 1)

    async def numbers(self, count: int) -> Top:
        return numbers_of(self.ranking, count)


class ProjectionReader:
    def __init__(
        self, projection: Projection, tournament_id: TournamentId, stamp: Stamp, *, settled_only: bool = False
    ) -> None:
        self._projection = projection
        self._tournament_id = tournament_id
        self._stamp = stamp
        self._settled_only = settled_only

    @property
    def settled(self) -> "ProjectionReader":
        return ProjectionReader(self._projection, self._tournament_id, self._stamp, settled_only=True)

    async def rows(self, start: int, count: int) -> list[RankedRow]:
        board = (self._tournament_id, self._stamp)
        return _found(await self._projection.rows(*board, start, count, settled_only=self._settled_only))

    async def rows_after(self, packed: int, member_id: MemberId, count: int) -> list[RankedRow]:
        place = (self._tournament_id, self._stamp, packed, member_id)
        return _found(await self._projection.rows_after(*place, count, settled_only=self._settled_only))

    async def rows_before(self, packed: int, member_id: MemberId, count: int) -> list[RankedRow]:
        """The row behind tells where the place is; one row more, whether the member still stands there."""
        behind = await self.rows_after(packed, member_id, 1)
        stop = behind[0].position - 1 if behind else self._stamp.members
        start = max(stop - count - 1, 0)
        rows = await self.rows(start, stop - start) if stop else []
        if rows and (pack_row(rows[-1]), rows[-1].member_id) == (packed, member_id):
            rows = rows[:-1]
        return rows[-count:]

    async def rows_around(self, member_id: MemberId, radius: int) -> list[RankedRow]:
        place = (self._tournament_id, self._stamp, member_id)
        return _found(await self._projection.rows_around(*place, radius, settled_only=self._settled_only))

    async def numbers(self, count: int) -> Top:
        board = (self._tournament_id, self._stamp)
        return _found(await self._projection.numbers(*board, count, settled_only=self._settled_only))


def _found(found: T | None) -> T:
    if found is None:
        raise Moved
    return found
