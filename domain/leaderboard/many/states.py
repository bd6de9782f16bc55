"""States of boards. Of leagues that are asked for at the same time, as a list of them does, all are read together."""

from collections.abc import Mapping, Sequence

from domain.database import Database
from domain.gathered import Gathered
from domain.leaderboard.many.store import read_states
from domain.leaderboard.model import BoardKey, BoardState
from domain.leaderboard.store import fetch_state


class States:
    """One a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._of_leagues: Gathered[BoardKey, BoardState] = Gathered(self._read)

    async def read(self, key: BoardKey) -> BoardState | None:
        """None when there is no such board."""
        if key.league_id is None or key.round_id is not None:
            return await fetch_state(self._database, key)
        return (await self._of_leagues.read([key])).get(key)

    async def _read(self, keys: Sequence[BoardKey]) -> Mapping[BoardKey, BoardState]:
        if len(keys) > 1:
            async with self._database.snapshot() as connection:
                return await read_states(connection, keys)
        state = await fetch_state(self._database, keys[0])
        return {} if state is None else {keys[0]: state}
