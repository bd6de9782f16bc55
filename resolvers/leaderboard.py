"""Leaderboards: opened once for a field, then asked for rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.errors import InvalidInput, NotFound
from domain.leaderboard.board import OpenBoard, Place
from domain.leaderboard.model import BoardKey, Moment, RankedRow
from domain.leaderboard.rules import pack_row
from domain.member.rules import is_plain
from resolvers.context import Context
from resolvers.pages import Cursors, Page, number, page_size
from resolvers.permissions import allow, board_reader, board_watcher

WIDEST_RADIUS = 10
DEFAULT_ROWS = 50
LONGEST_SEARCH = 100


@dataclass(frozen=True, slots=True)
class RowsWanted:
    """Which rows are asked for: from the top or behind a cursor, or from the end or before one."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    search: str | None = None


@allow(board_reader)
async def open_board(
    context: Context, *, key: BoardKey, as_of: Moment | None = None, settled_only: bool = False
) -> OpenBoard:
    """A board that the viewer may see, now or as it stood at an earlier moment.

    Raises:
        NotFound: there is no such board, such as of a round of another tournament.
        InvalidInput: the board has not had that moment.
    """
    board = await context.services.boards.open(key, as_of=as_of, settled_only=settled_only)
    if board is None:
        raise NotFound("There is no such board.")
    context.boards.append(board)
    return board


@allow(board_watcher)
async def watch(context: Context, *, key: BoardKey) -> None:
    """The right to follow a board."""


async def rows(board: OpenBoard, wanted: RowsWanted) -> tuple[Page[RankedRow], bool]:
    """A page of rows by position, and whether the board has moved since the cursor was given.

    Raises:
        InvalidInput: sizes out of bounds, both directions at once, cursors of elsewhere, names that cannot be.
    """
    first, last = _sizes(wanted)
    search = _search(wanted.search)
    head = board.head
    key = (head.key.league_id, head.key.tournament_id, head.key.round_id)
    cursors = Cursors("leaderboard.rows", *key, head.as_of, head.settled_only, search)
    after, before = _place(cursors, "after", wanted.after), _place(cursors, "before", wanted.before)
    found = await board.page(first=first, after=after, last=last, before=before, search=search)
    mark = board.mark  # reading may have moved on to a later state
    page = Page(
        items=found.rows,
        cursors=[cursors.write(mark, pack_row(row), row.member_id) for row in found.rows],
        has_next=found.has_next,
        has_previous=found.has_previous,
        total=found.total,
    )
    return page, found.board_moved


async def viewer_rows(context: Context, board: OpenBoard, *, radius: int) -> Sequence[RankedRow]:
    """The viewer's row with up to `radius` rows on each side; none when the viewer is not ranked here."""
    return await board.around(context.viewer.account.id, radius) if context.viewer else []


def check_radius(radius: int) -> None:
    """Whether neighbours may be asked for.

    Raises:
        InvalidInput: it is not 1 to 10.
    """
    if not 1 <= radius <= WIDEST_RADIUS:
        raise InvalidInput(f"`radius` must be 1 to {WIDEST_RADIUS}.", field=("radius",))


def _sizes(wanted: RowsWanted) -> tuple[int | None, int | None]:
    """How many rows from the top, or from the end."""
    if wanted.last is None and wanted.before is None:
        return page_size(DEFAULT_ROWS if wanted.first is None else wanted.first), None
    for argument in ("first", "after"):
        if getattr(wanted, argument) is not None:
            raise InvalidInput("Give `first` and `after`, or `last` and `before`, not both pairs.", field=(argument,))
    return None, page_size(DEFAULT_ROWS if wanted.last is None else wanted.last, "last")


def _search(text: str | None) -> str | None:
    if text and (len(text) > LONGEST_SEARCH or not is_plain(text)):
        raise InvalidInput(
            f"`search` must have at most {LONGEST_SEARCH} characters, and no control characters.", field=("search",)
        )
    return text or None


def _place(cursors: Cursors, argument: str, cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    mark, packed, member_id = cursors.read(cursor, number, number, UUID, argument=argument)
    return mark, packed, member_id
