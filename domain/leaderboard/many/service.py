"""Use case: boards of leagues that many clients follow, opened together.

A goal moves all leagues of its tournament at once. What they depend on is then read for all of them, the tournament's
facts are taken from the projection once a version, and who is in a league is kept until the league changes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from domain.database import Database
from domain.gathered import Gathered
from domain.ids import MemberId, TournamentId
from domain.leaderboard.board import Opened, head_of
from domain.leaderboard.fold import store as fold
from domain.leaderboard.leagues import LeagueBoards, rank_league
from domain.leaderboard.many import store
from domain.leaderboard.many.held import Held
from domain.leaderboard.many.rosters import Roster, Rosters
from domain.leaderboard.model import BoardKey, BoardSource, BoardState
from domain.leaderboard.ports import Projection
from domain.leaderboard.ranking import ScoreTable
from domain.leaderboard.readers import RankingReader
from domain.leaderboard.store import snapshot

_AT_ONCE = 64
"""So many boards are read by one statement: some milliseconds."""


class Unprojected(Exception):
    """The projection does not hold what a board depends on, and has been waited for long enough."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What a board is ranked from. Tournaments that the projection does not hold are missing in `tables`."""

    state: BoardState
    counted: Sequence[TournamentId]
    roster: Roster
    tables: Mapping[TournamentId, ScoreTable]

    @property
    def missing(self) -> list[TournamentId]:
        return [tournament_id for tournament_id in self.counted if tournament_id not in self.tables]

    def rank(self) -> Opened:
        state, tables = self.state, self.tables
        ranking = rank_league(state, tables, self.roster)
        moments = (tables[tournament_id].stamp.computed_at for tournament_id in self.counted)
        head = head_of(state, BoardSource.PROJECTION, min(moments, default=state.read_at), len(ranking))
        return Opened(state, head, RankingReader(ranking), self.roster.names)


class ManyLeagues:
    """One a process."""

    def __init__(
        self, database: Database, projection: Projection, leagues: LeagueBoards, kept_members: int, patience: float
    ) -> None:
        """What boards are read from.

        Args:
            database: the truth.
            projection: holds the facts of tournaments.
            leagues: keeps these facts.
            kept_members: how many members, over all leagues, are kept.
            patience: how many seconds the projection may be behind the database before it is not waited for.
        """
        self._database = database
        self._rosters = Rosters(kept_members)
        self._held = Held(projection, leagues, patience)
        self._boards: Gathered[BoardKey, _Read] = Gathered(self._read, most=_AT_ONCE)

    async def open(self, key: BoardKey) -> Opened | None:
        """A league's board without a round; None when there is no such board.

        Raises:
            Unprojected: it is to be read from the database.
        """
        while True:
            found = (await self._boards.read([key])).get(key)
            if found is None:
                return None
            missing = found.missing
            if not missing:
                return found.rank()
            if not all(self._held.is_awaited(tournament_id) for tournament_id in missing):
                raise Unprojected
            await self._held.changed(missing)

    async def _read(self, keys: Collection[BoardKey]) -> Mapping[BoardKey, _Read]:
        async with snapshot(self._database) as connection:
            states = await store.read_states(connection, keys)
            rosters = await self._rosters.of(connection, states.values())
        tables = await self._held.tables(states.values())
        return {
            key: _Read(state, [part.tournament_id for part in state.counted], rosters[state.key.league_id], tables)
            for key, state in states.items()
            if state.key.league_id is not None
        }


_Counted = tuple[tuple[TournamentId, ...], tuple[TournamentId, ...]]
"""Tournaments, and those of them in which the score after 90 minutes counts."""


@dataclass(frozen=True, slots=True)
class _Question:
    """How many a member had guessed: the same of any board that counts the same matches."""

    counted: _Counted
    member_id: MemberId
    state: BoardState = field(compare=False)


class ManyGuessed:
    """How many settled matches members of boards had guessed, for all boards that ask at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: Gathered[_Question, int] = Gathered(self._read)

    async def of(self, state: BoardState, member_ids: Collection[MemberId]) -> dict[MemberId, int]:
        """Of a present board that is no round's."""
        counted = tuple(part.tournament_id for part in state.counted), tuple(state.count_regulation)
        asked = {member_id: _Question(counted, member_id, state) for member_id in member_ids}
        found = await self._counts.read(list(asked.values()))
        return {member_id: found.get(question, 0) for member_id, question in asked.items()}

    async def _read(self, asked: list[_Question]) -> Mapping[_Question, int]:
        boards: dict[_Counted, list[_Question]] = {}
        for question in asked:
            boards.setdefault(question.counted, []).append(question)
        found: dict[_Question, int] = {}
        async with self._database.read() as connection:
            for questions in boards.values():
                member_ids = [question.member_id for question in questions]
                numbers = await fold.count_guessed(connection, questions[0].state, member_ids)
                found |= {question: numbers.get(question.member_id, 0) for question in questions}
        return found
