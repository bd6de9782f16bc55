"""Boards of leagues, ranked when somebody reads or watches them, from facts that a process keeps for each version.

A process that has not got the facts takes the board that another one kept, else it fetches them and keeps the board.
With provisional points, or once the facts are here, ranking costs less than asking.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from domain.database import Database
from domain.ids import LeagueId, TournamentId
from domain.leaderboard import store
from domain.leaderboard.arrays import Ids, Integers, to_ids
from domain.leaderboard.cache import VersionCache
from domain.leaderboard.facts import pack_facts
from domain.leaderboard.model import BoardKey, BoardState, Part
from domain.leaderboard.ports import LeagueBoard, Projection, ProjectionUnavailable
from domain.leaderboard.provisional.overlay import LiveRanking
from domain.leaderboard.ranked.store import members_of_league, read_ids
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.readers import Moved
from domain.leaderboard.score_table import Places, ScoreTable, Stamp

_ASKED_AT_ONCE = 1_000


class _Table:
    """Facts of a tournament; None when the projection held another state by then."""

    def __init__(self, table: ScoreTable | None, version: int) -> None:
        self.table = table
        self.version = version


class RankedMembers:
    """The members of a league's boards, ascending, and where they are in the tables of its tournaments."""

    def __init__(self, ids: Ids, version: int) -> None:
        self.ids = ids
        self.version = version
        self._places: dict[TournamentId, tuple[Ids, Places]] = {}
        self._settled: tuple[object, Ranking] | None = None

    def places(self, tournament_id: TournamentId, table: ScoreTable) -> Places:
        """Looked up once for all versions of a table; when others have joined, they move on."""
        kept = self._places.get(tournament_id)
        if kept is not None and kept[0] is table.ids:
            return kept[1]
        moved = None
        if kept is not None and table.joined is not None and kept[0] is table.joined.before:
            moved = kept[1].beside(table.joined)
        found = table.find(self.ids) if moved is None else moved
        self._places[tournament_id] = (table.ids, found)
        return found

    def settled(self, name: object, rank: Callable[[], Ranking]) -> Ranking:
        """How they are ranked by settled points alone: once for all versions in which these, by name, are the same."""
        if self._settled is None or self._settled[0] != name:
            self._settled = name, rank()
        return self._settled[1]


class LeagueBoards:
    """One a process."""

    def __init__(self, database: Database, projection: Projection, kept_members: int) -> None:
        """`kept_members`: how many members, over all tournaments, and over all leagues, are kept."""
        self._database = database
        self._projection = projection
        self._tables: VersionCache[_Table] = VersionCache(kept_members, lambda kept: len(kept.table or ()))
        self._members: VersionCache[RankedMembers] = VersionCache(kept_members, lambda kept: len(kept.ids))

    async def stop(self) -> None:
        """Read nothing more."""
        await self._tables.stop()
        await self._members.stop()

    async def rank(self, state: BoardState, stamps: Mapping[TournamentId, Stamp]) -> LeagueBoard:
        """A league's board at a state that the projection holds, by its stamps.

        Raises:
            Moved: the projection holds another one by now.
            ProjectionUnavailable: it does not answer.
        """
        is_shared = not any(part.live for part in state.counted) and not self._has_facts(state, stamps)
        if is_shared:
            found = await self._projection.league(state.key, state.epoch, state.version)
            if found is not None:
                return found
        tables = {
            part.tournament_id: await self.table(part.tournament_id, stamps[part.tournament_id])
            for part in state.counted
        }
        members = await self._ranked_members(state)
        computed_at = min((table.stamp.computed_at for table in tables.values()), default=state.read_at)
        board = LeagueBoard(rank_league(state, tables, members), computed_at)
        if is_shared:
            with suppress(ProjectionUnavailable):
                await self._projection.keep_league(state, board)
        return board

    def _has_facts(self, state: BoardState, stamps: Mapping[TournamentId, Stamp]) -> bool:
        wanted = ((stamps[part.tournament_id], part.tournament_id) for part in state.counted)
        return all(self._tables.holds((stamp.epoch, one), stamp.board_version) for stamp, one in wanted)

    async def table(self, tournament_id: TournamentId, stamp: Stamp) -> ScoreTable:
        """Facts of a tournament at a state that the projection holds.

        Raises what `rank` raises.
        """
        earlier = self._tables.latest((stamp.epoch, tournament_id))

        async def load() -> _Table:
            known = None if earlier is None else earlier.table
            table = await self._projection.table(tournament_id, stamp, known)
            if table is not None and known is not None:
                table = await asyncio.to_thread(table.with_ids_of, known)
            return _Table(table, stamp.board_version)

        found = await self._tables.get((stamp.epoch, tournament_id), stamp.board_version, load)
        if found.table is None:
            self._tables.forget((stamp.epoch, tournament_id))
        if found.table is None or found.version != stamp.board_version:
            raise Moved
        return found.table

    async def _ranked_members(self, state: BoardState) -> RankedMembers:
        league_id, version = state.key.league_id, state.league_version
        assert league_id is not None

        async def load() -> RankedMembers:
            ids = await self._kept_members(league_id, state)
            if ids is None:
                async with self._database.read() as connection:
                    ids = to_ids(await read_ids(connection, members_of_league(league_id)))
                    if await store.league_version(connection, league_id) != version:
                        raise Moved  # they may be those of a later version
            return RankedMembers(ids, version)

        return await self._members.get((state.epoch, league_id), version, load)

    async def _kept_members(self, league_id: LeagueId, state: BoardState) -> Ids | None:
        try:
            return await self._projection.league_members(league_id, state.epoch, state.league_version)
        except ProjectionUnavailable:
            return None


async def kept_boards(
    database: Database, projection: Projection, tournament_id: TournamentId | None = None
) -> list[BoardKey]:
    """Boards that processes keep for one another, of whatever version; of leagues that play a tournament, or of all.

    Raises ProjectionUnavailable.
    """
    async with database.read() as connection:
        asked = await store.boards_of_leagues(connection, tournament_id)
    kept: list[BoardKey] = []
    for start in range(0, len(asked), _ASKED_AT_ONCE):
        kept += await projection.kept_leagues(asked[start : start + _ASKED_AT_ONCE])
    return kept


def rank_league(state: BoardState, tables: Mapping[TournamentId, ScoreTable], members: RankedMembers) -> Ranking:
    """A league's members by the facts of its tournaments, each under the ruleset of its link."""
    counted = state.counted
    settled = rank_settled(state.epoch, counted, tables, members)
    if not any(tables[part.tournament_id].live for part in counted):
        return settled
    return LiveRanking(members.ids, _packed(counted, tables, members, live=True), settled)


def rank_settled(
    epoch: str, counted: Sequence[Part], tables: Mapping[TournamentId, ScoreTable], members: RankedMembers
) -> Ranking:
    """The same without provisional points."""
    digests = [tables[part.tournament_id].stamp.digest for part in counted]  # anew once a board was repaired
    shown = [(part.tournament_id, part.settled_version, part.basis, part.weights) for part in counted]
    name = epoch, shown, digests
    return members.settled(name, lambda: Ranking(members.ids, _packed(counted, tables, members, live=False)))


def _packed(
    counted: Sequence[Part], tables: Mapping[TournamentId, ScoreTable], members: RankedMembers, *, live: bool
) -> Integers:
    parts = []
    for part in counted:
        table = tables[part.tournament_id]
        places = members.places(part.tournament_id, table)
        parts.append((table.pick(part.basis, places, live=live), part.weights))
    return pack_facts(len(members.ids), parts)
