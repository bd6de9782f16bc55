"""An open board: rows by place, both ways and by name, and what rows show besides their numbers."""

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from domain.ids import MemberId, TournamentId
from domain.leaderboard.arrays import Integers
from domain.leaderboard.model import BoardHead, BoardSource, BoardState, PastRound, RankedRow, RowPage
from domain.leaderboard.ports import ProjectionUnavailable
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.readers import Moved, RankingReader, Reader
from domain.leaderboard.sheet import Top

T = TypeVar("T")

OPEN_ATTEMPTS = 3
_MEMBERS_BITS, _MARK_BITS = 26, 53
Place = tuple[int, int, MemberId]
"""Where a cursor stands: the board's mark, packed score, member id."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One state of a board, and how to read it."""

    state: BoardState
    head: BoardHead
    reader: Reader
    names: Mapping[bytes, str] = field(default_factory=dict)
    """Nick names that were read with it, by id of 16 bytes."""


def head_of(
    state: BoardState, source: BoardSource, computed_at: datetime, members: int, *, read_at: datetime | None = None
) -> BoardHead:
    """What a board says of itself at a state; `read_at` is when it was asked for, if the state is an earlier one's."""
    return BoardHead(
        key=state.key,
        epoch=state.epoch,
        version=state.version,
        settled_version=state.parts[0].settled_version if state.key.tournament_id else None,
        settled_matches=sum(part.settled_matches for part in state.counted),
        matches=sum(part.matches for part in state.counted),
        pending_matches=sum(part.pending_matches for part in state.counted),
        live_matches=sum(part.live_matches for part in state.counted),
        computed_at=computed_at,
        source=source,
        staleness_ms=state.staleness_ms(read_at or state.read_at),
        members=members,
    )


class Shelf(Protocol):
    """Where boards come from: `domain.leaderboard.service.Boards`."""

    async def reopen(self, opened: Opened, *, from_database: bool) -> Opened: ...

    async def ranked(self, opened: Opened) -> tuple[Opened, Ranking]: ...

    async def named(self, state: BoardState, prefix: str) -> Sequence[MemberId]: ...

    async def guessed_matches(self, state: BoardState, member_ids: Collection[MemberId]) -> dict[MemberId, int]: ...

    async def stands(self, state: BoardState) -> bool: ...

    async def has_lost_members(self, state: BoardState) -> bool: ...

    async def movement(self, state: BoardState, rows: Sequence[RankedRow]) -> dict[MemberId, int | None]: ...

    async def gained(self, state: BoardState, members: Sequence[bytes], ranks: Integers) -> Integers: ...

    async def history(
        self, state: BoardState, member_ids: Sequence[MemberId]
    ) -> dict[MemberId, tuple[PastRound, ...]]: ...


class OpenBoard:
    """A board as it stood when opened. When that state is gone, reading and `head` go on with the present one."""

    def __init__(self, shelf: Shelf, opened: Opened) -> None:
        self._shelf = shelf
        self._opened = opened
        self.has_moved = False
        """Whether it went on with another version: what it told before may not fit what it tells now."""

    @property
    def head(self) -> BoardHead:
        return self._opened.head

    def version_with(self, tournament_id: TournamentId, board_version: int) -> int:
        """The board's version once a tournament has this one of its own, all else being as it was read."""
        state = self._opened.state
        known = [part.board_version for part in state.parts if part.tournament_id == tournament_id]
        return state.version + sum(max(board_version - one, 0) for one in known)

    @property
    def mark(self) -> int:
        """What cursors tell boards apart by.

        That is the version with the number of members, for somebody may have joined before a version tells so; or of a
        past board, which has one version for all, its content.
        """
        reader = self._opened.reader
        if self._opened.state.past_at is not None and isinstance(reader, RankingReader):
            return reader.ranking.digest
        return (self.head.version << _MEMBERS_BITS | self.head.members) % (1 << _MARK_BITS)

    async def page(
        self,
        *,
        first: int | None = None,
        after: Place | None = None,
        last: int | None = None,
        before: Place | None = None,
        search: str | None = None,
    ) -> RowPage:
        """Up to `first` rows from the top or behind a place, or up to `last` rows from the end or before one.

        `search`: only members whose nick names begin so.
        """
        if search:
            return await self._matching(search, first=first, after=after, last=last, before=before)
        rows = await self._read(lambda reader: self._between(reader, first, after, last, before))
        total = self.head.members
        return RowPage(
            rows=tuple(rows),
            total=total,
            has_next=rows[-1].position < total if rows else before is not None and total > 0,
            has_previous=rows[0].position > 1 if rows else after is not None and total > 0,
            board_moved=self._has_moved(after or before),
        )

    async def window(self, first: int) -> list[RankedRow]:
        """The first rows."""
        return await self._read(lambda reader: reader.rows(0, first))

    async def numbers(self, first: int) -> Top:
        """The first rows as numbers."""
        return await self._read(lambda reader: reader.numbers(first))

    async def row_of(self, member_id: MemberId) -> RankedRow | None:
        """A member's row; None when not ranked here."""
        rows = await self.around(member_id, 0)
        return rows[0] if rows else None

    async def around(self, member_id: MemberId, radius: int) -> list[RankedRow]:
        """A member's row with up to `radius` rows on each side; empty when not ranked here."""
        return await self._read(lambda reader: reader.rows_around(member_id, radius))

    async def ranking(self) -> Ranking:
        """All places of one state of the board, in memory; from now on the board stays at that state."""
        opened, ranking = await self._shelf.ranked(self._opened)
        self._go_on(opened)
        return ranking

    async def guessed_matches(self, member_ids: Collection[MemberId]) -> dict[MemberId, int]:
        """How many of the board's settled matches each member had guessed."""
        return await self._shelf.guessed_matches(self._opened.state, member_ids)

    @property
    def counted(self) -> Hashable:
        """Equal for states of a board in which the same settled matches count; None when none is known to be so."""
        state = self._opened.state
        if state.key.round_id is not None or state.past_at is not None:
            return None  # into a round others may have moved
        # A result that is void counts no more before that is settled.
        settled = tuple((part.tournament_id, part.settled_version, part.settled_matches) for part in state.counted)
        return state.epoch, state.league_version, settled

    @property
    def is_changing(self) -> bool:
        """Whether another process may show something else of the same version: see `Part.is_changing`."""
        return self._opened.state.is_changing

    async def stands(self) -> bool:
        """Whether nothing of it has changed since its state was read, told or not."""
        return await self._shelf.stands(self._opened.state)

    async def has_lost_members(self) -> bool:
        """Whether somebody may have been taken off its boards of all moments since it was opened."""
        return await self._shelf.has_lost_members(self._opened.state)

    @property
    def names(self) -> Mapping[bytes, str]:
        """Nick names that came with the board, by id of 16 bytes."""
        return self._opened.names

    async def gained(self, members: Sequence[bytes], ranks: Integers) -> Integers:
        """`movement` of members (ids of 16 bytes) who have these ranks, as a sheet has it."""
        return await self._shelf.gained(self._opened.state, members, ranks)

    async def movement(self, rows: Sequence[RankedRow]) -> dict[MemberId, int | None]:
        """Ranks gained (above 0) or lost since the current round began; None on past boards, and for newcomers."""
        if self.head.as_of is not None:
            return {row.member_id: None for row in rows}
        return await self._shelf.movement(self._opened.state, rows)

    async def history(self, member_ids: Sequence[MemberId]) -> dict[MemberId, tuple[PastRound, ...]]:
        """How members stood after each round so far; who is missing has none."""
        return await self._shelf.history(self._opened.state, member_ids)

    # ------------------------------------------------------------ reading

    async def _between(
        self, reader: Reader, first: int | None, after: Place | None, last: int | None, before: Place | None
    ) -> list[RankedRow]:
        if last is not None:
            if before is not None:
                return await reader.rows_before(before[1], before[2], last)
            start = max(self.head.members - last, 0)
            return await reader.rows(start, self.head.members - start) if self.head.members else []
        if after is not None:
            return await reader.rows_after(after[1], after[2], first or 0)
        return await reader.rows(0, first or 0)

    async def _matching(
        self, search: str, *, first: int | None, after: Place | None, last: int | None, before: Place | None
    ) -> RowPage:
        """Rows of the members found, each at its place of the whole board."""
        ranking = await self.ranking()
        places = ranking.find_all(await self._shelf.named(self._opened.state, search))
        low = bisect_left(places, ranking.after(after[1], after[2])) if after is not None else 0
        high = bisect_left(places, ranking.before(before[1], before[2])) if before is not None else len(places)
        if last is not None:
            low = max(high - last, 0)
        else:
            high = min(low + (first or 0), len(places))
        return RowPage(
            rows=tuple(row for place in places[low:high] for row in ranking.rows(place, place + 1)),
            total=self.head.members,
            has_next=high < len(places),
            has_previous=low > 0,
            board_moved=self._has_moved(after or before),
        )

    def _has_moved(self, place: Place | None) -> bool:
        return place is not None and place[0] != self.mark

    async def _read(self, read: Callable[[Reader], Awaitable[T]]) -> T:
        for attempt in range(1, OPEN_ATTEMPTS + 1):
            try:
                return await read(self._opened.reader)
            except (Moved, ProjectionUnavailable):
                from_database = attempt + 1 >= OPEN_ATTEMPTS
                self._go_on(await self._shelf.reopen(self._opened, from_database=from_database))
        return await read(self._opened.reader)

    def _go_on(self, opened: Opened) -> None:
        before = self.head.epoch, self.mark
        self._opened = opened
        self.has_moved |= before != (self.head.epoch, self.mark)
