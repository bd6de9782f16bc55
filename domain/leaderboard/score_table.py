"""The facts of a tournament's members at one state of the database, and finding members among them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from domain.leaderboard.arrays import Ids, Integers, halves, heads, pairs, same_ids
from domain.scoring.model import Facts, ScoreBasis


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
    places: NDArray[np.intp] | None = None
    """Of each member, the place on the projection's settled board, for a table that was read from there."""

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
        places = np.minimum(np.searchsorted(self._heads, heads(members)), last)
        joined = (pairs(self.ids)[places] == pairs(members)).all(axis=1)
        if not joined.all():  # several share the half, or they have not joined
            rest = ~joined
            places[rest] = np.minimum(np.searchsorted(self.ids, members[rest]), last)
            joined[rest] = self.ids[places[rest]] == members[rest]
        return Places(places, None if joined.all() else ~joined)

    @cached_property
    def _heads(self) -> "NDArray[np.uint64]":
        return heads(self.ids)


def _joined(before: Ids, after: Ids) -> Joined | None:
    """None when somebody has left, or who has joined shares half an id with somebody else."""
    old, new = heads(before), heads(after)
    at = np.searchsorted(old, new)
    is_new = np.append(old, ~new[-1:])[at] != new  # what stands behind all is hardly anybody's
    if not np.array_equal(halves(after[~is_new]), halves(before)):
        return None
    return Joined(before, at[is_new])
