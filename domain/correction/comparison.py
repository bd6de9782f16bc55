"""Two states of a tournament's scores compared: who differs, by how many points and places. Arrays, no SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from domain.execution.effect import ScoreChange
from domain.ids import MemberId
from domain.leaderboard.arrays import Ids, Integers, id_bytes
from domain.leaderboard.facts import pack_all, read_copy, weigh
from domain.leaderboard.rules import MAX_COUNTER, MAX_POINTS
from domain.scoring.model import Facts, ScoreBasis, Weights

Copies = Mapping[ScoreBasis, bytes]
"""For each stored basis, members with their facts in PostgreSQL's binary COPY format."""

MISSING = -1
"""What stands for each fact of a member who has no row."""


@dataclass(frozen=True, slots=True)
class Comparison:
    members_changed: int
    """Members whose facts differ under any basis."""
    points_moved: int
    changes: Sequence[ScoreChange]
    """Of each of those members, the largest first."""
    digest: str
    """SHA-256 in hex over all of the change."""


@dataclass(frozen=True, slots=True)
class MemberDifference:
    """Facts of one member under one basis in the two states; None where there is no row."""

    member_id: MemberId
    basis: ScoreBasis
    before: Facts | None
    after: Facts | None


def compare(before: Copies, after: Copies, basis: ScoreBasis, weights: Weights) -> Comparison:
    """The change from one state to another; points and ranks are those of `basis` under `weights`."""
    members, pairs = _aligned(before, after)
    changed = _differ(pairs, len(members))
    points, ranks = zip(*(_points_and_ranks(facts, weights) for facts in pairs[basis]), strict=True)
    gained = points[1] - points[0]
    order = np.flatnonzero(changed)
    climbed = np.abs(ranks[1] - ranks[0])
    order = order[np.lexsort((members[order], ranks[1][order], -climbed[order], -np.abs(gained[order])))]
    columns = (points[0], points[1], ranks[0], ranks[1])
    rows = zip(members[order].tolist(), *(column[order].tolist() for column in columns), strict=True)
    changes = [ScoreChange(_member(member), *numbers) for member, *numbers in rows]
    return Comparison(len(changes), int(np.abs(gained).sum()), changes, _digest(members, pairs, changed, ranks))


def differences(before: Copies, after: Copies) -> list[MemberDifference]:
    """Every row that differs, by basis and member."""
    members, pairs = _aligned(before, after)
    return [
        MemberDifference(_member(members[place]), basis, _facts(old[place]), _facts(new[place]))
        for basis, (old, new) in pairs.items()
        for place in np.flatnonzero((old != new).any(axis=1)).tolist()
    ]


def count_members(copies: Copies) -> int:
    """How many members have a row."""
    return max((len(read_copy(copied)[0]) for copied in copies.values()), default=0)


def scores_digest(copies: Copies) -> str:
    """SHA-256 in hex over every member's facts under every stored basis, members by id."""
    digest = sha256()
    for basis in sorted(copies):
        members, facts = read_copy(copies[basis])
        digest.update(basis.encode())
        digest.update(np.ascontiguousarray(members).tobytes())
        digest.update(facts.astype(">i4").tobytes())
    return digest.hexdigest()


def _aligned(before: Copies, after: Copies) -> tuple[Ids, dict[ScoreBasis, tuple[Integers, Integers]]]:
    """All members of both states, by id, and the facts of each state in that order."""
    read = {basis: (read_copy(before[basis]), read_copy(after[basis])) for basis in sorted(before)}
    members: Ids = np.array([], dtype="S16")
    for ids, _ in (state for pair in read.values() for state in pair):
        if not np.array_equal(ids, members):
            members = np.union1d(members, ids)
    return members, {basis: (_spread(members, *old), _spread(members, *new)) for basis, (old, new) in read.items()}


def _spread(members: Ids, ids: Ids, facts: Integers) -> Integers:
    found = np.full((len(members), len(Facts._fields)), MISSING, dtype=np.int64)
    found[np.searchsorted(members, ids)] = facts
    return found


def _differ(pairs: Mapping[ScoreBasis, tuple[Integers, Integers]], count: int) -> NDArray[np.bool_]:
    changed = np.zeros(count, dtype=np.bool_)
    for old, new in pairs.values():
        changed |= (old != new).any(axis=1)
    return changed


def _points_and_ranks(facts: Integers, weights: Weights) -> tuple[Integers, Integers]:
    """Points and shared ranks (1 + how many are better) of each row; who has no row counts as one without points."""
    scores = weigh(np.maximum(facts, 0), weights)
    # A row that was tampered with may hold more than can be ranked.
    packed = pack_all(np.minimum(scores, (MAX_POINTS, MAX_COUNTER, MAX_COUNTER, MAX_COUNTER)))
    ranks: Integers = 1 + len(packed) - np.searchsorted(np.sort(packed), packed, side="right")
    return scores[:, 0], ranks


def _digest(
    members: Ids,
    pairs: Mapping[ScoreBasis, tuple[Integers, Integers]],
    changed: NDArray[np.bool_],
    ranks: Sequence[Integers],
) -> str:
    digest = sha256(np.ascontiguousarray(members[changed]).tobytes())
    for basis, states in pairs.items():
        digest.update(basis.encode())
        for facts in states:
            digest.update(facts[changed].astype(">i4").tobytes())
    for column in ranks:
        digest.update(column[changed].astype(">i4").tobytes())
    return digest.hexdigest()


def _member(value: bytes) -> MemberId:
    return MemberId(UUID(bytes=id_bytes(value)))


def _facts(row: Integers) -> Facts | None:
    return None if row[0] == MISSING else Facts(*row.tolist())
