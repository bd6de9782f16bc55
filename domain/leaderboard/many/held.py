"""What the projection holds of tournaments, and waiting for it: it is written a moment behind the database."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from time import monotonic

from domain.ids import TournamentId
from domain.leaderboard.leagues import LeagueBoards
from domain.leaderboard.model import BoardState, Part
from domain.leaderboard.ports import Projection, ProjectionUnavailable
from domain.leaderboard.readers import Moved
from domain.leaderboard.score_table import ScoreTable, Stamp

_LOOK = 0.03
"""Seconds between two looks at whether it has caught up."""
_TURN = 25
"""So many of those who wait are woken in one turn of the event loop."""
_ALTOGETHER = 3
"""So many times as long as it may stand still it may be behind: versions may come faster than it is written."""


@dataclass(frozen=True, slots=True)
class _Behind:
    """A tournament whose database is ahead of the projection."""

    wanted: int
    """The version that the projection has not got,"""
    held: int
    """the one that it had when it was looked at last,"""
    moved_at: float
    """since when it has had that one as far as is known,"""
    since: float
    """and since when it has been behind."""


class Held:
    """One a process."""

    def __init__(self, projection: Projection, leagues: LeagueBoards, patience: float) -> None:
        """`patience`: how many seconds the projection may be behind and stand still before it is not waited for."""
        self._projection = projection
        self._leagues = leagues
        self._patience = patience
        self._behind: dict[TournamentId, _Behind] = {}
        self._waiting: dict[asyncio.Future[None], Collection[TournamentId]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def tables(self, states: Iterable[BoardState]) -> Mapping[TournamentId, ScoreTable]:
        """Facts of the tournaments that count on boards, of those that the projection holds at just these states."""
        parts = {part.tournament_id: (part, state.epoch) for state in states for part in state.counted}
        stamps = await self._stamps(parts)
        found = {}
        for tournament_id, (part, epoch) in parts.items():
            stamp = stamps.get(tournament_id)
            table = None if stamp is None or not is_current(stamp, epoch, part) else await self._table(part, stamp)
            if table is not None:
                found[tournament_id] = table
                self.has_come(tournament_id)
            elif stamp is None or stamp.epoch != epoch:
                self._behind[tournament_id] = _Behind(0, 0, -inf, -inf)  # nothing to wait for: it may be long in coming
            else:
                self._note(tournament_id, part.board_version, stamp)
        return found

    async def comes(self, epoch: str, part: Part) -> bool:
        """Wait while the projection is behind a part's state and worth waiting for; whether it holds that then."""
        one = part.tournament_id
        while (stamp := (await self._stamps([one])).get(one)) is not None and stamp.epoch == epoch:
            if stamp.board_version >= part.board_version:
                self.has_come(one)
                return is_current(stamp, epoch, part)
            self._note(one, part.board_version, stamp)
            if not self.is_awaited(one):
                return False
            await self.changed([one])
        return False

    def has_come(self, tournament_id: TournamentId) -> None:
        """The projection was seen to hold the present state: when it is behind again, it is waited for anew."""
        self._behind.pop(tournament_id, None)

    def is_awaited(self, tournament_id: TournamentId) -> bool:
        """Whether what it lacks is worth waiting for."""
        behind, now = self._behind.get(tournament_id), monotonic()
        if behind is None:
            return True
        return now - behind.moved_at < self._patience and now - behind.since < _ALTOGETHER * self._patience

    def _note(self, tournament_id: TournamentId, wanted: int, stamp: Stamp) -> None:
        behind, now = self._behind.get(tournament_id), monotonic()
        if behind is None:
            behind = _Behind(wanted, stamp.board_version, now, now)
        elif behind.held != stamp.board_version:
            behind = replace(behind, held=stamp.board_version, moved_at=now)
        self._behind[tournament_id] = replace(behind, wanted=wanted)

    async def changed(self, tournament_ids: Collection[TournamentId]) -> None:
        """Wait until it holds what one of these lacked, or that has been waited for long enough."""
        change = asyncio.get_running_loop().create_future()
        self._waiting[change] = tournament_ids
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        await change

    async def _look(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_LOOK)
                wanted = set(chain.from_iterable(self._waiting.values()))
                stamps = await self._stamps(wanted)
                for one in stamps.keys() & self._behind.keys():
                    self._note(one, self._behind[one].wanted, stamps[one])
                await self._wake({one for one in wanted if one not in stamps or not self.is_to_come(one)})
        finally:
            self._looking = None
            for change in self._waiting:  # only when looking failed: whoever waits finds out why by reading
                if not change.done():
                    change.set_result(None)
            self._waiting.clear()

    async def _wake(self, changed: Collection[TournamentId]) -> None:
        """Who waits for these: a thousand boards may, and are not all woken in one turn of the event loop."""
        found = [change for change, ids in self._waiting.items() if any(one in changed for one in ids)]
        for number, change in enumerate(found, 1):
            del self._waiting[change]
            if not change.done():
                change.set_result(None)
            if number % _TURN == 0:
                await asyncio.sleep(0)

    def is_to_come(self, tournament_id: TournamentId) -> bool:
        """Whether it is known that the projection lacks a version, and will soon have it."""
        behind = self._behind.get(tournament_id)
        return behind is not None and behind.held < behind.wanted and self.is_awaited(tournament_id)

    async def _table(self, part: Part, stamp: Stamp) -> ScoreTable | None:
        try:
            return await self._leagues.table(part.tournament_id, stamp)
        except (Moved, ProjectionUnavailable):
            return None

    async def _stamps(self, tournament_ids: Collection[TournamentId]) -> Mapping[TournamentId, Stamp]:
        try:
            return await self._projection.stamps(list(tournament_ids))
        except ProjectionUnavailable:
            return {}


def is_current(stamp: Stamp | None, epoch: str, part: Part) -> bool:
    """Whether a stamp names the state that a part of a board is of."""
    return stamp is not None and (stamp.epoch, stamp.settled_version, stamp.board_version) == (
        epoch,
        part.settled_version,
        part.board_version,
    )
