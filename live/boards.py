"""Owns the windows of boards that streams follow, and the difference between two of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from domain.database import Database
from domain.ids import MemberId
from domain.leaderboard.model import BoardHead, BoardKey, RankedRow
from domain.member.model import Member
from domain.member.service import read_members
from domain.outbox.model import TickKind
from live.events import Delta, Snapshot
from live.feeds import Feed
from live.ports import BoardReader
from live.ring import Missed

if TYPE_CHECKING:
    from domain.leaderboard.board import OpenBoard


@dataclass(frozen=True, slots=True)
class Window:
    """The first rows of a board."""

    board: BoardKey
    first: int


@dataclass(frozen=True, slots=True)
class BoardState:
    """A window at one version, with all that its rows show."""

    board: "OpenBoard"
    head: BoardHead
    """The board's head when the rows were read; the board itself may go on."""
    rows: tuple[RankedRow, ...]
    guessed_matches: Mapping[MemberId, int]
    movement: Mapping[MemberId, int | None]
    members: Mapping[MemberId, Member]

    @property
    def epoch(self) -> str:
        return self.head.epoch

    @property
    def version(self) -> int:
        return self.head.version


class BoardFeed(Feed[Window, BoardState, Snapshot, Delta]):
    """Reads windows, and says what moves them."""

    def __init__(self, database: Database, boards: BoardReader) -> None:
        self._database = database
        self._boards = boards

    def concerns(self, key: Window, kind: str, entity_id: UUID) -> bool:
        if kind == TickKind.LEAGUE:
            return key.board.league_id == entity_id
        # Which tournaments a league's total adds up is the database's knowledge; its version will tell.
        return kind == TickKind.BOARD and key.board.tournament_id in (entity_id, None)

    async def versions(self, keys: Collection[Window]) -> Mapping[Window, int]:
        versions = await self._boards.versions(list({key.board for key in keys}))
        return {key: versions[key.board] for key in keys if key.board in versions}

    async def load(self, key: Window, before: BoardState | None = None) -> BoardState | None:
        board = await self._boards.open(key.board)
        if board is None:
            return None
        rows = await board.window(key.first)
        ids = [row.member_id for row in rows]
        return BoardState(
            board=board,
            head=board.head,
            rows=tuple(rows),
            guessed_matches=await _guessed_matches(board, ids, before),
            movement=await board.movement(rows),
            members=await read_members(self._database, ids),
        )

    def snapshot(self, state: BoardState) -> Snapshot:
        return Snapshot(
            epoch=state.epoch,
            version=state.version,
            board=state.board,
            head=state.head,
            rows=state.rows,
            guessed_matches=state.guessed_matches,
            movement=state.movement,
            members=state.members,
        )

    def delta(self, before: BoardState, after: BoardState) -> Delta | None:
        return board_delta(before, after)

    def rebased(self, delta: Delta, from_version: int) -> Delta:
        return replace(delta, from_version=from_version)

    def missed(self, delta: Delta) -> Missed:
        return Missed(frozenset(row.member_id for row in delta.rows), frozenset(delta.removed))

    def merged(self, state: BoardState, from_version: int, missed: Missed) -> Delta:
        rows = tuple(row for row in state.rows if row.member_id in missed.changed)
        return _delta(state, from_version, rows, tuple(MemberId(row) for row in missed.removed))

    def is_private(self, key: Window) -> bool:
        return key.board.league_id is not None


async def _guessed_matches(
    board: "OpenBoard", ids: Collection[MemberId], before: BoardState | None
) -> Mapping[MemberId, int]:
    """Read for those alone of whom it is not known."""
    known = before.guessed_matches if before is not None and _has_settled_as_much(before.head, board.head) else {}
    unknown = [member_id for member_id in ids if member_id not in known]
    read = await board.guessed_matches(unknown) if unknown else known
    return {member_id: known[member_id] if member_id in known else read[member_id] for member_id in ids}


def _has_settled_as_much(before: BoardHead, head: BoardHead) -> bool:
    """Whether the same matches count as settled. Into a round others may have moved, and a total has no version."""
    is_told = head.settled_version is not None and head.key.round_id is None
    return is_told and (before.epoch, before.settled_version) == (head.epoch, head.settled_version)


def board_delta(before: BoardState, after: BoardState) -> Delta | None:
    """What changed in a window; None when a client that has `before` would see nothing new."""
    known = {row.member_id: _shown_of_row(before, row) for row in before.rows}
    rows = tuple(row for row in after.rows if known.get(row.member_id) != _shown_of_row(after, row))
    kept = {row.member_id for row in after.rows}
    removed = tuple(row.member_id for row in before.rows if row.member_id not in kept)
    if not rows and not removed and _shown_of_board(before.head) == _shown_of_board(after.head):
        return None
    return _delta(after, before.version, rows, removed)


def _delta(state: BoardState, from_version: int, rows: tuple[RankedRow, ...], removed: tuple[MemberId, ...]) -> Delta:
    return Delta(
        epoch=state.epoch,
        from_version=from_version,
        version=state.version,
        board=state.board,
        head=state.head,
        rows=rows,
        removed=removed,
        guessed_matches={row.member_id: state.guessed_matches[row.member_id] for row in rows},
        movement={row.member_id: state.movement[row.member_id] for row in rows},
        members={row.member_id: state.members[row.member_id] for row in rows},
    )


def _shown_of_row(state: BoardState, row: RankedRow) -> tuple[RankedRow, int, int | None, Member]:
    member_id = row.member_id
    return row, state.guessed_matches[member_id], state.movement[member_id], state.members[member_id]


def _shown_of_board(head: BoardHead) -> tuple[int | None, int, int, int, int]:
    """What of a board alone makes a delta; a new version, moment or staleness does not."""
    return head.settled_version, head.settled_matches, head.matches, head.pending_matches, head.live_matches
