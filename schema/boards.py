"""Ids of boards and their rows, and what the rows of one page read together."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import strawberry

from domain.ids import LeagueId, MemberId, RoundId, TournamentId
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import BoardHead, BoardKey, PastRound, RankedRow
from resolvers import leaderboard as leaderboards
from resolvers.context import Context
from resolvers.loaders import Loaders
from schema import ids
from schema.batched import Batch
from schema.member import Member
from schema.moments import moment_parts

T = TypeVar("T")


def board_id(head: BoardHead) -> strawberry.ID:
    """The id of a board at its moment."""
    return ids.global_id("Leaderboard", *_key_parts(head.key), *moment_parts(head))


def row_id(head: BoardHead, member_id: MemberId) -> strawberry.ID:
    """The id of a member's row on a board at its moment."""
    return ids.global_id("LeaderboardRow", *_key_parts(head.key), member_id, *moment_parts(head))


def json_row_ids(head: BoardHead, members: Sequence[bytes]) -> list[bytes]:
    """The same of members by their ids of 16 bytes, as JSON."""
    return ids.encode_each("LeaderboardRow", members, _key_parts(head.key), moment_parts(head))


def _key_parts(key: BoardKey) -> tuple[UUID | None, ...]:
    return key.league_id, key.tournament_id, key.round_id


def board_key(parts: Sequence[str]) -> BoardKey:
    """The board that three parts of an id name.

    Raises:
        MalformedId: they name none.
    """
    league_id, tournament_id, round_id = (ids.uuid_part(part) if part else None for part in parts)
    if tournament_id is None and (league_id is None or round_id is not None):
        raise ids.MalformedId
    return BoardKey(
        league_id=_as(LeagueId, league_id),
        tournament_id=_as(TournamentId, tournament_id),
        round_id=_as(RoundId, round_id),
    )


class RowBatch(Batch):
    """What rows of one page show besides their own numbers; each is read once for all rows, when first asked for."""

    def __init__(
        self,
        board: OpenBoard,
        rows: Sequence[RankedRow],
        *,
        head: BoardHead | None = None,
        known: Mapping[str, Mapping[MemberId, Any]] | None = None,
    ) -> None:
        """`known`, by fields, needs no reading, and no task for each of them: events of streams bring it along."""
        self.board = board
        self.head = head or board.head
        self._rows = rows
        self._known = dict(known or {})
        self._reads: dict[str, asyncio.Task[Mapping[MemberId, Any]]] = {}

    def has(self, names: Collection[str]) -> bool:
        return self._known.keys() >= set(names)

    async def load(self, names: Collection[str], loaders: Loaders) -> None:
        missing = [name for name in names if name not in self._known]
        for name in missing:
            self._begin(name, partial(self._read, name, loaders))
        for name in missing:
            self._known[name] = await self._ended(name)

    def known(self, name: str, member_id: MemberId) -> Any:
        """What a row shows in a field that is loaded; a KeyError when it is not."""
        return self._known[name].get(member_id)

    def around(self, member_id: MemberId | None, radius: int) -> list[RankedRow]:
        """A member's row with up to `radius` rows on each side; none when it is not among the rows."""
        for mine in self._rows:
            if mine.member_id == member_id:
                return [row for row in self._rows if abs(row.position - mine.position) <= radius]
        return []

    async def history(self, member_id: MemberId) -> tuple[PastRound, ...]:
        """How a member stood after each round."""
        self._begin("history", lambda: self.board.history(self._members()))
        found: Mapping[MemberId, tuple[PastRound, ...]] = await self._ended("history")
        return found.get(member_id, ())

    async def _read(self, name: str, loaders: Loaders) -> Mapping[MemberId, Any]:
        match name:
            case "guessed_matches":
                return await self.board.guessed_matches(self._members())
            case "movement":
                return await self.board.movement(self._rows)
            case "member":
                found = await loaders.member.load_many(self._members())
                return {member.id: Member.from_domain(member) for member in found if member is not None}
        raise LookupError(name)

    def _members(self) -> list[MemberId]:
        return [row.member_id for row in self._rows]

    def _begin(self, what: str, read: Callable[[], Coroutine[Any, Any, Mapping[MemberId, Any]]]) -> None:
        if what not in self._reads:
            self._reads[what] = asyncio.create_task(read())

    async def _ended(self, what: str) -> Mapping[MemberId, Any]:
        # Who is cancelled, because a neighbour failed, does not cancel what others wait for.
        return await asyncio.shield(self._reads[what])


class ViewerRows:
    """The viewer's row with its neighbours, and what they show: read once for all fields that ask in the same turn."""

    def __init__(self, board: OpenBoard) -> None:
        self._board = board
        self._radius = 0
        self._is_open = False
        """Whether the reading that is to come can still be widened."""
        self._reading: asyncio.Task[RowBatch] | None = None

    async def around(self, context: Context, radius: int) -> tuple[list[RankedRow], RowBatch]:
        """The viewer's row with up to `radius` rows on each side; none when the viewer is not ranked here."""
        if self._reading is None or (radius > self._radius and not self._is_open):
            self._is_open, self._radius = True, radius
            self._reading = asyncio.create_task(self._read(context))
        self._radius = max(self._radius, radius)
        batch = await asyncio.shield(self._reading)
        return batch.around(context.viewer.account.id if context.viewer else None, radius), batch

    async def _read(self, context: Context) -> RowBatch:
        self._is_open = False
        return RowBatch(self._board, await leaderboards.viewer_rows(context, self._board, radius=self._radius))


def _as(kind: Callable[[UUID], T], part: UUID | None) -> T | None:
    return kind(part) if part is not None else None
