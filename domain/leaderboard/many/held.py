"""What the projection holds of tournaments, and waiting for it: it is written a moment behind the database."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from math import inf
from time import monotonic

from domain.ids import TournamentId
from domain.leaderboard.leagues import LeagueBoards
from domain.leaderboard.model import BoardState, Part
from domain.leaderboard.ports import Projection, ProjectionUnavailable
from domain.leaderboard.ranking import ScoreTable, Stamp
from domain.leaderboard.readers import Moved

_LOOK = 0.03
"""Seconds between two looks at whether it has caught up."""


class Held:
    """One a process."""

    def __init__(self, projection: Projection, leagues: LeagueBoards, patience: float) -> None:
        """`patience`: how many seconds the projection may be behind before it is not waited for."""
        self._projection = projection
        self._leagues = leagues
        self._patience = patience
        self._behind: dict[TournamentId, tuple[float, int]] = {}
        """Since when, and the version that it has not got."""
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
                self._behind.pop(tournament_id, None)
            elif stamp is None or stamp.epoch != epoch:
                self._behind[tournament_id] = -inf, 0  # nothing to wait for: it may be long in coming
            else:
                since, _ = self._behind.get(tournament_id, (monotonic(), 0))
                self._behind[tournament_id] = since, part.board_version
        return found

    def is_awaited(self, tournament_id: TournamentId) -> bool:
        """Whether what it lacks is worth waiting for."""
        since, _ = self._behind.get(tournament_id, (monotonic(), 0))
        return monotonic() - since < self._patience

    async def changed(self) -> None:
        """Wait until it holds something that it lacked, or something has been waited for long enough."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        try:
            wanted = self._awaited()
            while wanted.keys() <= self._awaited().keys():
                await asyncio.sleep(_LOOK)
                stamps = await self._stamps(wanted)
                if any(one not in stamps or stamps[one].board_version >= wanted[one] for one in wanted):
                    return
        finally:
            self._looking = None

    def _awaited(self) -> dict[TournamentId, int]:
        return {one: version for one, (_, version) in self._behind.items() if self.is_awaited(one)}

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
