"""Members in their total order, and the places that they take in it; nothing here knows where the arrays come from."""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from domain.ids import MemberId
from domain.leaderboard.arrays import Ids, Integers, best_first, id_bytes, to_ids
from domain.leaderboard.facts import pack_all
from domain.leaderboard.model import RankedRow
from domain.leaderboard.rules import PageOfBoard, rows_of


class Ranking:
    """Members in their total order: packed score descending, then id ascending."""

    def __init__(self, ids: Ids, packed: Integers) -> None:
        """`ids` ascending; `packed` in the same order."""
        order = best_first(packed)
        self.ids: Ids = ids[order]
        self.packed: Integers = packed[order]
        self._by_id = ids
        self._order = order

    @classmethod
    def of(cls, ids: Ids, scores: Integers) -> "Ranking":
        """A ranking of score columns as `weigh` makes them, possibly added up over tournaments."""
        return cls(ids, pack_all(scores))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, start: int, stop: int) -> list[RankedRow]:
        """Rows of the places `start` (from 0) up to `stop`, which may lie beyond the end."""
        start, stop = max(start, 0), min(stop, len(self))
        if start >= stop:
            return []
        first, last = np.searchsorted(self._starts, (start, stop - 1), side="right") - 1
        packed = self.packed[start:stop].tolist()
        members = [id_bytes(member) for member in self.ids[start:stop].tolist()]
        page = PageOfBoard(
            start=start,
            entries=list(zip(packed, members, strict=True)),
            above=int(self.packed[start - 1]) if start else None,
            better=int(self._starts[first]),
            better_scores=int(first),
            tied_last=int(self._starts[last + 1] - self._starts[last]),
            settled=self._settled_places(members),
        )
        return rows_of(page)

    def find(self, member_id: MemberId) -> int | None:
        """The place of a member, from 0; None when not ranked."""
        place = int(np.searchsorted(self._by_id, np.bytes_(member_id.bytes)))
        if place == len(self) or id_bytes(self._by_id[place]) != member_id.bytes:
            return None
        return int(self.places_by_id[place])

    def find_all(self, member_ids: Sequence[MemberId]) -> list[int]:
        """The places of members, from 0, ascending; who is not ranked is left out."""
        if not len(self):
            return []
        asked = to_ids(member_ids)
        found = np.minimum(np.searchsorted(self._by_id, asked), len(self) - 1)
        places: list[int] = np.sort(self.places_by_id[found[self._by_id[found] == asked]]).tolist()
        return places

    def after(self, packed: int, member_id: MemberId) -> int:
        """The first place behind a score and id, whether or not that member is still there."""
        return self._beside(packed, member_id, "right")

    def before(self, packed: int, member_id: MemberId) -> int:
        """How many places are above a score and id, whether or not that member is still there."""
        return self._beside(packed, member_id, "left")

    def _beside(self, packed: int, member_id: MemberId, side: Literal["left", "right"]) -> int:
        ascending = self.packed[::-1]
        low = len(self) - int(np.searchsorted(ascending, packed, side="right"))
        high = len(self) - int(np.searchsorted(ascending, packed, side="left"))
        return low + int(np.searchsorted(self.ids[low:high], np.bytes_(member_id.bytes), side=side))

    @property
    def settled(self) -> "Ranking":
        """The same members by settled points and counters alone."""
        return self

    @property
    def order(self) -> NDArray[np.intp]:
        """Of each place, the number of its member by id, ascending."""
        return self._order

    def rank(self, place: int) -> int:
        """The shared rank of a place."""
        return int(self._starts[np.searchsorted(self._starts, place, side="right") - 1]) + 1

    def ranks(self) -> Integers:
        """The shared rank of every member, members by id ascending."""
        of_places: Integers = np.repeat(self._starts[:-1] + 1, np.diff(self._starts))
        return of_places[self.places_by_id]

    @cached_property
    def by_id(self) -> tuple[Integers, Integers]:
        """Shared rank and packed score of every member, members by id ascending."""
        return self.ranks(), self.packed[self.places_by_id]

    def _settled_places(self, members: Sequence[bytes]) -> list[tuple[int, int]] | None:  # noqa: ARG002
        """Rank and packed score of members by settled results alone; None when that is what this ranks by."""
        return None

    def settled_of(self, stop: int) -> tuple[Integers, Integers] | None:  # noqa: ARG002
        """The same of the members at the places up to `stop`, as arrays."""
        return None

    def groups(self, places: NDArray[np.intp]) -> tuple[Integers, Integers, Integers]:
        """Of each place, how many are better, how many groups of level members are, and how many are level with it."""
        starts = self._starts
        group = np.searchsorted(starts, places, side="right") - 1
        first = starts[group]
        return first, group, starts[group + 1] - first

    def places_of(self, members: Ids) -> NDArray[np.intp]:
        """The place of each of some members, from 0; -1 for who is not ranked."""
        if not len(self):
            return np.full(len(members), -1, dtype=np.intp)
        at = np.minimum(np.searchsorted(self._by_id, members), len(self) - 1)
        places: NDArray[np.intp] = np.where(self._by_id[at] == members, self.places_by_id[at], -1)
        return places

    @cached_property
    def digest(self) -> int:
        """A checksum of who stands where with which score: equal for boards that did not move."""
        return crc32(self.packed.tobytes(), crc32(self.ids.tobytes()))

    @cached_property
    def distinct(self) -> Integers:
        """Distinct packed scores, best first."""
        return self.packed[self._starts[:-1]]

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        """Where each group of level members begins, and the end."""
        if not len(self):
            return np.zeros(1, dtype=np.intp)
        return np.concatenate(([0], np.flatnonzero(np.diff(self.packed)) + 1, [len(self)]))

    @cached_property
    def places_by_id(self) -> NDArray[np.intp]:
        """The place of every member, members by id ascending."""
        places = np.empty(len(self), dtype=np.intp)
        places[self._order] = np.arange(len(self))
        return places
