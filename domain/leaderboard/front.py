"""The first places of a tournament's board, told by whoever has projected a version together with that version.

Processes in which the board is watched then ask neither the projection nor the database: at a goal it is read once.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from domain.database import Database
from domain.ids import TournamentId
from domain.leaderboard import store
from domain.leaderboard.arrays import ID_SIZE, split_ids
from domain.leaderboard.many.held import is_current
from domain.leaderboard.model import BoardKey, BoardState
from domain.leaderboard.ports import Projection
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.readers import ProjectionReader
from domain.leaderboard.score_table import Stamp
from domain.leaderboard.sheet import COLUMNS, Top, numbers_of

FIRST = 100
"""So many places: a stream shows no more."""
_KEPT = 64
_NUMBER = np.dtype("<i8")


@dataclass(frozen=True, slots=True)
class Front:
    """All of one moment, which is that of the projection's stamp. Raises ValueError when it does not fit together."""

    state: BoardState
    stamp: Stamp
    members: bytes
    """Ids of 16 bytes."""
    names: tuple[str, ...]
    numbers: bytes
    """Of `sheet.Numbers`, row by row, 64 bits each."""

    def __post_init__(self) -> None:
        rows = len(self.names)
        if (len(self.members), len(self.numbers)) != (rows * ID_SIZE, rows * len(COLUMNS) * _NUMBER.itemsize):
            raise ValueError("Members, names and numbers are of different rows.")


async def read_front(database: Database, tournament_id: TournamentId, stamp: Stamp, ranking: Ranking) -> Front | None:
    """What is told of a board that the projection holds; None when the database has moved on, or is about to."""
    members, numbers = numbers_of(ranking, FIRST)
    state, names = await store.fetch_named_state(database, BoardKey(tournament_id=tournament_id), members)
    if state is None or state.is_changing or not is_current(stamp, state.epoch, state.parts[0]):
        return None
    if len(names) < len(members):
        return None
    return Front(state, stamp, b"".join(members), tuple(names[member] for member in members), numbers.tobytes())


class FrontReader(ProjectionReader):
    """Reads the first places from what was told, and others from the projection."""

    def __init__(self, projection: Projection, tournament_id: TournamentId, front: Front) -> None:
        super().__init__(projection, tournament_id, front.stamp)
        self.members = split_ids(front.members)
        self._numbers = np.frombuffer(front.numbers, dtype=_NUMBER).reshape(-1, len(COLUMNS))

    async def numbers(self, count: int) -> Top:
        return self.members[:count], self._numbers[:count].copy()


class Fronts:
    """The newest one of each board that has moved of late; one a process."""

    def __init__(self) -> None:
        self._told: OrderedDict[TournamentId, tuple[int, Callable[[], Front | None]]] = OrderedDict()

    def hear(self, tournament_id: TournamentId, version: int, read: Callable[[], Front | None]) -> None:
        """A board was told to be at a version. `read` is called when somebody wants to see it."""
        self._told[tournament_id] = version, read
        self._told.move_to_end(tournament_id)
        while len(self._told) > _KEPT:
            self._told.popitem(last=False)

    def find(self, tournament_id: TournamentId, epoch: str, at_least: int) -> Front | None:
        """That of a board at a version, or a later one of the epoch."""
        version, read = self._told.get(tournament_id, (-1, None))
        if read is None or version < at_least:
            return None
        front = read()
        self._told[tournament_id] = version, lambda: front  # each window asks for it
        if front is None or front.state.epoch != epoch or front.state.version < at_least:
            return None
        return front
