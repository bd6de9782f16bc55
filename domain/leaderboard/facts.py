"""Facts of members as arrays: read from PostgreSQL, and weighed into scores."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.leaderboard.arrays import Ids, Integers, order_of_ids
from domain.leaderboard.rules import DIFFERENCE_SHIFT, EXACT_SHIFT, MAX_COUNTER, MAX_POINTS, POINTS_SHIFT, Score
from domain.scoring.model import Facts, Weights

OUTCOME, GOAL_DIFFERENCE, EXACT = (Facts._fields.index(name) for name in ("outcome", "goal_difference", "exact"))
# Of each score column: the largest value, and what one of it is in a packed score.
_MOST = np.array([MAX_POINTS, MAX_COUNTER, MAX_COUNTER, MAX_COUNTER])
_PARTS = np.array([1 << POINTS_SHIFT, 1 << EXACT_SHIFT, 1 << DIFFERENCE_SHIFT, 1])
MOST_OF_A_FACT = (0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF, 0x7FFF)
"""In the projection. Of the facts that rank `MAX_COUNTER` is less; others may weigh nothing."""
_CANNOT_BE_RANKED = "A score of this board cannot be ranked."
_PACKED = np.dtype([("id", "S16"), ("facts", ">u2", (len(Facts._fields),))])


def read_copy(data: bytes, columns: int = len(Facts._fields)) -> tuple[Ids, Integers]:
    """Members, ascending, with their facts, from PostgreSQL's binary COPY of rows (uuid, `columns` integers)."""
    rows = _rows(data, [("values", [("size", ">i4"), ("value", ">i4")], (columns,))])
    ids = np.ascontiguousarray(rows["id"])
    order = order_of_ids(ids)
    # Whole rows of plain numbers are moved several times as fast as those of a record.
    values = rows["values"]["value"].astype(np.int32)
    return ids[order], values.take(order, axis=0).astype(np.int64)


def read_packed(data: bytes) -> tuple[Ids, "NDArray[np.uint16]"]:
    """The same of `packed.store.packed_facts`: of each member the id, and each fact in 16 bits.

    Raises OverflowError when a fact does not fit.
    """
    rows = np.frombuffer(data, dtype=_PACKED)
    order = order_of_ids(np.ascontiguousarray(rows["id"]))
    rows = rows.view(f"V{_PACKED.itemsize}").take(order).view(_PACKED)  # whole rows are moved at once
    facts = rows["facts"].astype(np.uint16)
    if facts[:, 0].max(initial=0) > MOST_OF_A_FACT[0]:
        raise OverflowError(_CANNOT_BE_RANKED)
    return np.ascontiguousarray(rows["id"]), facts


def _rows(data: bytes, values: list[Any]) -> "NDArray[Any]":
    """Rows of a uuid and `values` in PostgreSQL's binary COPY format."""
    row = np.dtype([("columns", ">i2"), ("id_size", ">i4"), ("id", "S16"), *values])
    head, tail = 19, 2
    return np.frombuffer(data, dtype=row, offset=head, count=(len(data) - head - tail) // row.itemsize)


def pack_facts(members: int, parts: Sequence[tuple[Integers | NDArray[np.uint16], Weights]]) -> Integers:
    """Packed scores of so many members by their facts of some tournaments, each under its weights, added up.

    `weigh` and `pack_all` in one product. Raises OverflowError when a score does not fit.
    """
    if not _surely_fit(parts):
        total = np.zeros((members, len(Score._fields)), dtype=np.int64)
        return pack_all(sum((weigh(*part) for part in parts), total))
    packed = np.zeros(members, dtype=np.int64)
    for facts, weights in parts:
        packed += facts @ _packing(weights)
    return packed


def _surely_fit(parts: Sequence[tuple[Integers | NDArray[np.uint16], Weights]]) -> bool:
    """Whether even somebody with the most of each fact everywhere would fit. Of negative facts none is sure."""
    most = [int(facts.view(f"u{facts.itemsize}").max(initial=0)) for facts, _ in parts]
    points = sum(number * sum(weights) for number, (_, weights) in zip(most, parts, strict=True))
    return sum(most) <= MAX_COUNTER and points <= MAX_POINTS


@lru_cache(maxsize=1_000)
def _packing(weights: Weights) -> Integers:
    """What one of each fact is in a packed score."""
    packing: Integers = _columns(weights) @ _PARTS
    return packing


def weigh(facts: Integers | NDArray[np.uint16], weights: Weights) -> Integers:
    """Score columns (points, exact scores, goal differences, outcomes) of each row of facts."""
    scores: Integers = facts @ _columns(weights)
    return scores


def _columns(weights: Weights) -> Integers:
    columns = np.zeros((len(Facts._fields), len(Score._fields)), dtype=np.int64)
    columns[:, 0] = weights
    columns[(EXACT, GOAL_DIFFERENCE, OUTCOME), (1, 2, 3)] = 1
    return columns


def pack_all(scores: Integers) -> Integers:
    """`rules.pack` for many: raises OverflowError when one does not fit."""
    if len(scores) and (scores.min() < 0 or (scores.max(axis=0) > _MOST).any()):
        raise OverflowError(_CANNOT_BE_RANKED)
    packed: Integers = scores @ _PARTS
    return packed
