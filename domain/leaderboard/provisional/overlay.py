"""Provisional points in memory: what guesses would be paid if matches ended now, on top of settled facts.

One table look-up by scoreline for each match; a million members and ten matches take a tenth of a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import numpy as np

from domain.ids import MemberId
from domain.leaderboard.ranking import Ids, Integers, Ranking, add, pack_all, read_copy, to_ids, weigh
from domain.match.model import Goals
from domain.scoring.model import Facts, Weights
from domain.scoring.rules import facts as facts_of

GOALS_BELOW = 100


@dataclass(frozen=True)
class MatchGuesses:
    """The guesses of a match that has locked; members by id, ascending."""

    ids: Ids
    lines: tuple[Goals, ...]
    """The distinct guesses."""
    codes: Integers
    """Of each member, which of `lines`."""
    version: int
    """Seconds that the lock had been over when they were read, up to the point from which they cannot change."""

    @classmethod
    def of_copy(cls, data: bytes, version: int) -> "MatchGuesses":
        """From PostgreSQL's binary COPY of (member, home goals, away goals)."""
        ids, goals = read_copy(data, 2)
        distinct, codes = np.unique(goals[:, 0] * GOALS_BELOW + goals[:, 1], return_inverse=True)
        lines = tuple(Goals(*divmod(line, GOALS_BELOW)) for line in distinct.tolist())
        return cls(ids, lines, codes.astype(np.int64), version)

    def __len__(self) -> int:
        return len(self.ids)

    def worth(self, score: Goals) -> Integers:
        """Facts of each member's guess against a score."""
        worth = [facts_of(line, score) for line in self.lines]
        table = np.array(worth, dtype=np.int64).reshape(len(worth), len(Facts._fields))  # also when nobody has guessed
        found: Integers = table[self.codes]
        return found


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


def add_live(ids: Ids, facts: Integers, judged: Sequence[Judged]) -> Integers:
    """Facts of members (ascending): settled ones, and those of their guesses of live matches on top."""
    total = facts.astype(np.int64)
    if not len(ids):
        return total
    for guesses, score in judged:
        places = np.minimum(np.searchsorted(ids, guesses.ids), len(ids) - 1)
        is_here = ids[places] == guesses.ids
        total[places[is_here]] += guesses.worth(score)[is_here]
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
        scores = weigh(facts, part.weights)
        settled.append(scores)
        live.append(weigh(add_live(members, facts, part.judged), part.weights) if part.judged else scores)
    ids = to_ids([]) if members is None else members
    ranking = Ranking.of(ids, add(ids, settled))
    if not any(part.judged for part in parts):
        return ranking
    return LiveRanking.beside(ranking, ids, add(ids, live))
