"""Boards of leagues, ranked when somebody reads or watches them, from facts that a process keeps for each version.

A process that has not got the facts takes the board that another one kept, else it fetches them and keeps the board.
With provisional points, or once the facts are here, ranking costs less than asking.
"""

from collections.abc import Mapping
from contextlib import suppress

from domain.database import Database
from domain.ids import LeagueId, TournamentId
from domain.leaderboard import store
from domain.leaderboard.cache import VersionCache
from domain.leaderboard.fold import store as fold
from domain.leaderboard.model import BoardState
from domain.leaderboard.ports import LeagueBoard, Projection, ProjectionUnavailable
from domain.leaderboard.provisional.overlay import LiveRanking
from domain.leaderboard.ranking import Ids, Integers, Ranking, ScoreTable, Stamp, add, to_ids, weigh
from domain.leaderboard.readers import Moved


class _Table:
    """Facts of a tournament; None when the projection held another state by then."""

    def __init__(self, table: ScoreTable | None, version: int) -> None:
        self.table = table
        self.version = version


class _Members:
    def __init__(self, ids: Ids, version: int) -> None:
        self.ids = ids
        self.version = version


class LeagueBoards:
    """One a process."""

    def __init__(self, database: Database, projection: Projection, kept_members: int) -> None:
        """`kept_members`: how many members, over all tournaments, and over all leagues, are kept."""
        self._database = database
        self._projection = projection
        self._tables: VersionCache[_Table] = VersionCache(kept_members, lambda kept: len(kept.table or ()))
        self._members: VersionCache[_Members] = VersionCache(kept_members, lambda kept: len(kept.ids))

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
            part.tournament_id: await self._table(part.tournament_id, stamps[part.tournament_id])
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

    async def _table(self, tournament_id: TournamentId, stamp: Stamp) -> ScoreTable:
        async def load() -> _Table:
            return _Table(await self._projection.table(tournament_id, stamp), stamp.board_version)

        found = await self._tables.get((stamp.epoch, tournament_id), stamp.board_version, load)
        if found.table is None:
            self._tables.forget((stamp.epoch, tournament_id))
        if found.table is None or found.version != stamp.board_version:
            raise Moved
        return found.table

    async def _ranked_members(self, state: BoardState) -> Ids:
        league_id, version = state.key.league_id, state.league_version
        assert league_id is not None

        async def load() -> _Members:
            ids = await self._kept_members(league_id, state)
            if ids is None:
                async with self._database.read() as connection:
                    ids = to_ids(await fold.read_ids(connection, fold.members_of_league(league_id)))
                    if await store.league_version(connection, league_id) != version:
                        raise Moved  # they may be those of a later version
            return _Members(ids, version)

        return (await self._members.get((state.epoch, league_id), version, load)).ids

    async def _kept_members(self, league_id: LeagueId, state: BoardState) -> Ids | None:
        try:
            return await self._projection.league_members(league_id, state.epoch, state.league_version)
        except ProjectionUnavailable:
            return None


def rank_league(state: BoardState, tables: Mapping[TournamentId, ScoreTable], members: Ids) -> Ranking:
    """A league's members (ascending) by the facts of its tournaments, each under the ruleset of its link."""

    def scores(*, live: bool) -> Integers:
        parts = [(tables[part.tournament_id], part) for part in state.counted]
        return add(members, [weigh(table.pick(part.basis, members, live=live), part.weights) for table, part in parts])

    settled = Ranking.of(members, scores(live=False))
    if not any(table.live for table in tables.values()):
        return settled
    return LiveRanking.beside(settled, members, scores(live=True))
