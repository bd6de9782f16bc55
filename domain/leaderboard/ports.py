"""What boards ask of the outside world: a place for projections, and word of what has moved."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from domain.ids import LeagueId, MemberId, TournamentId
from domain.leaderboard.arrays import Ids
from domain.leaderboard.model import BoardKey, BoardState, RankedRow
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.leaderboard.sheet import Top

if TYPE_CHECKING:
    from domain.leaderboard.front import Front


class ProjectionUnavailable(Exception):
    """The projection's server did not answer, or not in time. Boards are answered from the database meanwhile."""


@dataclass(frozen=True, slots=True)
class LeagueBoard:
    """A league's ranked members at one state, without provisional points when it was kept."""

    ranking: Ranking
    computed_at: datetime


class Projection(Protocol):
    """Boards derived from the database, for reading by place. Everything in it may vanish at any time.

    Every call raises ProjectionUnavailable when the server does not answer within a fraction of a second. What is read
    belongs to the state that the given stamp names; the answer is None when the projection holds that no longer.
    """

    async def stamps(self, tournament_ids: Sequence[TournamentId]) -> dict[TournamentId, Stamp]:
        """What the projection holds of tournaments; those that it does not hold are left out.

        So are those on a server that does not answer, as long as another one does.
        """
        ...

    async def newest(self, tournament_id: TournamentId, epoch: str, version: int) -> Stamp | None:
        """The stamp of a board, for who wants to read its first places next: they come with it.

        They are kept for their version: nothing is asked for a version that has been read. None when it is not held.
        """
        ...

    async def numbers(
        self, tournament_id: TournamentId, stamp: Stamp, count: int, *, settled_only: bool = False
    ) -> Top | None:
        """The first rows as numbers."""
        ...

    async def rows(
        self, tournament_id: TournamentId, stamp: Stamp, start: int, count: int, *, settled_only: bool = False
    ) -> list[RankedRow] | None:
        """Rows from place `start` (0 is the top); `settled_only`: of the board without provisional points."""
        ...

    async def rows_after(
        self,
        tournament_id: TournamentId,
        stamp: Stamp,
        packed: int,
        member_id: MemberId,
        count: int,
        *,
        settled_only: bool = False,
    ) -> list[RankedRow] | None:
        """Rows behind a score and member id, whether or not that member still stands there."""
        ...

    async def rows_around(
        self,
        tournament_id: TournamentId,
        stamp: Stamp,
        member_id: MemberId,
        radius: int,
        *,
        settled_only: bool = False,
    ) -> list[RankedRow] | None:
        """A member's row with up to `radius` neighbours on each side; empty when the member is not ranked."""
        ...

    async def table(
        self, tournament_id: TournamentId, stamp: Stamp, earlier: ScoreTable | None = None
    ) -> ScoreTable | None:
        """Facts of all members. `earlier`: one that was read before; what has not changed since is not read again."""
        ...

    async def league(self, key: BoardKey, epoch: str, version: int) -> LeagueBoard | None:
        """A league's board as some process has kept it at a stream version; None when none has."""
        ...

    async def league_members(self, league_id: LeagueId, epoch: str, league_version: int) -> Ids | None:
        """Who is ranked in a league, ascending, as some process has kept it; None when none has."""
        ...

    async def kept_leagues(self, keys: Sequence[BoardKey]) -> list[BoardKey]:
        """Those of leagues' boards of which some process has kept one, at whatever version."""
        ...

    async def keep_league(self, state: BoardState, board: LeagueBoard) -> None:
        """Keep a league's board and members for other processes, for a while; never an older one over a newer."""
        ...

    def claim(self, tournament_id: TournamentId) -> AbstractAsyncContextManager[bool]:
        """Whether no other process is about to write the board; the others are told so meanwhile, for a few seconds.

        It only saves work. Raises ProjectionUnavailable, and no board need be read: a full server would not take it.
        """
        ...

    async def write(
        self,
        tournament_id: TournamentId,
        table: ScoreTable,
        ranking: Ranking,
        *,
        held: Stamp | None = None,
    ) -> bool:
        """Replace the whole board at once; False when a later state of the same epoch is there already.

        `held`: the state that is there, and is trusted: its settled part stays if it is the same. Without it, whatever
        is there is written over.
        """
        ...

    async def differences(self, tournament_id: TournamentId, table: ScoreTable, ranking: Ranking) -> list[str] | None:
        """Which parts of the board differ from what `write` would put there; None when it shows another state or none.

        Reads the whole board, so it takes as long as `write` does.
        """
        ...

    async def forget(self, tournament_id: TournamentId) -> None:
        """Have the board count as missing until it is written again, and nobody keep for it what was read before."""
        ...

    async def announce(self, tournament_id: TournamentId, version: int, front: "Front | None" = None) -> None:
        """Tell everyone who watches boards that the projection holds `version`, and what its first places are."""
        ...

    async def request_rebuild(self, tournament_id: TournamentId) -> None:
        """Ask the projector for a rebuild; many requests within a second or two count as one."""
        ...


class BoardTicks(Protocol):
    """What the projector hears."""

    def __aiter__(self) -> AsyncIterator[TournamentId | None]:
        """A tournament whose boards moved; None whenever listening began anew, and ticks may have been missed."""
        ...
