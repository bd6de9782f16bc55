"""Who is in leagues, and what they are called: kept until a league changes, of which a new nick name is a case."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from domain.ids import LeagueId, TournamentId
from domain.leaderboard.arrays import id_bytes
from domain.leaderboard.leagues import RankedMembers
from domain.leaderboard.many import store
from domain.leaderboard.model import BoardKey, BoardState

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class Roster(RankedMembers):
    """The members of a league's boards with their nick names."""

    def __init__(self, ids: bytes, names: Collection[str], state: BoardState) -> None:
        """`ids`: 16 bytes each, ascending; `state`: of a board of theirs."""
        super().__init__(np.frombuffer(ids, dtype="S16"), state.league_version)
        self.names = dict(zip(map(id_bytes, self.ids.tolist()), names, strict=True))
        self.counted: dict[TournamentId | None, Sequence[TournamentId]] = {}
        """What its boards counted when they were read last, by their own tournaments; None stands for the total."""
        self._epoch = state.epoch

    def is_of(self, state: BoardState) -> bool:
        """Whether the league is at that state as it was when they were read."""
        return (self._epoch, self.version) == (state.epoch, state.league_version)


class Rosters:
    """One a process; those used least recently make room."""

    def __init__(self, kept_members: int) -> None:
        """`kept_members`: over all leagues."""
        self._kept_members = kept_members
        self._kept: OrderedDict[LeagueId, Roster] = OrderedDict()
        self._size = 0

    def counted(self, key: BoardKey) -> Sequence[TournamentId]:
        """What a board counted when it was read last; nothing when that is not known."""
        roster = None if key.league_id is None else self._kept.get(key.league_id)
        return () if roster is None else roster.counted.get(key.tournament_id, ())

    async def of(self, connection: "AsyncConnection", states: Iterable[BoardState]) -> Mapping[LeagueId, Roster]:
        """Of the leagues of boards at states that the connection's snapshot has; only what changed is read."""
        wanted = {state.key.league_id: state for state in states if state.key.league_id is not None}
        found = {league_id: self._kept[league_id] for league_id in wanted if league_id in self._kept}
        changed = [
            league_id
            for league_id, state in wanted.items()
            if league_id not in found or not found[league_id].is_of(state)
        ]
        if changed:
            nobody = dict.fromkeys(changed, (b"", list[str]()))
            for league_id, (ids, names) in (nobody | await store.read_members(connection, changed)).items():
                found[league_id] = Roster(ids, names, wanted[league_id])
        for league_id, roster in found.items():
            self._keep(league_id, roster)
        return found

    def _keep(self, league_id: LeagueId, roster: Roster) -> None:
        before = self._kept.pop(league_id, None)
        self._size += len(roster.ids) - (0 if before is None else len(before.ids))
        self._kept[league_id] = roster
        while self._size > self._kept_members and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest.ids)
