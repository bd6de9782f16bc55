"""Reads places of boards: pieces of strings, ranked by the groups that a process keeps for each version."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from domain.ids import MemberId, TournamentId
from domain.leaderboard.arrays import ID_SIZE, split_ids
from domain.leaderboard.cache import VersionCache
from domain.leaderboard.model import RankedRow
from domain.leaderboard.rules import rows_of
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.leaderboard.sheet import Top, numbers_of_top
from integrations.valkey.client import connection_for
from integrations.valkey.groups import Groups, decode
from integrations.valkey.layout import LIVE_ENTRY, key, to_later_table, to_stamp, to_table
from integrations.valkey.patience import Patience, raise_unless_refused
from integrations.valkey.scripts import FIND_LIVE, TOPS

if TYPE_CHECKING:
    from redis.asyncio import Redis

LARGEST_PIECE = 500
"""Level members whose ids are fetched to find a place among them; more are asked for one by one."""
_KEPT_GROUPS = 2_000_000
_TOP = 100
Command = tuple[str | int | bytes, ...]


@dataclass(frozen=True)
class Board:
    """One board of a tournament at the state that a stamp names."""

    tournament_id: TournamentId
    stamp: Stamp
    groups: Groups
    top: bytes
    """Its first places, as many as there are of `_TOP`: most readers want no others."""
    settled: Groups | None = None
    """Of a board with provisional points: the groups by settled ones."""

    @property
    def order(self) -> str:
        return key(self.tournament_id, "order" if self.settled is None else "live_order")

    @property
    def entry(self) -> int:
        """Bytes of a place."""
        return ID_SIZE if self.settled is None else LIVE_ENTRY.itemsize

    def piece(self, start: int, stop: int) -> Command:
        return ("GETRANGE", self.order, start * self.entry, stop * self.entry - 1)

    @property
    def scores(self) -> str:
        return key(self.tournament_id, "master_scores")

    def place_of(self, member_id: MemberId) -> Command:
        if self.settled is None:
            return ("ZRANK", self.scores, member_id.bytes)
        return ("EVAL", FIND_LIVE, 2, self.scores, key(self.tournament_id, "live_places"), member_id.bytes)

    def rows(self, start: int, piece: bytes) -> list[RankedRow]:
        """The rows of a piece that begins at a place."""
        if self.settled is None:
            return rows_of(self.groups.page(start, split_ids(piece), None))
        entries = np.frombuffer(piece, dtype=LIVE_ENTRY)
        settled = [(self.settled.rank(packed), packed) for packed in entries["settled"].tolist()]
        return rows_of(self.groups.page(start, split_ids(entries["id"].tobytes()), settled))

    def numbers(self, piece: bytes) -> Top:
        """The rows of a piece from the top."""
        if self.settled is None:
            members = split_ids(piece)
            return members, numbers_of_top(*self.groups.top(len(members)), None)
        entries = np.frombuffer(piece, dtype=LIVE_ENTRY)
        settled = self.settled.ranks(entries["settled"]), entries["settled"]
        return split_ids(entries["id"].tobytes()), numbers_of_top(*self.groups.top(len(entries)), settled)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Groups fetched at a stamp; None when it was gone by then, or they were damaged."""

    stamp: Stamp
    settled: Groups | None
    live: Groups | None
    tops: Sequence[bytes] = ()
    """The first places of the settled board, and of the live one."""

    @property
    def version(self) -> int:
        return self.stamp.board_version

    @property
    def cost(self) -> int:
        return len(self.settled or ()) + len(self.live or ())


class BoardReader:
    """Every answer belongs to the state that the given stamp names, or is None.

    Whoever has a stamp has seen it there; when it is there still behind the answer, nothing was replaced in between.
    """

    def __init__(self, client: "Redis", patience: Patience) -> None:
        self._client = client
        self._patience = patience
        self._groups: VersionCache[_Kept] = VersionCache(_KEPT_GROUPS, lambda kept: kept.cost)

    async def newest(self, tournament_id: TournamentId, epoch: str, version: int) -> Stamp | None:
        """See `Projection.newest`."""
        kept = self._groups.latest((epoch, tournament_id))
        if kept is not None and kept.version == version and kept.settled is not None:
            return kept.stamp
        stamped, *answers = await self._top(tournament_id)
        stamp = to_stamp(stamped)
        if stamp is None or not await self._were_answered(tournament_id, answers):
            return None
        kept = await self._keep(tournament_id, stamp, answers)
        self._groups.put((stamp.epoch, tournament_id), kept)
        return None if kept.settled is None else kept.stamp

    async def board(self, tournament_id: TournamentId, stamp: Stamp, *, settled_only: bool) -> Board | None:
        """What places are read with; it is fetched once a version."""
        name = (stamp.epoch, tournament_id)
        for _ in range(2):
            kept = await self._groups.get(name, stamp.board_version, lambda: self._fetch(tournament_id, stamp))
            if kept.settled is not None and kept.stamp == stamp:
                break
            self._groups.forget(name)
        else:
            return None
        if settled_only or kept.live is None:
            return Board(tournament_id, stamp, kept.settled, kept.tops[0])
        return Board(tournament_id, stamp, kept.live, kept.tops[1], kept.settled)

    async def rows(self, board: Board, start: int, count: int) -> list[RankedRow] | None:
        """Rows from a place on, 0 is the top."""
        piece = await self._piece(board, start, start + count)
        return None if piece is None else board.rows(start, piece)

    async def numbers(self, board: Board, count: int) -> Top | None:
        """Whose the first places are, and their numbers."""
        piece = await self._piece(board, 0, count)
        return None if piece is None else board.numbers(piece)

    async def rows_after(self, board: Board, packed: int, member_id: MemberId, count: int) -> list[RankedRow] | None:
        """Rows behind a score and member id, whether or not that member still stands there."""
        low, high = board.groups.span(packed)
        if high - low > LARGEST_PIECE:
            place = await self._place_behind(board, low, high, member_id)
            return None if place is None else await self.rows(board, place, count)
        piece = await self._piece(board, low, high + count)
        if piece is None:
            return None
        level = [piece[n : n + ID_SIZE] for n in range(0, (high - low) * board.entry, board.entry)]
        behind = bisect_right(level, member_id.bytes)
        return board.rows(low + behind, piece[behind * board.entry : (behind + count) * board.entry])

    async def rows_around(self, board: Board, member_id: MemberId, radius: int) -> list[RankedRow] | None:
        """A member's row with neighbours on each side; empty when not ranked."""
        places = await self._places_of(board, member_id)
        if not places:
            return None if places is None else []
        if not radius and board.settled is None:
            return board.rows(places[0], member_id.bytes)
        start = max(places[0] - radius, 0)
        return await self.rows(board, start, places[0] + radius + 1 - start)

    async def table(self, tournament_id: TournamentId, stamp: Stamp, earlier: ScoreTable | None) -> ScoreTable | None:
        """Facts of all members; only those with provisional points when the settled part is that of an earlier one."""
        if earlier is not None and not (stamp.digest and stamp.digest == earlier.stamp.digest):
            earlier = None
        names = (*(("stamp", "order", "facts") if earlier is None else ()), *(("live_facts",) if stamp.live else ()))
        answers = await self.read(tournament_id, stamp, [("GET", key(tournament_id, name)) for name in names])
        if answers is None:
            return None
        live_facts = answers.pop() if stamp.live else None
        if earlier is None:
            stamped, order, facts = answers
            table = await asyncio.to_thread(to_table, stamp, stamped, order, facts, live_facts)
        else:
            table = await asyncio.to_thread(to_later_table, stamp, earlier, live_facts)
        if table is None:
            await self.drop(tournament_id)
        return table

    async def read(self, tournament_id: TournamentId, stamp: Stamp, commands: Sequence[Command]) -> list[Any] | None:
        """Answers of commands; None when the state is gone, or something is not what it must be."""
        *answers, stamped = await self._ask(tournament_id, [*commands, ("GET", key(tournament_id, "stamp"))])
        is_there = to_stamp(stamped) == stamp and await self._were_answered(tournament_id, answers)
        return answers if is_there else None

    async def drop(self, tournament_id: TournamentId) -> None:
        """What belongs to the stamp is not there: the board counts as missing from now on."""
        stamp = key(tournament_id, "stamp")
        async with self._patience.exchange(stamp):
            await self._client.unlink(stamp)

    async def _ask(self, tournament_id: TournamentId, commands: Sequence[Command]) -> list[Any]:
        async with self._patience.exchange(key(tournament_id, "stamp")):
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            raise_unless_refused(*answers)
        return answers

    async def _were_answered(self, tournament_id: TournamentId, answers: Sequence[Any]) -> bool:
        return await self._is_sound(tournament_id, not any(isinstance(answer, Exception) for answer in answers))

    async def _fetch(self, tournament_id: TournamentId, stamp: Stamp) -> _Kept:
        stamped, *answers = await self._top(tournament_id)
        if to_stamp(stamped) == stamp and await self._were_answered(tournament_id, answers):
            return await self._keep(tournament_id, stamp, answers)
        return _Kept(stamp, None, None)

    async def _top(self, tournament_id: TournamentId) -> list[Any]:
        """The stamp, and all that tells of the first places: groups and entries by settled points, and with live ones.

        One answer costs the client less than one for each part.
        """
        names = ("stamp", "distinct", "order", "live_distinct", "live_order")
        last = (_TOP * ID_SIZE - 1, _TOP * LIVE_ENTRY.itemsize - 1)
        keys = [key(tournament_id, name) for name in names]
        # A command of the client would cost a task: it has a timeout of its own.
        async with self._patience.exchange(keys[0]), connection_for(self._client, keys[0]) as connection:
            await connection.send_command("EVAL", TOPS, len(keys), *keys, *last)
            answers: list[Any] = await connection.read_response()
        return answers

    async def _keep(self, tournament_id: TournamentId, stamp: Stamp, answers: Sequence[Any]) -> _Kept:
        """What `_top` found at a stamp."""
        distinct, top, live_distinct, live_top = answers
        settled = decode(distinct or b"", stamp.members)
        live = decode(live_distinct or b"", stamp.members) if stamp.live else None
        if await self._is_sound(tournament_id, settled is not None and (live is not None or not stamp.live)):
            return _Kept(stamp, settled, live, (top, live_top))
        return _Kept(stamp, None, None)

    async def _piece(self, board: Board, start: int, stop: int) -> bytes | None:
        """The entries of some places; fewer at the end of the board."""
        stop = min(stop, board.stamp.members)
        if start >= stop:
            return b""
        if stop <= _TOP and len(board.top) >= stop * board.entry:
            return board.top[start * board.entry : stop * board.entry]
        answers = await self.read(board.tournament_id, board.stamp, [board.piece(start, stop)])
        if answers is None:
            return None
        piece: bytes = answers[0]
        is_whole = len(piece) == (stop - start) * board.entry
        return piece if await self._is_sound(board.tournament_id, is_whole) else None

    async def _places_of(self, board: Board, member_id: MemberId) -> list[int] | None:
        """A member's one place, none when not ranked; None when the state is gone."""
        found = await self.read(board.tournament_id, board.stamp, [board.place_of(member_id)])
        if found is None:
            return None
        if found[0] is not None:
            is_whole = found[0] < board.stamp.members
            return [found[0]] if await self._is_sound(board.tournament_id, is_whole) else None
        # Somebody else's id, or the sorted set has gone.
        counted = await self.read(board.tournament_id, board.stamp, [("ZCARD", board.scores)])
        if counted is None or not await self._is_sound(board.tournament_id, counted[0] == board.stamp.members):
            return None
        return []

    async def _place_behind(self, board: Board, low: int, high: int, member_id: MemberId) -> int | None:
        """The first place behind a member among many level ones, of whom it mostly is one."""
        places = await self._places_of(board, member_id)
        if places is None:
            return None
        if places and low <= places[0] < high:
            return places[0] + 1
        while low < high:
            middle = (low + high) // 2
            piece = await self._piece(board, middle, middle + 1)
            if piece is None:
                return None
            low, high = (low, middle) if member_id.bytes < piece[:ID_SIZE] else (middle + 1, high)
        return low

    async def _is_sound(self, tournament_id: TournamentId, is_whole: bool) -> bool:
        if not is_whole:
            await self.drop(tournament_id)
        return is_whole
