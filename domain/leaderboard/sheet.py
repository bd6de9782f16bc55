"""Rows of a board as one table of numbers: ranked, compared and written without an object for each row.

A thousand boards that move at once have fifty thousand rows, of which hardly one is looked at by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from operator import eq
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import numpy as np

from domain.ids import MemberId
from domain.leaderboard.arrays import Integers, id_bytes
from domain.leaderboard.model import RankCriterion, RankedRow
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.rules import DIFFERENCE_SHIFT, EXACT_SHIFT, MAX_COUNTER, POINTS_SHIFT

if TYPE_CHECKING:
    from numpy.typing import NDArray

Numbers: TypeAlias = Integers
"""Of each row, a column for each of `COLUMNS`."""
Top: TypeAlias = tuple[list[bytes], Numbers]
"""Whose rows the first ones of a board are (ids of 16 bytes), and their numbers; nobody has guessed or moved yet."""

COLUMNS = (
    *("position", "rank", "dense_rank", "tied", "separated_by", "points", "exact_scores", "goal_differences"),
    *("outcomes", "settled_rank", "settled_points", "guessed_matches", "movement"),
)
COLUMN: Mapping[str, int] = {name: number for number, name in enumerate(COLUMNS)}
_GUESSED, _MOVEMENT = COLUMN["guessed_matches"], COLUMN["movement"]

CRITERIA: tuple[RankCriterion | None, ...] = (None, *RankCriterion)
"""What `separated_by` stands for."""
UNMOVED = np.iinfo(np.int64).min
"""A movement that is None."""
_FIELDS = len(COLUMNS) - 2


class Sheet:
    """Rows with all that they show. Whoever holds one changes nothing in it."""

    __slots__ = ("__dict__", "members", "names", "numbers")

    def __init__(self, members: Sequence[bytes], names: Sequence[str], numbers: Numbers) -> None:
        """`members`: ids of 16 bytes."""
        self.members = members
        self.names = names
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.members)

    @classmethod
    def of(
        cls, members: Sequence[bytes], names: Sequence[str], numbers: Numbers, guessed: Sequence[int], moved: Integers
    ) -> "Sheet":
        """Numbers as a board gives them, and what is shown beside them."""
        numbers[:, _GUESSED] = guessed
        numbers[:, _MOVEMENT] = moved
        return cls(members, names, numbers)

    def column(self, name: str) -> list[int]:
        """The numbers of one of `COLUMNS`."""
        return self._columns[COLUMN[name]]

    @cached_property
    def _columns(self) -> list[list[int]]:
        columns: list[list[int]] = self.numbers.T.tolist()
        return columns

    def pick(self, places: Sequence[int]) -> "Sheet":
        """Some of the rows."""
        if len(places) == len(self):
            return self
        members, names = self.members, self.names
        return Sheet([members[n] for n in places], [names[n] for n in places], self.numbers[np.asarray(places, int)])

    def changed_since(self, before: "Sheet") -> list[int]:
        """Places of rows that are new or differ."""
        if self.members == before.members:
            same = (self.numbers == before.numbers).all(axis=1)
            same &= self.names == before.names or _equal(self.names, before.names)
        elif not len(before):
            return list(range(len(self)))
        else:
            known = before.place_of
            at = [known.get(member, -1) for member in self.members]
            same = (self.numbers == before.numbers[at]).all(axis=1)
            # Most rows differ already, where a board has moved: only the others are looked at more closely.
            for place in np.flatnonzero(same).tolist():
                same[place] = at[place] >= 0 and self.names[place] == before.names[at[place]]
        places: list[int] = np.flatnonzero(~same).tolist()
        return places

    def left_since(self, before: "Sheet") -> list[bytes]:
        """Members who were there and are not."""
        known = self.place_of
        return [member for member in before.members if member not in known]

    @cached_property
    def place_of(self) -> Mapping[bytes, int]:
        """Where each member is."""
        return {member: place for place, member in enumerate(self.members)}

    @cached_property
    def rows(self) -> tuple[RankedRow, ...]:
        """The rows as objects, without what is shown beside them."""
        return tuple(self._rows())

    def _rows(self) -> Iterator[RankedRow]:
        for member, numbers in zip(self.ids, self.numbers[:, :_FIELDS].tolist(), strict=True):
            position, rank, dense_rank, tied, separated_by, *scores = numbers
            yield RankedRow(member, position, rank, dense_rank, tied, CRITERIA[separated_by], *scores)

    @cached_property
    def ids(self) -> tuple[MemberId, ...]:
        """Whose rows they are."""
        return tuple(MemberId(UUID(bytes=member)) for member in self.members)

    @property
    def guessed_matches(self) -> dict[MemberId, int]:
        return dict(zip(self.ids, self.column("guessed_matches"), strict=True))

    @property
    def movement(self) -> dict[MemberId, int | None]:
        moved = (None if number == UNMOVED else number for number in self.column("movement"))
        return dict(zip(self.ids, moved, strict=True))

    @property
    def nick_names(self) -> dict[MemberId, str]:
        return dict(zip(self.ids, self.names, strict=True))


def _equal(some: Sequence[str], others: Sequence[str]) -> "NDArray[np.bool_]":
    return np.fromiter(map(eq, some, others), bool, len(some))


def numbers_of(ranking: Ranking, stop: int) -> Top:
    """Of the places from the top up to `stop`: the same numbers as of `ranking.rows`."""
    stop = min(stop, len(ranking))
    numbers = numbers_of_top(ranking.packed[:stop], ranking.groups(np.arange(stop)), ranking.settled_of(stop))
    return [id_bytes(member) for member in ranking.ids[:stop].tolist()], numbers


def numbers_of_top(
    packed: Integers, groups: tuple[Integers, Integers, Integers], settled: tuple[Integers, Integers] | None
) -> Numbers:
    """Of places from the top on; nobody has guessed or moved.

    Args:
        packed: their scores.
        groups: as `Ranking.groups`.
        settled: ranks and packed scores by settled results alone; None when nothing is provisional.
    """
    found = np.zeros((len(packed), len(COLUMNS)), dtype=np.int64)
    found[:, _MOVEMENT] = UNMOVED
    if len(packed):
        first, group, size = groups
        settled_ranks, settled_scores = settled or (first + 1, packed)
        scores = (packed >> POINTS_SHIFT, packed >> EXACT_SHIFT & MAX_COUNTER, packed >> DIFFERENCE_SHIFT & MAX_COUNTER)
        places = (np.arange(1, len(packed) + 1), first + 1, group + 1, size)
        columns = (*places, None, *scores, packed & MAX_COUNTER, settled_ranks, settled_scores >> POINTS_SHIFT)
        for number, column in enumerate(columns):
            if column is not None:
                found[:, number] = column
        found[1:, COLUMN["separated_by"]] = _separations(found[:, COLUMN["points"] : COLUMN["settled_rank"]])
    return found


def _separations(scores: Integers) -> Integers:
    """Of all rows but the first, in what the row above is better, by its number in `CRITERIA`."""
    is_better = scores[:-1] > scores[1:]
    separations: Integers = np.where(is_better.any(axis=1), is_better.argmax(axis=1) + 1, 0)
    return separations


def gained(before: Ranking | None, members: Sequence[bytes], ranks: Integers) -> Integers:
    """Ranks gained since an earlier ranking by members who have these now."""
    if before is None or not len(before) or not members:
        return np.full(len(members), UNMOVED)
    places = before.places_of(np.array(members, dtype="S16"))
    first, _, _ = before.groups(np.maximum(places, 0))
    movement: Integers = np.where(places < 0, UNMOVED, first + 1 - ranks)
    return movement
