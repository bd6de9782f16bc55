"""Owns the windows of boards that streams follow, and the difference between two of them."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import UUID

from domain.database import Database
from domain.ids import MemberId, TournamentId
from domain.leaderboard.model import BoardHead, BoardKey
from domain.leaderboard.sheet import COLUMN, Sheet
from domain.member.service import read_members
from domain.outbox.model import TickKind
from live.events import Delta, Snapshot
from live.feeds import Feed
from live.ports import BoardReader
from live.ring import Missed
from live.texts import Texts

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
    sheet: Sheet
    counted: Hashable = None
    """See `OpenBoard.counted`."""
    texts: Texts = field(default_factory=Texts, compare=False)
    guessed: Mapping[bytes, int] = field(default_factory=dict, compare=False)
    """How many of the matches that count members had guessed, of all who were shown while just these counted."""
    is_changing: bool = False
    """See `OpenBoard.is_changing`."""

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
        return kind == TickKind.BOARD and key.board.tournament_id in (entity_id, None)

    def told(self, latest: BoardState, entity_id: UUID, version: int) -> int | None:
        # Of a tournament that a league has taken up since, the league itself is told.
        # A round's board may be asked for without its tournament; then it hears of all.
        return latest.board.version_with(TournamentId(entity_id), version)

    def is_gathered(self, key: Window) -> bool:
        return key.board.league_id is not None and key.board.round_id is None

    async def versions(self, keys: Collection[Window]) -> Mapping[Window, int]:
        versions = await self._boards.versions(list({key.board for key in keys}))
        return {key: versions[key.board] for key in keys if key.board in versions}

    async def epoch(self) -> str:
        return await self._boards.epoch()

    async def load(self, key: Window, before: BoardState | None = None, told: int | None = None) -> BoardState | None:
        seen = () if before is None else before.sheet.members
        at = None if before is None or told is None else (before.epoch, told)
        board = await self._boards.follow(key.board, seen, at)
        if board is None:
            return None
        members, numbers = await board.numbers(key.first)
        known = _known_guessed(board, before)
        guessed = await _guessed_matches(board, members, known)
        moved = await board.gained(members, numbers[:, COLUMN["rank"]])
        shown = [guessed[member] for member in members]
        names = await self._names(board, members)
        sheet = Sheet.of(members, [names[member] for member in members], numbers, shown, moved)
        is_changing = board.is_changing
        if not is_changing and not (guessed is known and names is board.names):
            # They were read after the version: what has changed meanwhile is shown before that says so.
            is_changing = not await board.stands()
        texts = Texts() if before is None else before.texts
        return BoardState(board, board.head, sheet, board.counted, texts, guessed, is_changing)

    def is_changing(self, state: BoardState) -> bool:
        return state.is_changing

    async def _names(self, board: "OpenBoard", members: Sequence[bytes]) -> Mapping[bytes, str]:
        """Those that came with the board; with others, if some had to be read."""
        names = board.names
        unknown = [MemberId(UUID(bytes=member)) for member in members if member not in names]
        if unknown:
            found = await read_members(self._database, unknown)
            names = {**names, **{member_id.bytes: member.nick_name for member_id, member in found.items()}}
        return names

    def snapshot(self, state: BoardState) -> Snapshot:
        return Snapshot(state.epoch, state.version, state.board, state.head, state.sheet, state.texts)

    def delta(self, before: BoardState, after: BoardState) -> Delta | None:
        return board_delta(before, after)

    def rebased(self, delta: Delta, from_version: int) -> Delta:
        return replace(delta, from_version=from_version)

    def missed(self, before: BoardState, delta: Delta) -> Missed:
        changed = frozenset(delta.sheet.members)
        return Missed(changed, frozenset(delta.left), changed - before.sheet.place_of.keys())

    def merged(self, state: BoardState, from_version: int, missed: Missed) -> Delta:
        places = [place for place, member in enumerate(state.sheet.members) if member in missed.changed]
        return _delta(state, from_version, places, list(missed.removed))

    def is_private(self, key: Window) -> bool:
        return key.board.league_id is not None


def _known_guessed(board: "OpenBoard", before: BoardState | None) -> Mapping[bytes, int]:
    """How many matches those had guessed who were shown before, as long as the same count."""
    if before is None or before.counted is None or before.counted != board.counted:
        return {}
    return before.guessed


async def _guessed_matches(
    board: "OpenBoard", members: Sequence[bytes], known: Mapping[bytes, int]
) -> Mapping[bytes, int]:
    """What is known; with others, if some had to be read."""
    unknown = [MemberId(UUID(bytes=member)) for member in members if member not in known]
    if unknown:
        read = await board.guessed_matches(unknown)
        known = {**known, **{member_id.bytes: number for member_id, number in read.items()}}
    return known


def board_delta(before: BoardState, after: BoardState) -> Delta | None:
    """What changed in a window; None when a client that has `before` would see nothing new."""
    places = after.sheet.changed_since(before.sheet)
    left = after.sheet.left_since(before.sheet)
    if not places and not left and _shown_of_board(before.head) == _shown_of_board(after.head):
        return None
    return _delta(after, before.version, places, left)


def _delta(state: BoardState, from_version: int, places: Sequence[int], left: Sequence[bytes]) -> Delta:
    sheet = state.sheet.pick(places)
    return Delta(state.epoch, from_version, state.version, state.board, state.head, sheet, tuple(left), state.texts)


def _shown_of_board(head: BoardHead) -> tuple[int | None, int, int, int, int]:
    """What of a board alone makes a delta; a new version, moment or staleness does not."""
    return head.settled_version, head.settled_matches, head.matches, head.pending_matches, head.live_matches
