"""Boards as the projection is to hold them, each read at one moment of the database.

At a goal only provisional points move: whoever loads a board again and again keeps the rest.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from domain.database import Database
from domain.ids import TournamentId
from domain.leaderboard import store
from domain.leaderboard.facts import pack_facts, read_packed
from domain.leaderboard.model import BoardKey, BoardState, Part
from domain.leaderboard.packed.store import packed_facts
from domain.leaderboard.provisional.overlay import Judged, LiveRanking, add_live
from domain.leaderboard.provisional.service import LockedGuesses
from domain.leaderboard.ranked.store import count_joined
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.scoring.model import ScoreBasis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.leaderboard.arrays import Ids, Integers

    Facts = Mapping[ScoreBasis, Integers | NDArray[np.uint16]]

_BUNCH_SECONDS = 0.25
"""So long goals that come while a board is read have it read anew; a lone goal waits for nothing."""


class Loaded(NamedTuple):
    """A tournament's board, and what of the tournament it was made from."""

    part: Part
    table: ScoreTable
    ranking: Ranking


@dataclass(frozen=True, slots=True)
class _Read:
    """A board at one moment."""

    state: BoardState
    settled: Loaded | Mapping[ScoreBasis, bytes]
    """The settled part as it was loaded before, or settled facts as `packed.store.packed_facts` gives them."""
    judged: Mapping[ScoreBasis, Sequence[Judged]]


async def load(database: Database, tournament_id: TournamentId) -> Loaded | None:
    """A board for who loads it once; see `BoardLoader.load`."""
    return await BoardLoader(database).load(tournament_id)


class BoardLoader:
    """Keeps guesses that have locked, and settled parts of boards as long as a match of theirs is live."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guesses = LockedGuesses(database)
        self._kept: dict[TournamentId, Loaded] = {}

    async def load(
        self, tournament_id: TournamentId, held: Stamp | None = None, has_moved: Callable[[], bool] = lambda: False
    ) -> Loaded | None:
        """A tournament's board as it is now; None when there is no such tournament.

        Args:
            tournament_id: whose.
            held: what the projection holds of it. When that has the settled part which was loaded before, and nothing
                was settled and nobody has joined since, it is not read again.
            has_moved: whether the board has since this was asked last. Then it is read anew before it is ranked and
                written, for goals come in bunches, but not for longer than `_BUNCH_SECONDS`.
        """
        until = monotonic() + _BUNCH_SECONDS
        read = await self._read(tournament_id, held)
        while read is not None and monotonic() < until and has_moved():
            read = await self._read(tournament_id, held)
        self._kept.pop(tournament_id, None)
        if read is None:
            return None
        loaded = await asyncio.to_thread(_rank, read)
        if loaded.part.live:
            table = replace(loaded.table, live=None)
            self._kept[tournament_id] = Loaded(loaded.part, table, loaded.ranking.settled)
        return loaded

    def note(self, tournament_id: TournamentId, held: Stamp | None) -> None:
        """Know what the projection calls the settled part that was written to it, whoever writes the next goal."""
        kept = self._kept.get(tournament_id)
        if kept is not None and held is not None and _is_settled_part(kept, held):
            self._kept[tournament_id] = kept._replace(table=replace(kept.table, stamp=held))

    async def _read(self, tournament_id: TournamentId, held: Stamp | None) -> _Read | None:
        async with self._database.snapshot() as connection:
            state = await store.read_state(connection, BoardKey(tournament_id=tournament_id))
            if state is None:
                return None
            (part,) = state.parts
            settled: Loaded | Mapping[ScoreBasis, bytes] | None = await self._standing(connection, state, held)
            if settled is None:
                settled = {
                    basis: await packed_facts(self._database, connection, tournament_id, basis) for basis in part.bases
                }
        judged = {
            basis: await self._guesses.judged(tournament_id, part.live, basis, state.read_at) for basis in part.bases
        }
        return _Read(state, settled, judged)

    async def _standing(self, connection: "AsyncConnection", state: BoardState, held: Stamp | None) -> Loaded | None:
        """The kept settled part, if it is that of the projection and of the present."""
        (part,) = state.parts
        kept = self._kept.get(part.tournament_id)
        if kept is None or held is None or not _is_settled_part(kept, held):
            return None
        versions = (held.epoch, held.settled_version, kept.part.basis, kept.part.bases, kept.part.weights)
        if versions != (state.epoch, part.settled_version, part.basis, part.bases, part.weights):
            return None
        if await count_joined(connection, part.tournament_id) != len(kept.table):
            return None
        return kept._replace(table=replace(kept.table, stamp=held))


def _is_settled_part(kept: Loaded, held: Stamp) -> bool:
    """Whether the projection has the settled part of a board: it was written with it, or has its digest."""
    return held == kept.table.stamp or (held.digest != "" and held.digest == kept.table.stamp.digest)


def _rank(read: _Read) -> Loaded:
    """All bases are stored for the leagues' sake; the tournament's own board is ranked."""
    state, (part,) = read.state, read.state.parts
    ids, facts, ranking, digest = _settled_part(read, part)
    live = {basis: add_live(ids, facts[basis], read.judged[basis]) for basis in facts} if part.live else None
    if live is not None:
        ranking = LiveRanking(ids, pack_facts(len(ids), [(live[part.basis], part.weights)]), ranking)
    versions = (part.settled_version, part.board_version)
    stamp = Stamp(state.epoch, *versions, state.read_at, len(ids), live=len(part.live), digest=digest)
    return Loaded(part, ScoreTable(stamp, ids, facts, live), ranking)


def _settled_part(read: _Read, part: Part) -> "tuple[Ids, Facts, Ranking, str]":
    """Members, their facts, how they are ranked by them, and the digest in the projection where that is known."""
    if isinstance(read.settled, Loaded):
        _, table, ranking = read.settled
        return table.ids, table.facts, ranking, table.stamp.digest
    found = {basis: read_packed(data) for basis, data in read.settled.items()}
    ids, facts = found[part.basis]
    ranking = Ranking(ids, pack_facts(len(ids), [(facts, part.weights)]))
    return ids, {basis: facts for basis, (_, facts) in found.items()}, ranking, ""
