"""Boards in memory: members' facts as arrays, and a ranking of them.

Only this module, `sheet.py`, `past/timeline.py`, `provisional/overlay.py` and `many/rosters.py` use numpy in the
domain. A board of a million members is ranked in a tenth of a second that way, against seconds for lists of Python
objects; nothing here knows where the arrays come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from domain.ids import MemberId
from domain.leaderboard.model import RankedRow
from domain.leaderboard.rules import (
    DIFFERENCE_SHIFT,
    EXACT_SHIFT,
    MAX_COUNTER,
    MAX_POINTS,
    POINTS_SHIFT,
    PageOfBoard,
    Score,
    rows_of,
)
from domain.scoring.model import Facts, ScoreBasis, Weights

Ids: TypeAlias = NDArray[np.bytes_]
"""Member ids of 16 bytes. numpy takes bytes of zero at the end for padding, so `id_bytes` puts them back."""
Integers: TypeAlias = NDArray[np.int64]

OUTCOME, GOAL_DIFFERENCE, EXACT = (Facts._fields.index(name) for name in ("outcome", "goal_difference", "exact"))
_KEY_BITS = 64
_MANY = 1_000
# Of each score column: the largest value, and what one of it is in a packed score.
_MOST = np.array([MAX_POINTS, MAX_COUNTER, MAX_COUNTER, MAX_COUNTER])
_PARTS = np.array([1 << POINTS_SHIFT, 1 << EXACT_SHIFT, 1 << DIFFERENCE_SHIFT, 1])


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which state of a tournament's scores something shows. `epoch` names the installation."""

    epoch: str
    settled_version: int
    board_version: int
    computed_at: datetime
    members: int
    live: int = 0
    """Matches whose provisional points are there beside the settled ones."""
    digest: str = field(default="", compare=False)
    """Of the settled part, when it was read from the projection: equal for parts that are the same."""

    def is_same_state(self, other: "Stamp") -> bool:
        """Whether both name one state of the database, whenever they were made."""
        states = [(stamp.epoch, stamp.settled_version, stamp.board_version) for stamp in (self, other)]
        return states[0] == states[1]


@dataclass(frozen=True, slots=True)
class Joined:
    """Who is in a table and was not in an earlier one that had nobody else."""

    before: Ids
    """Of the earlier table."""
    at: NDArray[np.intp]
    """Of each who has joined, how many of those are below; ascending."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where some members are in a table."""

    at: NDArray[np.intp]
    absent: NDArray[np.bool_] | None
    """Which of them have not joined, whatever their places say; None when all have."""

    def beside(self, joined: Joined) -> "Places | None":
        """Where they are once others have joined; None when one of them may have."""
        if self.absent is not None:
            return None
        return Places(self.at + np.searchsorted(joined.at, self.at, side="right"), None)


@dataclass(frozen=True)
class ScoreTable:
    """Facts of all members of a tournament, for each basis that is stored; members by id, ascending."""

    stamp: Stamp
    ids: Ids
    facts: Mapping[ScoreBasis, Integers | NDArray[np.uint16]]
    """Settled ones, of shape (members, 5), columns in the order of `GuessFact`."""
    live: Mapping[ScoreBasis, Integers | NDArray[np.uint16]] | None = None
    """The same with provisional ones; None when there are none."""
    joined: Joined | None = None
    """Who has joined since an earlier table, where that is known."""

    def __len__(self) -> int:
        return len(self.ids)

    def with_ids_of(self, earlier: "ScoreTable") -> "ScoreTable":
        """The table with the very ids of an earlier one if they are equal, else with who has joined since.

        What was found in the earlier one still holds then, or has to take a step. When somebody left, neither.
        """
        if same_ids(self.ids, earlier.ids):
            return replace(self, ids=earlier.ids)
        return replace(self, joined=_joined(earlier.ids, self.ids))

    def pick(self, basis: ScoreBasis, places: Places, *, live: bool = False) -> Integers | NDArray[np.uint16]:
        """Facts of the members at some places; zeros for those who have not joined. `live`: with provisional ones."""
        facts = self.live if live and self.live is not None else self.facts
        if not len(self.ids):
            return np.zeros((len(places.at), len(Facts._fields)), dtype=np.int64)
        found = facts[basis].take(places.at, axis=0)
        if places.absent is not None:
            found[places.absent] = 0
        return found

    def find(self, members: Ids) -> Places:
        """Where members are. By half an id first, for numbers compare faster than bytes."""
        last = len(self.ids) - 1
        if last < 0:
            return Places(np.zeros(len(members), dtype=np.intp), np.ones(len(members), dtype=np.bool_))
        places = np.minimum(np.searchsorted(self._heads, _heads(members)), last)
        joined = (_numbers(self.ids)[places] == _numbers(members)).all(axis=1)
        if not joined.all():  # several share the half, or they have not joined
            rest = ~joined
            places[rest] = np.minimum(np.searchsorted(self.ids, members[rest]), last)
            joined[rest] = self.ids[places[rest]] == members[rest]
        return Places(places, None if joined.all() else ~joined)

    @cached_property
    def _heads(self) -> "NDArray[np.uint64]":
        return _heads(self.ids)


def _heads(ids: Ids) -> "NDArray[np.uint64]":
    """The first eight bytes of ids as numbers, in the same order."""
    return _halves(ids)[::2].astype(np.uint64)


def _numbers(ids: Ids) -> "NDArray[Any]":
    """Ids as pairs of numbers that are good for comparing whether they are equal, and nothing else."""
    return np.ascontiguousarray(ids).view(np.uint64).reshape(-1, 2)


def same_ids(some: Ids, others: Ids) -> bool:
    """Whether both hold the same, compared as numbers: as bytes it takes twenty times as long."""
    return np.array_equal(_numbers(some), _numbers(others))


def _joined(before: Ids, after: Ids) -> Joined | None:
    """None when somebody has left, or who has joined shares half an id with somebody else."""
    old, new = _heads(before), _heads(after)
    at = np.searchsorted(old, new)
    is_new = np.append(old, ~new[-1:])[at] != new  # what stands behind all is hardly anybody's
    if not np.array_equal(_halves(after[~is_new]), _halves(before)):
        return None
    return Joined(before, at[is_new])


def _halves(ids: Ids) -> "NDArray[Any]":
    """Both halves of each id, one behind the other."""
    return np.ascontiguousarray(ids).view(">u8")


def to_ids(members: Sequence[MemberId]) -> Ids:
    """Ids as an array, ascending."""
    return np.sort(np.array([member.bytes for member in members], dtype="S16"))


def id_bytes(value: bytes) -> bytes:
    return value.ljust(16, b"\0")


def order_of_ids(ids: Ids) -> NDArray[np.intp]:
    """The order that sorts ids: by what of their first halves fits beside a place, and the few level ones by both."""
    halves = _halves(ids).reshape(-1, 2)
    heads = halves[:, 0].astype(np.uint64)
    keys, order = _sorted(heads - heads.min()) if len(ids) else (heads, np.zeros(0, dtype=np.intp))
    is_next_equal = keys[1:] == keys[:-1]
    if is_next_equal.any():
        tied = np.append(is_next_equal, False) | np.insert(is_next_equal, 0, False)
        some = order[tied]
        order[tied] = some[np.lexsort((halves[some, 1], heads[some]))]
    return order


def best_first(packed: Integers) -> NDArray[np.intp]:
    """The order that sorts scores descending, level ones as they come."""
    if len(packed) < _MANY or _excess(int(packed.max() - packed.min()), len(packed)):
        return np.argsort(-packed, kind="stable")
    return _sorted((packed.max() - packed).astype(np.uint64))[1]


def _sorted(keys: "NDArray[np.uint64]") -> tuple["NDArray[np.uint64]", NDArray[np.intp]]:
    """Keys, ascending, and the places where they were; without their last bits when key and place exceed one number.

    Numbers are sorted several times as fast as places by them.
    """
    places, excess = len(keys).bit_length(), _excess(int(keys.max()), len(keys))
    both = keys >> np.uint64(excess) << np.uint64(places)
    both |= np.arange(len(keys), dtype=np.uint64)
    both.sort()
    order = (both & np.uint64((1 << places) - 1)).astype(np.intp)
    return both >> np.uint64(places), order


def _excess(highest: int, count: int) -> int:
    """How many bits too long a key and one of so many places are for a number."""
    return max(highest.bit_length() + count.bit_length() - _KEY_BITS, 0)


def read_copy(data: bytes, columns: int = len(Facts._fields)) -> tuple[Ids, Integers]:
    """Members, ascending, with their facts, from PostgreSQL's binary COPY of rows (uuid, `columns` integers)."""
    rows = _rows(data, [("values", [("size", ">i4"), ("value", ">i4")], (columns,))])
    ids = np.ascontiguousarray(rows["id"])
    order = order_of_ids(ids)
    # Whole rows of plain numbers are moved several times as fast as those of a record.
    values = rows["values"]["value"].astype(np.int32)
    return ids[order], values.take(order, axis=0).astype(np.int64)


def read_packed(data: bytes) -> tuple[Ids, "NDArray[np.uint16]"]:
    """The same of all facts in two 64-bit numbers, 16 bits each (`fold.store.packed_facts`)."""
    number = [("size", ">i4"), ("value", "V8")]
    rows = _rows(data, [("first", number), ("second", number)])
    ids = np.ascontiguousarray(rows["id"])
    order = order_of_ids(ids)
    numbers = (np.ascontiguousarray(rows[name]["value"]).take(order) for name in ("first", "second"))
    first, second = (each.view(">u2").reshape(-1, 4) for each in numbers)
    return ids[order], np.concatenate((first[:, 1:], second[:, 2:]), axis=1, dtype=np.uint16)


def _rows(data: bytes, values: list[Any]) -> "NDArray[Any]":
    """Rows of a uuid and `values` in PostgreSQL's binary COPY format."""
    row = np.dtype([("columns", ">i2"), ("id_size", ">i4"), ("id", "S16"), *values])
    head, tail = 19, 2
    return np.frombuffer(data, dtype=row, offset=head, count=(len(data) - head - tail) // row.itemsize)


def weigh(facts: Integers | NDArray[np.uint16], weights: Weights) -> Integers:
    """Score columns (points, exact scores, goal differences, outcomes) of each row of facts."""
    columns = np.zeros((len(Facts._fields), len(Score._fields)), dtype=np.int64)
    columns[:, 0] = weights
    columns[(EXACT, GOAL_DIFFERENCE, OUTCOME), (1, 2, 3)] = 1
    scores: Integers = facts @ columns
    return scores


def pack_all(scores: Integers) -> Integers:
    """`rules.pack` for many: raises OverflowError when one does not fit."""
    if len(scores) and (scores.min() < 0 or (scores.max(axis=0) > _MOST).any()):
        raise OverflowError("A score of this board cannot be ranked.")
    packed: Integers = scores @ _PARTS
    return packed


def add(members: Ids, scores: Sequence[Integers]) -> Integers:
    """Score columns added up over tournaments, row by row; zeros where there are none."""
    total = np.zeros((len(members), len(Score._fields)), dtype=np.int64)
    for part in scores:
        total += part
    return total


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
