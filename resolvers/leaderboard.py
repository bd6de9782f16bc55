"""Leaderboards: opened once for a field, then asked for rows."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import InvalidInput, NotFound
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import BoardKey, RankedRow
from domain.leaderboard.rules import Score, pack
from resolvers.context import Context
from resolvers.pages import Cursors, Page, number, page_size
from resolvers.permissions import allow, board_reader, board_watcher

WIDEST_RADIUS = 10


@allow(board_reader)
async def open_board(context: Context, *, key: BoardKey) -> OpenBoard:
    """A board that the viewer may see.

    Raises:
        NotFound: there is no such board, such as of a round of another tournament.
    """
    board = await context.services.boards.open(key)
    if board is None:
        raise NotFound("There is no such board.")
    return board


@allow(board_watcher)
async def watch(context: Context, *, key: BoardKey) -> None:
    """The right to follow a board."""


async def rows(board: OpenBoard, *, first: int, after: str | None) -> tuple[Page[RankedRow], bool]:
    """A page of rows by position, and whether the board has moved since the cursor was given."""
    head = board.head
    cursors = Cursors("leaderboard.rows", head.key.league_id, head.key.tournament_id, head.key.round_id)
    place = cursors.read(after, number, number, UUID) if after is not None else None
    found = await board.page(first=page_size(first), after=place)
    version = board.head.version  # reading may have moved on to a later one
    page = Page(
        items=found.rows,
        cursors=[cursors.write(version, pack(_score(row)), row.member_id) for row in found.rows],
        has_next=found.has_next,
        has_previous=found.has_previous,
        total=found.total,
    )
    return page, found.board_moved


async def viewer_row(context: Context, board: OpenBoard) -> RankedRow | None:
    """The viewer's own row; None when the viewer is not ranked here."""
    return await board.row_of(context.viewer.account.id) if context.viewer else None


async def viewer_neighbours(context: Context, board: OpenBoard, *, radius: int) -> Sequence[RankedRow]:
    """The viewer's row with up to `radius` rows on each side; none when the viewer is not ranked here.

    Raises:
        InvalidInput: the radius is not 1 to 10.
    """
    if not 1 <= radius <= WIDEST_RADIUS:
        raise InvalidInput(f"`radius` must be 1 to {WIDEST_RADIUS}.", field=("radius",))
    return await board.around(context.viewer.account.id, radius) if context.viewer else []


def _score(row: RankedRow) -> Score:
    return Score(row.points, row.exact_scores, row.goal_differences, row.outcomes)
