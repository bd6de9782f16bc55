"""Ids of boards and their rows, and what the rows of one page read together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import strawberry

from domain.ids import LeagueId, MemberId, RoundId, TournamentId
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import BoardHead, BoardKey, PastRound, RankedRow
from domain.member.model import Member
from schema import ids
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


class RowBatch:
    """What rows of one page show besides their own numbers; each is read once for all rows, when first asked for."""

    def __init__(
        self,
        board: OpenBoard,
        rows: Sequence[RankedRow],
        *,
        head: BoardHead | None = None,
        guessed_matches: Mapping[MemberId, int] | None = None,
        movement: Mapping[MemberId, int | None] | None = None,
        members: Mapping[MemberId, Member] | None = None,
    ) -> None:
        """What is given needs no reading, and no task for each field: events of streams bring it with them."""
        self.board = board
        self.head = head or board.head
        self.members = members
        self._rows = rows
        self._guessed_matches = guessed_matches
        self._movement = movement
        self._reads: dict[str, asyncio.Task[Any]] = {}

    def guessed_matches(self, member_id: MemberId) -> int | Awaitable[int]:
        """Settled matches that a member had guessed."""
        if self._guessed_matches is not None:
            return self._guessed_matches.get(member_id, 0)
        return self._read_guessed_matches(member_id)

    def movement(self, member_id: MemberId) -> int | Awaitable[int | None] | None:
        """Ranks gained or lost since the current round began."""
        if self._movement is not None:
            return self._movement.get(member_id)
        return self._read_movement(member_id)

    async def history(self, member_id: MemberId) -> tuple[PastRound, ...]:
        """How a member stood after each round."""
        found = await self._once("history", lambda: self.board.history([row.member_id for row in self._rows]))
        return found.get(member_id, ())

    async def _read_guessed_matches(self, member_id: MemberId) -> int:
        found = await self._once("guessed", lambda: self.board.guessed_matches([row.member_id for row in self._rows]))
        return found.get(member_id, 0)

    async def _read_movement(self, member_id: MemberId) -> int | None:
        found = await self._once("movement", lambda: self.board.movement(self._rows))
        return found.get(member_id)

    async def _once(self, what: str, read: Callable[[], Awaitable[Mapping[MemberId, T]]]) -> Mapping[MemberId, T]:
        if what not in self._reads:
            self._reads[what] = asyncio.ensure_future(read())
        found: Mapping[MemberId, T] = await self._reads[what]
        return found


def _as(kind: Callable[[UUID], T], part: UUID | None) -> T | None:
    return kind(part) if part is not None else None
