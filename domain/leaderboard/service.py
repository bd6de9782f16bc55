"""Use cases of boards: open one, now or as it stood. From the projection when it is current, else the database.

Both give the same answer: both order members by the same packed score, and build rows by the same function.
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from domain.clock import Clock
from domain.database import Database
from domain.ids import MemberId, TournamentId
from domain.leaderboard import store
from domain.leaderboard.arrays import Integers, to_ids
from domain.leaderboard.board import OPEN_ATTEMPTS, OpenBoard, Opened, head_of
from domain.leaderboard.cache import VersionCache
from domain.leaderboard.fold import store as fold
from domain.leaderboard.front import FrontReader, Fronts
from domain.leaderboard.leagues import LeagueBoards
from domain.leaderboard.many.held import Held, is_current
from domain.leaderboard.many.service import ManyGuessed, ManyLeagues, Unprojected
from domain.leaderboard.many.states import States
from domain.leaderboard.model import (
    BoardKey,
    BoardSource,
    BoardState,
    Moment,
    Part,
    PastRound,
    RankedRow,
)
from domain.leaderboard.past.service import PastBoards
from domain.leaderboard.ports import Projection, ProjectionUnavailable
from domain.leaderboard.provisional.overlay import Judged, PartFacts, rank_parts
from domain.leaderboard.provisional.service import LockedGuesses
from domain.leaderboard.ranked.store import (
    members_of_league,
    members_of_tournament,
    ranked_members,
    read_ids,
    read_named,
)
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.readers import Moved, ProjectionReader, RankingReader
from domain.leaderboard.rebuilds import Rebuilds
from domain.leaderboard.score_table import Stamp

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Select


_FEW = 4
"""So many of those who follow boards are answered from the database at the same time."""


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A board computed in this process."""

    state: BoardState
    ranking: Ranking
    computed_at: datetime
    source: BoardSource

    @property
    def version(self) -> int:
        return self.state.version


class Boards:
    """Opens boards. Whether the viewer may see one is the caller's question."""

    def __init__(
        self,
        database: Database,
        projection: Projection | None,
        clock: Clock,
        *,
        kept_members: int = 2_000_000,
        rebuild_pause: timedelta = timedelta(seconds=2),
        patience: timedelta = timedelta(seconds=3),
    ) -> None:
        """A process that serves boards.

        Args:
            database: the truth.
            projection: None where there is none; then everything is answered from the database.
            clock: tells how long ago a rebuild was asked for.
            kept_members: how many members, over all boards, each cache may hold (about 50 bytes each).
            rebuild_pause: least time between two requests of this process to rebuild one tournament.
            patience: how long who follows a board waits for a projection that is behind and stands still.
        """
        self._database = database
        self._projection = projection
        self._ranked: VersionCache[_Ranked] = VersionCache(kept_members, lambda board: len(board.ranking))
        self._past = PastBoards(database, kept_members)
        self._guesses = LockedGuesses(database)
        self._leagues = self._held = self._many = self._rebuilds = None
        if projection is not None:
            self._leagues = LeagueBoards(database, projection, kept_members)
            self._held = Held(projection, self._leagues, patience.total_seconds())
            self._many = ManyLeagues(database, self._held, kept_members)
            self._rebuilds = Rebuilds(projection, clock, rebuild_pause)
        self._states = States(database)
        self._fronts = Fronts()
        self.hear = self._fronts.hear
        """To be told what projectors tell of first places."""
        self._few = asyncio.Semaphore(_FEW)
        self._guessed = ManyGuessed(database)

    async def stop(self) -> None:
        """Compute nothing more, before the database is closed."""
        await self._ranked.stop()
        await self._past.stop()
        await self._guesses.stop()
        if self._leagues is not None:
            await self._leagues.stop()

    async def open(self, key: BoardKey, *, as_of: Moment | None = None, settled_only: bool = False) -> OpenBoard | None:
        """A board, now or as it stood at an earlier moment; None when there is no such board.

        Raises:
            InvalidInput: a moment that the board has not had.
            NotFound: the moment names a round of none of its tournaments.
        """
        opened = await self._open_at(key, as_of, settled_only, from_database=False)
        return None if opened is None else OpenBoard(self, opened)

    async def follow(
        self, key: BoardKey, shown: Sequence[bytes] = (), told: tuple[str, int] | None = None
    ) -> OpenBoard | None:
        """A board as it is now, for who opens many again and again: what they depend on is read together.

        Args:
            key: which.
            shown: members (ids of 16 bytes) whose names may be wanted, for they were shown before.
            told: epoch and version that the board has by what was told; one that was told whole may be that old.
        """
        if self._many is not None and key.league_id is not None and key.round_id is None:
            with suppress(Unprojected):
                opened = await self._many.open(key)
                return None if opened is None else OpenBoard(self, opened)
            async with self._few:
                return await self.open(key)
        if key.league_id is not None or key.round_id is not None:
            return await self.open(key)
        opened = self._told(key, told) or await self._follow(key, shown)
        return None if opened is None else OpenBoard(self, opened)

    async def find(self, key: BoardKey, *, as_of: Moment | None = None) -> BoardKey | None:
        """The whole key of a board that there is, without reading the board; None when there is no such board.

        Raises what `open` raises.
        """
        state = await self._states.read(key)
        if state is not None and as_of is not None:
            await self._past.find(state, as_of)
        return None if state is None else state.key

    async def reopen(self, opened: Opened, *, from_database: bool) -> Opened:
        """The same board in its present state; a board that is gone by now stays as it was."""
        head = opened.head
        found = await self._open_at(opened.state.key, head.as_of, head.settled_only, from_database=from_database)
        if found is None:
            ranked = await self._from_database(opened.state)
            found = _asked(_opened(ranked, opened.state), head.as_of, head.settled_only)
        return found

    async def ranked(self, opened: Opened) -> tuple[Opened, Ranking]:
        """The board with all its places in memory."""
        if not isinstance(opened.reader, RankingReader):
            found = _opened(await self._from_database(opened.state), opened.state)
            opened = _asked(found, opened.head.as_of, opened.head.settled_only)
        reader = opened.reader
        assert isinstance(reader, RankingReader)
        return opened, reader.ranking

    async def named(self, state: BoardState, prefix: str) -> Sequence[MemberId]:
        """Members of the board whose nick names begin so."""
        tournament_id = state.key.tournament_id
        if state.key.league_id is not None:
            ranked = members_of_league(state.key.league_id, at=state.past_at)
        elif tournament_id is not None:
            ranked = members_of_tournament(tournament_id, at=state.past_at)
        async with self._database.read() as connection:
            return await read_named(connection, ranked, prefix)

    async def versions(self, keys: Collection[BoardKey]) -> dict[BoardKey, int]:
        """Present stream versions; boards that do not exist are left out."""
        asked = list(keys)
        if not asked:
            return {}
        return await store.versions(self._database, asked)

    async def epoch(self) -> str:
        """Names the installation."""
        async with self._database.read() as connection:
            return await store.epoch(connection)

    async def guessed_matches(self, state: BoardState, member_ids: Collection[MemberId]) -> dict[MemberId, int]:
        if state.past_at is None and state.key.round_id is None:
            return await self._guessed.of(state, member_ids)
        async with self._database.read() as connection:
            counted = await fold.count_guessed(connection, state, member_ids)
        return {member_id: counted.get(member_id, 0) for member_id in member_ids}

    async def stands(self, state: BoardState) -> bool:
        """Whether nothing of a present board has changed since this was read of it."""
        now = await self._states.read(state.key)
        return now is not None and (now.epoch, now.version) == (state.epoch, state.version) and not now.is_changing

    async def has_lost_members(self, state: BoardState) -> bool:
        """Whether somebody may have been taken off boards of all moments since this was read."""
        now = await self._states.read(state.key)
        if now is None:
            return False
        if state.key.league_id is not None:  # whoever is taken off a tournament's boards has left each league before
            return now.league_version != state.league_version
        return now.parts[0].removals != state.parts[0].removals

    async def movement(self, state: BoardState, rows: Sequence[RankedRow]) -> dict[MemberId, int | None]:
        return await self._past.movement(state, rows)

    async def gained(self, state: BoardState, members: Sequence[bytes], ranks: Integers) -> Integers:
        return await self._past.gained(state, members, ranks)

    async def history(self, state: BoardState, member_ids: Sequence[MemberId]) -> dict[MemberId, tuple[PastRound, ...]]:
        return await self._past.history(state, member_ids)

    # ------------------------------------------------------------ which source

    async def _open_at(
        self, key: BoardKey, as_of: Moment | None, settled_only: bool, *, from_database: bool
    ) -> Opened | None:
        state = await self._states.read(key)
        if state is None:
            return None
        past = None if as_of is None else await self._past.open(state, as_of)
        if past is not None:
            ranked = _Ranked(past.state, past.ranking, past.computed_at, BoardSource.DATABASE)
            return _asked(_opened(ranked, state), as_of, settled_only)
        opened = await self._open(key, state, from_database=from_database)
        return None if opened is None else _asked(opened, as_of, settled_only)

    async def _open(self, key: BoardKey, state: BoardState, *, from_database: bool) -> Opened | None:
        if from_database or self._projection is None or self._rebuilds is None or key.round_id is not None:
            return _opened(await self._from_database(state), state)
        for _ in range(OPEN_ATTEMPTS):
            stamps = await self._stamps(self._projection, state)
            if all(is_current(stamps.get(part.tournament_id), state.epoch, part) for part in state.parts):
                found = await self._from_projection(self._projection, state, stamps)
                if found is not None:
                    return found
            elif not any(_is_ahead(stamps.get(part.tournament_id), state, part) for part in state.parts):
                break
            # Settled and projected since the state was read: read that again.
            again = await self._states.read(key)
            if again is None:
                return None
            state = again
        for part in state.parts:
            if not is_current(stamps.get(part.tournament_id), state.epoch, part):
                self._rebuilds.ask(part.tournament_id)
        return _opened(await self._from_database(state), state)

    def _told(self, key: BoardKey, told: tuple[str, int] | None) -> Opened | None:
        if told is None or key.tournament_id is None or self._projection is None:
            return None
        front = self._fronts.find(key.tournament_id, *told)
        if front is None:
            return None
        if self._held is not None:
            self._held.has_come(key.tournament_id)
        head = head_of(front.state, BoardSource.PROJECTION, front.stamp.computed_at, front.stamp.members)
        reader = FrontReader(self._projection, key.tournament_id, front)
        return Opened(front.state, head, reader, dict(zip(reader.members, front.names, strict=True)))

    async def _follow(self, key: BoardKey, shown: Sequence[bytes]) -> Opened | None:
        """A tournament's board: names come with its state, and with its stamp the places that are read next.

        Whoever has seen a version before it is projected waits for that: each process would rank the whole board.
        """
        state, names = await store.fetch_named_state(self._database, key, shown)
        if state is None:
            return None
        opened = await self._newest(state)
        if opened is None and self._held is not None and await self._held.comes(state.epoch, state.parts[0]):
            opened = await self._newest(state)
        if opened is None:
            opened = await self._open(key, state, from_database=False)
        return None if opened is None else replace(opened, names=names)

    async def _newest(self, state: BoardState) -> Opened | None:
        (part,) = state.parts
        if self._projection is None or self._held is None:
            return None
        try:
            stamp = await self._projection.newest(part.tournament_id, state.epoch, part.board_version)
        except ProjectionUnavailable:
            return None
        if stamp is None or not is_current(stamp, state.epoch, part):
            return None
        self._held.has_come(part.tournament_id)
        return await self._from_projection(self._projection, state, {part.tournament_id: stamp})

    async def _stamps(self, projection: Projection, state: BoardState) -> dict[TournamentId, Stamp]:
        try:
            return await projection.stamps([part.tournament_id for part in state.parts])
        except ProjectionUnavailable:
            return {}

    # ------------------------------------------------------------ the projection

    async def _from_projection(
        self, projection: Projection, state: BoardState, stamps: dict[TournamentId, Stamp]
    ) -> Opened | None:
        if state.key.league_id is None:
            (part,) = state.parts
            stamp = stamps[part.tournament_id]
            reader = ProjectionReader(projection, part.tournament_id, stamp)
            return Opened(state, head_of(state, BoardSource.PROJECTION, stamp.computed_at, stamp.members), reader)
        key = (state.epoch, state.key, BoardSource.PROJECTION)
        try:
            return _opened(await self._ranked.get(key, state.version, lambda: self._rank_league(state, stamps)), state)
        except (Moved, ProjectionUnavailable):
            return None

    async def _rank_league(self, state: BoardState, stamps: dict[TournamentId, Stamp]) -> _Ranked:
        assert self._leagues is not None
        found = await self._leagues.rank(state, stamps)
        return _Ranked(state, found.ranking, found.computed_at, BoardSource.PROJECTION)

    # ------------------------------------------------------------ the database

    async def _from_database(self, state: BoardState) -> _Ranked:
        """One ranking a version, for everybody who asks while the projection does not do."""
        key = (state.epoch, state.key, BoardSource.DATABASE)
        return await self._ranked.get(key, state.version, lambda: self._rank_from_database(state))

    async def _rank_from_database(self, wanted: BoardState) -> _Ranked:
        async with self._database.snapshot() as connection:
            state = await store.read_state(connection, wanted.key) or wanted
            league_id = state.key.league_id
            copies = [await fold.copy(connection, _facts(state, part)) for part in state.counted]
            members = None
            if league_id is not None:
                members = to_ids(await read_ids(connection, members_of_league(league_id)))
        parts = [
            PartFacts(data, part.weights, await self._judged(state, part))
            for part, data in zip(state.counted, copies, strict=True)
        ]
        ranking = await asyncio.to_thread(rank_parts, members, parts)
        return _Ranked(state, ranking, state.read_at, BoardSource.DATABASE)

    async def _judged(self, state: BoardState, part: Part) -> list[Judged]:
        """Guesses of the part's live matches, of a league's members only."""
        league_id = state.key.league_id
        ranked = None if league_id is None else members_of_league(league_id)
        return await self._guesses.judged(part.tournament_id, part.live, part.basis, state.read_at, ranked)


def _facts(state: BoardState, part: Part) -> "Select[Any] | str":
    """Of a round the fold, else the sums that are kept of it."""
    league_id, round_id = state.key.league_id, state.key.round_id
    if round_id is None:
        members = None if league_id is None else members_of_league(league_id)
        return fold.present_facts(members, part.tournament_id, part.basis)
    members = ranked_members(league_id, part.tournament_id)
    are_few = league_id is not None
    return fold.facts(members, part.tournament_id, part.basis, round_id=round_id, are_few=are_few)


def _is_ahead(stamp: Stamp | None, state: BoardState, part: Part) -> bool:
    return stamp is not None and stamp.epoch == state.epoch and stamp.board_version > part.board_version


def _asked(opened: Opened, as_of: Moment | None, settled_only: bool) -> Opened:
    """The same, as it was asked for: past boards and those of settled points have nothing provisional in them."""
    head = replace(opened.head, as_of=as_of, settled_only=settled_only)
    if head.is_streamed:
        return replace(opened, head=head)
    return replace(opened, head=replace(head, live_matches=0), reader=opened.reader.settled)


def _opened(ranked: _Ranked, asked: BoardState) -> Opened:
    """`asked`: the state that was just read; what is ranked may have been kept since an earlier time."""
    members, read_at = len(ranked.ranking), asked.read_at
    head = head_of(ranked.state, ranked.source, ranked.computed_at, members, read_at=read_at)
    return Opened(ranked.state, head, RankingReader(ranked.ranking))
