"""Owns the windows of boards that streams follow, and the difference between two of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from domain.member.service import read_members

from domain.database import Database
from domain.ids import MemberId
from domain.leaderboard.model import BoardHead, BoardKey, RankedRow
from domain.member.model import Member
from domain.outbox.model import TickKind
from live.events import Delta, Snapshot
from live.feeds import Feed
from live.ports import BoardReader

if TYPE_CHECKING:
    from domain.leaderboard.service import OpenBoard


@dataclass(frozen=True, slots=True)
class Window:
    """The first rows of a board."""

    board: BoardKey
    first: int


@dataclass(frozen=True, slots=True)
class BoardState:
    """A window at one version, with all that its rows show."""

    board: "OpenBoard"
    rows: tuple[RankedRow, ...]
    guessed_matches: Mapping[MemberId, int]
    members: Mapping[MemberId, Member]

    @property
    def epoch(self) -> str:
        return self.board.head.epoch

    @property
    def version(self) -> int:
        return self.board.head.version


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

    async def load(self, key: Window) -> BoardState | None:
        board = await self._boards.open(key.board)
        if board is None:
            return None
        rows = tuple(await board.window(key.first))
        ids = [row.member_id for row in rows]
        guessed = await board.guessed_matches(ids)
        return BoardState(board, rows, guessed, await read_members(self._database, ids))

    def snapshot(self, state: BoardState) -> Snapshot:
        return Snapshot(state.epoch, state.version, state.board, state.rows, state.guessed_matches, state.members)

    def delta(self, before: BoardState, after: BoardState) -> Delta | None:
        known = {row.member_id: _shown_of_row(before, row) for row in before.rows}
        rows = tuple(row for row in after.rows if known.get(row.member_id) != _shown_of_row(after, row))
        kept = {row.member_id for row in after.rows}
        removed = tuple(row.member_id for row in before.rows if row.member_id not in kept)
        if not rows and not removed and _shown_of_board(before.board.head) == _shown_of_board(after.board.head):
            return None
        return Delta(
            epoch=after.epoch,
            from_version=before.version,
            version=after.version,
            board=after.board,
            rows=rows,
            removed=removed,
            guessed_matches={row.member_id: after.guessed_matches.get(row.member_id, 0) for row in rows},
            members={row.member_id: after.members[row.member_id] for row in rows},
        )

    def rebased(self, delta: Delta, from_version: int) -> Delta:
        return replace(delta, from_version=from_version)

    def is_private(self, key: Window) -> bool:
        return key.board.league_id is not None


def _shown_of_row(state: BoardState, row: RankedRow) -> tuple[RankedRow, int, Member | None]:
    return row, state.guessed_matches.get(row.member_id, 0), state.members.get(row.member_id)


def _shown_of_board(head: BoardHead) -> tuple[int | None, int, int, int]:
    """What of a board alone makes a delta; a new version, moment or staleness does not."""
    return head.settled_version, head.settled_matches, head.matches, head.pending_matches
