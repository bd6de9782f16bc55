"""Boards of leagues that count the same, ranked at once: for one alone numpy takes longer to begin than to compute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from domain.ids import TournamentId
from domain.leaderboard.arrays import Ids, Integers, order_of_ids
from domain.leaderboard.facts import pack_facts
from domain.leaderboard.leagues import RankedMembers, rank_settled
from domain.leaderboard.model import BoardState, Part
from domain.leaderboard.provisional.overlay import LiveRanking
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.readers import RankingReader
from domain.leaderboard.score_table import Places, ScoreTable
from domain.leaderboard.sheet import COLUMN, Top, numbers_of_top

if TYPE_CHECKING:
    from numpy.typing import NDArray

Tables = Mapping[TournamentId, ScoreTable]
_SIZE = 16
"""Bytes of an id."""


class TopReader(RankingReader):
    """Of a board that was ranked with others: its rows are numbers, and a ranking is made for who asks for one."""

    def __init__(self, ids: bytes, numbers: Integers, settled: Ranking | None) -> None:
        """`ids`, `numbers`: of all members, in their order. `settled`: None when nothing is provisional."""
        self._ids = ids
        self._numbers = numbers
        self._settled = settled

    @cached_property
    def ranking(self) -> Ranking:  # type: ignore[override]  # it is an attribute of the other
        ids = np.frombuffer(self._ids, dtype=f"S{_SIZE}")
        by_id = order_of_ids(ids)
        scores = self._numbers[by_id, COLUMN["points"] : COLUMN["settled_rank"]]
        if self._settled is None:
            return Ranking.of(ids[by_id], scores)
        return LiveRanking.beside(self._settled, ids[by_id], scores)

    async def numbers(self, count: int) -> Top:
        numbers = self._numbers[:count].copy()  # who asks completes them
        return [self._ids[at : at + _SIZE] for at in range(0, _SIZE * len(numbers), _SIZE)], numbers


def read_together(
    states: Sequence[BoardState], rosters: Sequence[RankedMembers], tables: Tables
) -> list[TopReader | None]:
    """Readers of boards, of each its members; None of a board that has a score which cannot be ranked.

    `tables` are of all the tournaments that they count.
    """
    readers = dict[int, TopReader | None]()
    alike: dict[object, list[int]] = {}
    for number, state in enumerate(states):
        counted = tuple((part.tournament_id, part.basis, part.weights) for part in state.counted)
        alike.setdefault((state.epoch, counted), []).append(number)
    for numbers in alike.values():
        state = states[numbers[0]]
        together = _Together(state.epoch, state.counted, tables, [rosters[number] for number in numbers])
        readers.update(zip(numbers, _readers(together), strict=True))
    return [readers[number] for number in range(len(states))]


def _readers(together: "_Together") -> "Sequence[TopReader | None]":
    """One by one where one of them cannot be ranked."""
    leagues = together.leagues
    try:
        return together.readers()
    except OverflowError:
        return [None] if len(leagues) == 1 else [_readers(replace(together, leagues=[one]))[0] for one in leagues]


@dataclass(frozen=True)
class _Together:
    """Leagues that count the same parts; all their members are in one array, league behind league."""

    epoch: str
    counted: Sequence[Part]
    tables: Tables
    leagues: Sequence[RankedMembers]

    def readers(self) -> list[TopReader]:
        """Of each league."""
        ids, numbers = self._ranked()
        settled: Sequence[Ranking | None] = self._settled or [None] * len(self.leagues)
        return [
            TopReader(ids[_SIZE * begin : _SIZE * end], numbers[begin:end], ranking)
            for begin, end, ranking in zip(self._begins.tolist(), self._ends.tolist(), settled, strict=True)
        ]

    def _ranked(self) -> tuple[bytes, Integers]:
        league = np.repeat(np.arange(len(self.leagues)), self._sizes)
        packed = self._packed()
        order = np.lexsort((-packed, league))  # members of a league are by id
        packed, begins = packed[order], self._begins[league]
        is_first = np.ones(len(packed), dtype=np.bool_)  # of the level ones of its league
        is_first[1:] = (packed[1:] != packed[:-1]) | (league[1:] != league[:-1])
        starts, group = np.flatnonzero(is_first), np.cumsum(is_first) - 1
        level = np.diff(np.append(starts, len(packed)))
        groups = starts[group] - begins, group - group[begins], level[group]
        numbers = numbers_of_top(packed, groups, self._settled_of(order))
        numbers[:, COLUMN["position"]] -= begins
        numbers[begins, COLUMN["separated_by"]] = 0
        return self._ids[order].tobytes(), numbers

    def _packed(self) -> Integers:
        parts = [
            (table.pick(part.basis, self._places(part, table), live=True), part.weights)
            for part in self.counted
            for table in (self.tables[part.tournament_id],)
        ]
        return pack_facts(len(self._ids), parts)

    def _places(self, part: Part, table: ScoreTable) -> Places:
        found = [league.places(part.tournament_id, table) for league in self.leagues]
        at = np.concatenate([places.at for places in found])
        if all(places.absent is None for places in found):
            return Places(at, None)
        absent = [np.zeros(len(places.at), bool) if places.absent is None else places.absent for places in found]
        return Places(at, np.concatenate(absent))

    def _settled_of(self, order: "NDArray[np.intp]") -> tuple[Integers, Integers] | None:
        """Ranks and packed scores by settled points alone of members in an order."""
        if self._settled is None:
            return None
        ranks, packed = zip(*(ranking.by_id for ranking in self._settled), strict=True)
        return np.concatenate(ranks)[order], np.concatenate(packed)[order]

    @cached_property
    def _settled(self) -> list[Ranking] | None:
        """Of each league; None when nothing is provisional."""
        if not any(self.tables[part.tournament_id].live for part in self.counted):
            return None
        return [rank_settled(self.epoch, self.counted, self.tables, league) for league in self.leagues]

    @cached_property
    def _ids(self) -> Ids:
        return np.concatenate([league.ids for league in self.leagues])

    @cached_property
    def _sizes(self) -> "NDArray[np.intp]":
        return np.array([len(league.ids) for league in self.leagues], dtype=np.intp)

    @cached_property
    def _ends(self) -> "NDArray[np.intp]":
        return np.cumsum(self._sizes)

    @property
    def _begins(self) -> "NDArray[np.intp]":
        return self._ends - self._sizes
