"""Provisional points in memory: what guesses would be paid if matches ended now, on top of settled facts.

One table look-up by scoreline for each match; a million members and ten matches take a tenth of a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import numpy as np

from domain.ids import MemberId
from domain.leaderboard.arrays import Ids, Integers, same_ids, to_ids
from domain.leaderboard.facts import pack_all, pack_facts, read_copy
from domain.leaderboard.ranking import Ranking
from domain.match.model import Goals
from domain.scoring.model import Facts, Weights
from domain.scoring.rules import facts as facts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Codes: TypeAlias = "NDArray[np.int16]"
GOALS_BELOW = 100
_BITS = 12
"""Of the number of live matches in which a guess is right about something, while they are added up."""
_SHIFTS = np.arange(len(Facts._fields)) * _BITS


@dataclass
class MatchGuesses:
    """The guesses of a match that has locked; members by id, ascending."""

    ids: Ids
    lines: tuple[Goals, ...]
    """The distinct guesses."""
    codes: Codes
    """Of each member, which of `lines`."""
    version: int
    """Seconds that the lock had been over when they were read, up to the point from which they cannot change."""
    _among: tuple[Ids, Codes] | None = field(default=None, init=False, repr=False, compare=False)
    """The members of a board and their codes, as they were asked for last: they are the same from goal to goal."""

    @classmethod
    def of_copy(cls, data: bytes, version: int) -> "MatchGuesses":
        """From PostgreSQL's binary COPY of (member, home goals, away goals)."""
        ids, goals = read_copy(data, 2)
        distinct, codes = np.unique(goals[:, 0] * GOALS_BELOW + goals[:, 1], return_inverse=True)
        lines = tuple(Goals(*divmod(line, GOALS_BELOW)) for line in distinct.tolist())
        return cls(ids, lines, codes.astype(np.int16), version)

    def __len__(self) -> int:
        return len(self.ids)

    def worth(self, members: Ids, score: Goals) -> Integers:
        """Facts of each member's guess against a score, in one number (`_SHIFTS`); 0 where there is no guess."""
        nothing = (0,) * len(Facts._fields)
        table = np.array([*(facts_of(line, score) for line in self.lines), nothing], dtype=np.int64)
        found: Integers = (table << _SHIFTS).sum(axis=1).take(self._codes_among(members))
        return found

    def _codes_among(self, members: Ids) -> Codes:
        """Of each of these members (ascending), which of `lines`; one more than there are stands for no guess."""
        kept = self._among
        if kept is not None and same_ids(kept[0], members):
            return kept[1]
        codes = np.full(len(members), len(self.lines), dtype=np.int16)
        if len(self):
            at = np.minimum(np.searchsorted(self.ids, members), len(self) - 1)
            codes = np.where(self.ids[at] == members, self.codes[at], codes)
        self._among = members, codes
        return codes


Judged: TypeAlias = tuple[MatchGuesses, Goals]
"""The guesses of a match, and the score that they are judged by for now."""


class LiveRanking(Ranking):
    """A ranking with provisional points in it, whose rows tell the settled ones apart."""

    def __init__(self, ids: Ids, packed: Integers, settled: Ranking) -> None:
        """`settled` ranks the same members."""
        super().__init__(ids, packed)
        self._settled = settled

    @classmethod
    def beside(cls, settled: Ranking, ids: Ids, scores: Integers) -> "LiveRanking":
        """Of score columns (see `weigh`) with provisional points; `ids` ascending, the members of `settled`."""
        return cls(ids, pack_all(scores), settled)

    @property
    def settled(self) -> Ranking:
        return self._settled

    def _settled_places(self, members: Sequence[bytes]) -> list[tuple[int, int]] | None:
        places = [self._settled.find(MemberId(UUID(bytes=member))) for member in members]
        return [(self._settled.rank(place), int(self._settled.packed[place])) for place in places if place is not None]

    def settled_of(self, stop: int) -> tuple[Integers, Integers] | None:
        places = self._settled.places_by_id[self.order[:stop]]
        first, _, _ = self._settled.groups(places)
        return first + 1, self._settled.packed[places]


def add_live(ids: Ids, facts: "Integers | NDArray[np.uint16]", judged: Sequence[Judged]) -> Integers:
    """Facts of members (ascending): settled ones, and those of their guesses of live matches on top."""
    live = np.zeros(len(ids), dtype=np.int64)
    for guesses, score in judged:
        live += guesses.worth(ids, score)
    total: Integers = facts + (live[:, None] >> _SHIFTS & (1 << _BITS) - 1)
    return total


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A tournament's part of a board: settled facts in binary COPY format, and what is live."""

    data: bytes
    weights: Weights
    judged: Sequence[Judged] = ()


def rank_parts(members: Ids | None, parts: Sequence[PartFacts]) -> Ranking:
    """A board of several tournaments, each under its weights; all hold the same members.

    Without any tournament it ranks `members` at zero.
    """
    settled, live = [], []
    for part in parts:
        members, facts = read_copy(part.data)
        settled.append((facts, part.weights))
        live.append((add_live(members, facts, part.judged) if part.judged else facts, part.weights))
    ids = to_ids([]) if members is None else members
    ranking = Ranking(ids, pack_facts(len(ids), settled))
    if not any(part.judged for part in parts):
        return ranking
    return LiveRanking(ids, pack_facts(len(ids), live), ranking)
