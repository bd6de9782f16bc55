"""How members of a league stood after each round, from one fold over all of a tournament's versions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from domain.ids import MemberId, RoundId
from domain.leaderboard.arrays import Ids, Integers, id_bytes, to_ids
from domain.leaderboard.facts import read_copy, weigh
from domain.leaderboard.model import PastRound
from domain.leaderboard.ranking import Ranking
from domain.scoring.model import Facts, Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY_COLUMNS = 3
"""Of a row of `facts_over_time`, before its facts."""

Membership = tuple[MemberId, datetime, datetime | None]


@dataclass(frozen=True, slots=True)
class Stop:
    """A round, and the version at which its successor began, or the board's own for the latest."""

    round_id: RoundId
    position: int
    version: int
    at: datetime | None
    """Whose members are ranked; None: today's."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Ranks and points of each member after each round."""

    version: int
    stops: tuple[Stop, ...]
    ids: Ids
    """All who were ever ranked, ascending."""
    ranks: Integers
    """Of shape (stops, members), as are all of these; 0 where not ranked."""
    points: Integers
    round_points: Integers

    @property
    def size(self) -> int:
        return self.ranks.size

    def of_member(self, member_id: MemberId) -> tuple[PastRound, ...]:
        """In order of rounds; empty for who was never a member."""
        place = int(np.searchsorted(self.ids, np.bytes_(member_id.bytes)))
        if place == len(self.ids) or id_bytes(self.ids[place]) != member_id.bytes:
            return ()
        columns = (self.ranks[:, place].tolist(), self.points[:, place].tolist(), self.round_points[:, place].tolist())
        return tuple(
            PastRound(stop.round_id, rank or None, points, round_points)
            for stop, rank, points, round_points in zip(self.stops, *columns, strict=True)
        )


def empty(version: int) -> Timeline:
    """Before any round began."""
    nothing = np.zeros((0, 0), dtype=np.int64)
    return Timeline(version, (), to_ids([]), nothing, nothing, nothing)


def build(
    version: int, stops: Sequence[Stop], memberships: Sequence[Membership], copied: bytes, weights: Weights
) -> Timeline:
    """A timeline of rows as `facts_over_time` gives them, in binary COPY format, at the versions of the stops.

    Stops come in the order of their positions.
    """
    ids = to_ids(list({member_id for member_id, _, _ in memberships}))
    facts, of_rounds = _facts(ids, stops, copied)
    scores = [weigh(of_stop, weights) for of_stop in facts]
    ranks = np.zeros((len(stops), len(ids)), dtype=np.int64)
    for n, ranked in enumerate(_ranked(ids, stops, memberships)):
        ranks[n, ranked] = Ranking.of(ids[ranked], scores[n][ranked]).ranks()
    return Timeline(
        version=version,
        stops=tuple(stops),
        ids=ids,
        ranks=ranks,
        points=_points(scores, ranks.shape),
        round_points=_points([weigh(of_round, weights) for of_round in of_rounds], ranks.shape),
    )


def _facts(ids: Ids, stops: Sequence[Stop], copied: bytes) -> tuple[Integers, Integers]:
    """Facts of all rounds at each stop, and of the stop's round at the last one: (stops, members, facts) both."""
    members, values = read_copy(copied, KEY_COLUMNS + len(Facts._fields))
    (positions, first, end), facts = values[:, :KEY_COLUMNS].T, values[:, KEY_COLUMNS:]
    places, shape = np.searchsorted(ids, members), (len(stops) + 1, len(ids))
    change = _sums(first, places, facts, shape) - _sums(end, places, facts, shape)
    of_stops = np.array([stop.position for stop in stops])
    at = np.minimum(np.searchsorted(of_stops, positions), len(stops) - 1)
    is_its = (of_stops[at] == positions) & (end == len(stops))
    of_rounds = _sums(at[is_its], places[is_its], facts[is_its], shape)
    return np.cumsum(change, axis=0)[:-1], of_rounds[:-1]


def _sums(stops: "NDArray[np.intp]", places: "NDArray[np.intp]", facts: Integers, shape: tuple[int, int]) -> Integers:
    """Facts added up where they belong, of shape (stops, members, facts)."""
    cells = stops * shape[1] + places
    sums = [np.bincount(cells, fact, shape[0] * shape[1]) for fact in facts.T]
    return np.stack(sums, axis=1).astype(np.int64).reshape(*shape, len(Facts._fields))


def _ranked(ids: Ids, stops: Sequence[Stop], memberships: Sequence[Membership]) -> "Iterator[NDArray[np.bool_]]":
    """Of each stop, which members are ranked: who was in the league then."""
    places = np.searchsorted(ids, np.array([member_id.bytes for member_id, _, _ in memberships], dtype="S16"))
    for stop in stops:
        ranked = np.zeros(len(ids), dtype=np.bool_)
        ranked[places[[_was_in(membership, stop.at) for membership in memberships]]] = True
        yield ranked


def _points(scores: Sequence[Integers], shape: tuple[int, ...]) -> Integers:
    return np.array([of_stop[:, 0] for of_stop in scores], dtype=np.int64).reshape(shape)


def _was_in(membership: Membership, at: datetime | None) -> bool:
    """None: today."""
    _, joined_at, left_at = membership
    if at is None:
        return left_at is None
    return joined_at <= at and (left_at is None or left_at > at)
