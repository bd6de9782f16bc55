"""The one ranking: the order of members packed into a number, and rows built from it for every reader."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from domain.ids import MemberId
from domain.leaderboard.model import RankCriterion, RankedRow

POINTS_BITS, COUNTER_BITS = 20, 11
MAX_POINTS = (1 << POINTS_BITS) - 1
MAX_COUNTER = (1 << COUNTER_BITS) - 1
POINTS_SHIFT, EXACT_SHIFT, DIFFERENCE_SHIFT = 3 * COUNTER_BITS, 2 * COUNTER_BITS, COUNTER_BITS


class Score(NamedTuple):
    """What ranks a member, in the order in which it counts (that of `RankCriterion`)."""

    points: int
    exact_scores: int
    goal_differences: int
    outcomes: int


@dataclass(frozen=True, slots=True)
class PageOfBoard:
    """Consecutive places of a board, and what must be known of the places around them to rank them."""

    start: int
    """Places above the first entry."""
    entries: Sequence[tuple[int, bytes]]
    """Packed score and member id (16 bytes), best first."""
    above: int | None
    """Packed score of the entry above; None at the top."""
    better: int
    """Members whose score is better than that of the first entry."""
    better_scores: int
    """Distinct scores that are better than that of the first entry."""
    tied_last: int
    """Members, on the page or not, who have the score of the last entry."""
    settled: Sequence[tuple[int, int]] | None = None
    """Of each entry the rank and the packed score by settled results alone; None when nothing is provisional."""


def pack(score: Score) -> int:
    """A score as one number of 53 bits, which a double holds exactly: the higher, the better.

    Raises OverflowError for what does not fit: below 0, over 1,048,575 points, or over 2,047 of a counter.
    """
    if not 0 <= score.points <= MAX_POINTS or not all(0 <= counter <= MAX_COUNTER for counter in score[1:]):
        raise OverflowError(f"{score} cannot be ranked.")
    points, exact, difference, outcome = score
    return points << POINTS_SHIFT | exact << EXACT_SHIFT | difference << DIFFERENCE_SHIFT | outcome


def pack_row(row: RankedRow) -> int:
    """The score of a row as one number."""
    return pack(Score(row.points, row.exact_scores, row.goal_differences, row.outcomes))


def unpack(packed: int) -> Score:
    return Score(
        packed >> POINTS_SHIFT,
        packed >> EXACT_SHIFT & MAX_COUNTER,
        packed >> DIFFERENCE_SHIFT & MAX_COUNTER,
        packed & MAX_COUNTER,
    )


def separation(above: int, packed: int) -> RankCriterion | None:
    """The first criterion in which the score above is better; None when the two are level."""
    for criterion, better, score in zip(RankCriterion, unpack(above), unpack(packed), strict=True):
        if better > score:
            return criterion
    return None


def rows_of(page: PageOfBoard) -> list[RankedRow]:
    """Rows of a page: position in the total order, rank 1-2-2-4, dense rank 1-2-2-3, and who shares it."""
    rows = []
    above, rank, dense_rank = page.above, page.better + 1, page.better_scores + 1
    sizes = _group_sizes(page)
    for offset, (packed, member) in enumerate(page.entries):
        if offset and packed != above:
            rank, dense_rank = page.start + offset + 1, dense_rank + 1
        settled = page.settled[offset] if page.settled is not None else (rank, packed)
        rows.append(_row(member, page.start + offset + 1, rank, dense_rank, sizes[packed], above, packed, settled))
        above = packed
    return rows


def _group_sizes(page: PageOfBoard) -> dict[int, int]:
    """How many members have each score of the page. Only the first and the last score reach beyond it."""
    sizes: dict[int, int] = {}
    for packed, _ in page.entries:
        sizes[packed] = sizes.get(packed, 0) + 1
    if page.entries:
        sizes[page.entries[0][0]] += page.start - page.better
        sizes[page.entries[-1][0]] = page.tied_last
    return sizes


def _row(
    member: bytes,
    position: int,
    rank: int,
    dense_rank: int,
    tied: int,
    above: int | None,
    packed: int,
    settled: tuple[int, int],
) -> RankedRow:
    score = unpack(packed)
    settled_rank, settled_packed = settled
    return RankedRow(
        member_id=MemberId(UUID(bytes=member)),
        position=position,
        rank=rank,
        dense_rank=dense_rank,
        tied=tied,
        separated_by=None if above is None else separation(above, packed),
        points=score.points,
        exact_scores=score.exact_scores,
        goal_differences=score.goal_differences,
        outcomes=score.outcomes,
        settled_rank=settled_rank,
        settled_points=settled_packed >> POINTS_SHIFT,
    )
