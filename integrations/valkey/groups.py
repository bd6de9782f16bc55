"""The distinct scores of a board with how many members are better: all that ranks a place whose number is known.

It is a string of some hundred kilobytes for a million members. A process keeps it for the version that it reads, so
that a page is a piece of the string of member ids and nothing has to be counted for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from domain.leaderboard.arrays import Integers
from domain.leaderboard.rules import PageOfBoard

if TYPE_CHECKING:
    from domain.leaderboard.ranking import Ranking

_NUMBER = np.dtype("<i8")
SIZE = 2 * _NUMBER.itemsize
"""Bytes of a group."""
_END = -1
"""No packed score is below 0."""


@dataclass(frozen=True)
class Groups:
    """Members by score, best first."""

    packed: Integers
    starts: Integers
    """Where each group begins, and the end of the last."""

    def __len__(self) -> int:
        return len(self.packed)

    def span(self, packed: int) -> tuple[int, int]:
        """The places of the members with a score, from the first up to the one behind the last; empty for none."""
        group = int(np.searchsorted(-self.packed, -packed))
        start = int(self.starts[group])
        is_there = group < len(self) and int(self.packed[group]) == packed
        return start, int(self.starts[group + 1]) if is_there else start

    def rank(self, packed: int) -> int:
        """The shared rank of a score."""
        return self.span(packed)[0] + 1

    def ranks(self, packed: Integers) -> Integers:
        """The shared ranks of scores that there are."""
        ranks: Integers = self.starts[np.searchsorted(-self.packed, -packed)] + 1
        return ranks

    def top(self, count: int) -> tuple[Integers, tuple[Integers, Integers, Integers]]:
        """The packed scores of the first places, and their groups as `Ranking.groups` has them."""
        group = np.searchsorted(self.starts, np.arange(count), side="right") - 1
        first = self.starts[group]
        return self.packed[group], (first, group, self.starts[group + 1] - first)

    def page(self, start: int, members: Sequence[bytes], settled: Sequence[tuple[int, int]] | None) -> PageOfBoard:
        """Who stands at the places from `start` on, with what ranks them; `settled` as in `PageOfBoard`."""
        places = np.arange(start, start + len(members))
        groups = np.searchsorted(self.starts, places, side="right") - 1
        packed = self.packed[groups].tolist()
        first, last = (int(groups[0]), int(groups[-1])) if len(groups) else (0, 0)
        is_first = bool(len(groups)) and start == int(self.starts[first])
        above = None if not start or not packed else int(self.packed[first - 1 if is_first else first])
        return PageOfBoard(
            start=start,
            entries=list(zip(packed, members, strict=True)),
            above=above,
            better=int(self.starts[first]),
            better_scores=first,
            tied_last=int(self.starts[last + 1] - self.starts[last]) if packed else 0,
            settled=settled,
        )


def size_of(groups: int) -> int:
    """Bytes of so many groups, as `encode` writes them."""
    return SIZE * (groups + 1)


def encode(ranking: "Ranking") -> bytes:
    """A board's groups, each as two 64-bit numbers: the packed score, and how many members are better.

    Behind them stands an end with all members before it, so that one which was cut is known.
    """
    distinct = np.append(ranking.distinct, _END)
    starts = np.flatnonzero(np.diff(ranking.packed, prepend=-1)) if len(ranking) else np.zeros(0)
    return np.column_stack((distinct, np.append(starts, len(ranking)))).astype(_NUMBER).tobytes()


def decode(value: bytes, members: int) -> Groups | None:
    """None for what no board of so many members has."""
    if len(value) % SIZE:
        return None
    pairs = np.frombuffer(value, dtype=_NUMBER).reshape(-1, 2)
    if pairs[-1:].tolist() != [[_END, members]]:
        return None
    packed, starts = pairs[:-1, 0], pairs[:, 1]
    is_whole = starts[0] == 0 and bool((starts[1:] > starts[:-1]).all() and (packed[1:] < packed[:-1]).all())
    return Groups(packed, starts) if is_whole else None
