"""Ids of boards and their rows, and what the rows of one page read together."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import strawberry

from domain.ids import LeagueId, MemberId, RoundId, TournamentId
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import BoardHead, BoardKey, PastRound, RankedRow
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


def _key_parts(key: BoardKey) -> tuple[UUID | None, ...]:
    return key.league_id, key.tournament_id, key.round_id


def board_key(parts: Sequence[str]) -> BoardKey:
    """The board that three parts of an id name.

    Raises:
        MalformedId: they name none.
    """
    league_id, tournament_id, round_id = (ids.uuid_part(part) if part else None for part in parts)
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
        found = await asyncio.gather(*(self._once(name, partial(self._read, name, loaders)) for name in missing))
        self._known.update(zip(missing, found, strict=True))

    def known(self, name: str, member_id: MemberId) -> Any:
        """What a row shows in a field that is loaded; a KeyError when it is not."""
        return self._known[name].get(member_id)

    async def history(self, member_id: MemberId) -> tuple[PastRound, ...]:
        """How a member stood after each round."""
        found = await self._once("history", lambda: self.board.history(self._members()))
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

    async def _once(self, what: str, read: Callable[[], Awaitable[Mapping[MemberId, T]]]) -> Mapping[MemberId, T]:
        if what not in self._reads:
            self._reads[what] = asyncio.ensure_future(read())
        return await self._reads[what]


def _as(kind: Callable[[UUID], T], part: UUID | None) -> T | None:
    return kind(part) if part is not None else None
