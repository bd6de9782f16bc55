"""Use cases of boards: open one, read its rows by place. From the projection when it is current, else the database.

Both give the same answer: both order members by the same packed score, and build rows by the same function.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from domain.clock import Clock
from domain.database import Database
from domain.ids import LeagueId, MemberId, TournamentId
from domain.leaderboard import store
from domain.leaderboard.cache import VersionCache
from domain.leaderboard.model import BoardHead, BoardKey, BoardSource, RankedRow, RowPage
from domain.leaderboard.ports import Projection, ProjectionUnavailable
from domain.leaderboard.ranking import Ids, Ranking, ScoreTable, Stamp, add, rank_all, to_ids, weigh
from domain.leaderboard.readers import Moved, ProjectionReader, RankingReader, Reader
from domain.leaderboard.store import BoardState, Part

OPEN_ATTEMPTS = 3


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


@dataclass(frozen=True, slots=True)
class _Table:
    """Facts fetched from the projection; None when it held another state by then."""

    table: ScoreTable | None
    version: int


@dataclass(frozen=True, slots=True)
class _Baseline:
    """A board as it was when the current round became the current one."""

    ranking: Ranking
    version: int


@dataclass(frozen=True, slots=True)
class _Opened:
    state: BoardState
    head: BoardHead
    reader: Reader


class OpenBoard:
    """A board as it stood when opened. When that state is gone, reading and `head` go on with the present one."""

    def __init__(self, boards: "Boards", opened: _Opened) -> None:
        self._boards = boards
        self._opened = opened

    @property
    def head(self) -> BoardHead:
        return self._opened.head

    async def page(self, *, first: int, after: tuple[int, int, MemberId] | None = None) -> RowPage:
        """Up to `first` rows from the top, or behind the place (board version, packed score, member id) of a cursor."""
        if after is None:
            rows = await self._read(lambda reader: reader.rows(0, first))
        else:
            _, packed, member_id = after
            rows = await self._read(lambda reader: reader.rows_after(packed, member_id, first))
        total = self.head.members
        return RowPage(
            rows=tuple(rows),
            total=total,
            has_next=bool(rows) and rows[-1].position < total,
            has_previous=rows[0].position > 1 if rows else after is not None and total > 0,
            board_moved=after is not None and after[0] != self.head.version,
        )

    async def window(self, first: int) -> list[RankedRow]:
        """The first rows."""
        return await self._read(lambda reader: reader.rows(0, first))

    async def row_of(self, member_id: MemberId) -> RankedRow | None:
        """A member's row; None when not ranked here."""
        rows = await self.around(member_id, 0)
        return rows[0] if rows else None

    async def around(self, member_id: MemberId, radius: int) -> list[RankedRow]:
        """A member's row with up to `radius` rows on each side; empty when not ranked here."""
        return await self._read(lambda reader: reader.rows_around(member_id, radius))

    async def guessed_matches(self, member_ids: Collection[MemberId]) -> dict[MemberId, int]:
        """How many of the board's settled matches each member had guessed."""
        return await self._boards.guessed_matches(self._opened.state, member_ids)

    async def movement(self, rows: Sequence[RankedRow]) -> dict[MemberId, int | None]:
        """Ranks gained (above 0) or lost since the current round began; None for who was not ranked then."""
        return await self._boards.movement(self._opened.state, rows)

    async def _read(self, read: Callable[[Reader], Awaitable[list[RankedRow]]]) -> list[RankedRow]:
        for attempt in range(1, OPEN_ATTEMPTS + 1):
            try:
                return await read(self._opened.reader)
            except (Moved, ProjectionUnavailable):
                self._opened = await self._boards.reopen(self._opened, from_database=attempt + 1 >= OPEN_ATTEMPTS)
        return await read(self._opened.reader)


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
    ) -> None:
        """A process that serves boards.

        Args:
            database: the truth.
            projection: None where there is none; then everything is answered from the database.
            clock: tells how long ago a rebuild was asked for.
            kept_members: how many members, over all boards, each of the three caches may hold (about 50 bytes each).
            rebuild_pause: least time between two requests of this process to rebuild one tournament.
        """
        self._database = database
        self._projection = projection
        self._clock = clock
        self._rebuild_pause = rebuild_pause
        self._ranked: VersionCache[_Ranked] = VersionCache(kept_members, lambda board: len(board.ranking))
        self._baselines: VersionCache[_Baseline] = VersionCache(kept_members, lambda board: len(board.ranking))
        self._tables: VersionCache[_Table] = VersionCache(kept_members, lambda kept: len(kept.table or ()))
        self._asked_at: dict[TournamentId, datetime] = {}
        self._requests: set[asyncio.Task[None]] = set()

    async def open(self, key: BoardKey) -> OpenBoard | None:
        """None when there is no such board."""
        opened = await self._open(key, from_database=False)
        return None if opened is None else OpenBoard(self, opened)

    async def reopen(self, opened: _Opened, *, from_database: bool) -> _Opened:
        """The same board in its present state; a board that is gone by now stays as it was."""
        key = opened.state.key
        found = await self._open(key, from_database=from_database)
        if found is None:
            ranked = await self._from_database(opened.state)
            return _opened(ranked)
        return found

    async def versions(self, keys: Collection[BoardKey]) -> dict[BoardKey, int]:
        """Present stream versions; boards that do not exist are left out."""
        asked = list(keys)
        if not asked:
            return {}
        async with self._database.read() as connection:
            return await store.versions(connection, asked)

    async def epoch(self) -> str:
        """Names the installation."""
        async with self._database.read() as connection:
            return await store.epoch(connection)

    async def guessed_matches(self, state: BoardState, member_ids: Collection[MemberId]) -> dict[MemberId, int]:
        async with self._database.read() as connection:
            counted = await store.count_guessed(connection, state, member_ids)
        return {member_id: counted.get(member_id, 0) for member_id in member_ids}

    async def movement(self, state: BoardState, rows: Sequence[RankedRow]) -> dict[MemberId, int | None]:
        since = _since(state)
        if since is None or not rows:
            return {row.member_id: None for row in rows}
        key = (state.epoch, state.key, since)
        baseline = await self._baselines.get(key, state.league_version, lambda: self._baseline(state, since))
        return {row.member_id: _gained(baseline.ranking, row) for row in rows}

    # ------------------------------------------------------------ which source

    async def _open(self, key: BoardKey, *, from_database: bool) -> _Opened | None:
        state = await self._state(key)
        if state is None:
            return None
        if from_database or self._projection is None or key.round_id is not None:
            return _opened(await self._from_database(state))
        for _ in range(OPEN_ATTEMPTS):
            stamps = await self._stamps(self._projection, state)
            if all(_is_current(stamps.get(part.tournament_id), state, part) for part in state.parts):
                found = await self._from_projection(self._projection, state, stamps)
                if found is not None:
                    return found
            elif not any(_is_ahead(stamps.get(part.tournament_id), state, part) for part in state.parts):
                break
            # Settled and projected since the state was read: read that again.
            again = await self._state(key)
            if again is None:
                return None
            state = again
        self._ask_for_rebuild(state, stamps)
        return _opened(await self._from_database(state))

    async def _state(self, key: BoardKey) -> BoardState | None:
        async with self._database.read() as connection:
            return await store.read_state(connection, key)

    async def _stamps(self, projection: Projection, state: BoardState) -> dict[TournamentId, Stamp]:
        try:
            return await projection.stamps([part.tournament_id for part in state.parts])
        except ProjectionUnavailable:
            return {}

    def _ask_for_rebuild(self, state: BoardState, stamps: dict[TournamentId, Stamp]) -> None:
        """Ask for what is missing or behind, not more than once in a while, and wait for nothing."""
        now = self._clock()
        for part in state.parts:
            asked_at = self._asked_at.get(part.tournament_id)
            is_current = _is_current(stamps.get(part.tournament_id), state, part)
            if is_current or (asked_at is not None and now - asked_at < self._rebuild_pause):
                continue
            self._asked_at[part.tournament_id] = now
            request = asyncio.create_task(self._request_rebuild(part.tournament_id))
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)

    async def _request_rebuild(self, tournament_id: TournamentId) -> None:
        try:
            if self._projection is not None:
                await self._projection.request_rebuild(tournament_id)
        except ProjectionUnavailable:
            pass  # The projector compares everything by itself once its server is back.

    # ------------------------------------------------------------ the projection

    async def _from_projection(
        self, projection: Projection, state: BoardState, stamps: dict[TournamentId, Stamp]
    ) -> _Opened | None:
        if state.key.league_id is None:
            (part,) = state.parts
            stamp = stamps[part.tournament_id]
            reader = ProjectionReader(projection, part.tournament_id, stamp)
            return _Opened(state, _head(state, BoardSource.PROJECTION, stamp.computed_at, stamp.members), reader)
        league_id = state.key.league_id
        tables = await self._fetch_tables(projection, state, stamps)
        if tables is None:
            return None
        key = (state.epoch, state.key, BoardSource.PROJECTION)
        ranked = await self._ranked.get(key, state.version, lambda: self._rank_league(state, league_id, tables))
        return _opened(ranked)

    async def _fetch_tables(
        self, projection: Projection, state: BoardState, stamps: dict[TournamentId, Stamp]
    ) -> dict[TournamentId, ScoreTable] | None:
        tables: dict[TournamentId, ScoreTable] = {}
        for part in state.counted:
            fetched = await self._fetch(projection, part.tournament_id, stamps[part.tournament_id])
            if fetched is None:
                return None
            tables[part.tournament_id] = fetched
        return tables

    async def _fetch(self, projection: Projection, tournament_id: TournamentId, stamp: Stamp) -> ScoreTable | None:
        async def load() -> _Table:
            return _Table(await projection.table(tournament_id, stamp), stamp.board_version)

        try:
            found = await self._tables.get((stamp.epoch, tournament_id), stamp.board_version, load)
        except ProjectionUnavailable:
            return None
        if found.table is None:
            self._tables.forget((stamp.epoch, tournament_id))
            return None
        return found.table if found.table.stamp.board_version == stamp.board_version else None

    async def _rank_league(
        self, state: BoardState, league_id: LeagueId, tables: dict[TournamentId, ScoreTable]
    ) -> _Ranked:
        async with self._database.read() as connection:
            members = to_ids(await store.read_ids(connection, store.members_of_league(league_id)))
        scores = [weigh(tables[part.tournament_id].pick(part.basis, members), part.weights) for part in state.counted]
        computed_at = min((table.stamp.computed_at for table in tables.values()), default=state.read_at)
        return _Ranked(state, Ranking.of(members, add(members, scores)), computed_at, BoardSource.PROJECTION)

    # ------------------------------------------------------------ the database

    async def _from_database(self, state: BoardState) -> _Ranked:
        """One ranking a version, for everybody who asks while the projection does not do."""
        key = (state.epoch, state.key, BoardSource.DATABASE)
        return await self._ranked.get(key, state.version, lambda: self._rank_from_database(state))

    async def _rank_from_database(self, wanted: BoardState) -> _Ranked:
        async with store.snapshot(self._database) as connection:
            state = await store.read_state(connection, wanted.key) or wanted
            copies = [
                (await store.copy(connection, _present_facts(state, part)), part.weights) for part in state.counted
            ]
            members = None
            if state.key.league_id is not None:
                members = to_ids(await store.read_ids(connection, store.members_of_league(state.key.league_id)))
        ranking = await asyncio.to_thread(rank_all, members, copies)
        return _Ranked(state, ranking, state.read_at, BoardSource.DATABASE)

    async def _baseline(self, state: BoardState, since: datetime) -> _Baseline:
        """The board at an instant, by the fold; members are those of that time."""
        league_id = state.key.league_id
        members: Ids | None = None
        async with store.snapshot(self._database) as connection:
            copies = []
            for part in state.counted:
                version = await store.version_at_baseline(connection, part, since)
                ranked = (
                    store.members_of_tournament(part.tournament_id, at=since)
                    if league_id is None
                    else store.members_of_league(league_id, at=since)
                )
                facts = store.folded_facts(
                    ranked, part.tournament_id, part.basis, version=version, are_few=league_id is not None
                )
                copies.append((await store.copy(connection, facts), part.weights))
            if league_id is not None:
                members = to_ids(await store.read_ids(connection, store.members_of_league(league_id, at=since)))
        return _Baseline(await asyncio.to_thread(rank_all, members, copies), state.league_version)


def _present_facts(state: BoardState, part: Part) -> Any:
    league_id = state.key.league_id
    members = None if league_id is None else store.members_of_league(league_id)
    if state.key.round_id is None:
        return store.head_facts(members, part.tournament_id, part.basis)
    everyone = members if members is not None else store.members_of_tournament(part.tournament_id)
    are_few, round_id = members is not None, state.key.round_id
    return store.folded_facts(everyone, part.tournament_id, part.basis, round_id=round_id, are_few=are_few)


def _is_current(stamp: Stamp | None, state: BoardState, part: Part) -> bool:
    return stamp is not None and (stamp.epoch, stamp.settled_version, stamp.board_version) == (
        state.epoch,
        part.settled_version,
        part.board_version,
    )


def _is_ahead(stamp: Stamp | None, state: BoardState, part: Part) -> bool:
    return stamp is not None and stamp.epoch == state.epoch and stamp.board_version > part.board_version


def _since(state: BoardState) -> datetime | None:
    """When the current round began; for a league's total the one that did so last. Rounds have no movement."""
    if state.key.round_id is not None:
        return None
    return max((part.baseline.at for part in state.counted if part.baseline is not None), default=None)


def _gained(baseline: Ranking, row: RankedRow) -> int | None:
    place = baseline.find(row.member_id)
    return None if place is None else baseline.rank(place) - row.rank


def _opened(ranked: _Ranked) -> _Opened:
    head = _head(ranked.state, ranked.source, ranked.computed_at, len(ranked.ranking))
    return _Opened(ranked.state, head, RankingReader(ranked.ranking))


def _head(state: BoardState, source: BoardSource, computed_at: datetime, members: int) -> BoardHead:
    return BoardHead(
        key=state.key,
        epoch=state.epoch,
        version=state.version,
        settled_version=state.parts[0].settled_version if state.key.tournament_id else None,
        settled_matches=sum(part.settled_matches for part in state.counted),
        matches=sum(part.matches for part in state.counted),
        pending_matches=sum(part.pending_matches for part in state.counted),
        computed_at=computed_at,
        source=source,
        staleness_ms=0,
        members=members,
    )
