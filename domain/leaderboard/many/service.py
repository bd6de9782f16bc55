"""Use case: boards of leagues that many clients follow, opened together.

A goal moves all leagues of its tournament at once. What they depend on is then read for all of them, the tournament's
facts are taken from the projection once a version, and who is in a league is kept until the league changes.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from domain.database import Database
from domain.gathered import Gathered
from domain.ids import MemberId, TournamentId
from domain.leaderboard.board import Opened, head_of
from domain.leaderboard.fold import store as fold
from domain.leaderboard.many import store
from domain.leaderboard.many.held import Held
from domain.leaderboard.many.rosters import Roster, Rosters
from domain.leaderboard.many.together import TopReader, read_together
from domain.leaderboard.model import BoardKey, BoardSource, BoardState
from domain.leaderboard.score_table import ScoreTable

_AT_ONCE = 64
"""So many boards are read by one statement: some milliseconds."""
_COUNTED_AT_ONCE = 16
"""Of so many boards what members had guessed is counted by one statement: of some hundred members."""
_TURN = 4
"""So many are ranked in one turn of the event loop: two milliseconds when nothing is known of them."""


class Unprojected(Exception):
    """The projection does not hold what a board depends on, and has been waited for long enough."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What a board is ranked from. Tournaments that the projection does not hold are missing in `tables`."""

    state: BoardState
    roster: Roster
    tables: Mapping[TournamentId, ScoreTable]
    reader: TopReader | None
    """None when one is missing, or a score cannot be ranked."""

    @property
    def missing(self) -> list[TournamentId]:
        return _missing(self.state, self.tables)

    def opened(self, reader: TopReader) -> Opened:
        state = self.state
        moments = (self.tables[part.tournament_id].stamp.computed_at for part in state.counted)
        head = head_of(state, BoardSource.PROJECTION, min(moments, default=state.read_at), len(self.roster.ids))
        return Opened(state, head, reader, self.roster.names)


def _missing(state: BoardState, tables: Mapping[TournamentId, ScoreTable]) -> list[TournamentId]:
    return [part.tournament_id for part in state.counted if part.tournament_id not in tables]


class ManyLeagues:
    """One a process."""

    def __init__(self, database: Database, held: Held, kept_members: int) -> None:
        """`held`: the facts of tournaments. `kept_members`: how many, over all leagues, are kept."""
        self._database = database
        self._rosters = Rosters(kept_members)
        self._held = held
        self._boards: Gathered[BoardKey, _Read] = Gathered(self._read, most=_AT_ONCE)

    async def open(self, key: BoardKey) -> Opened | None:
        """A league's board without a round; None when there is no such board.

        Raises:
            Unprojected: it is to be read from the database.
        """
        # Of a thousand boards that move at once few are read in vain before it is known what the projection lacks.
        if behind := [one for one in self._rosters.counted(key) if self._held.is_to_come(one)]:
            await self._held.changed(behind)
        while True:
            found = (await self._boards.read([key])).get(key)
            if found is None:
                return None
            if found.reader is not None:
                return found.opened(found.reader)
            missing = found.missing
            if not missing:
                raise OverflowError("A score of this board cannot be ranked.")
            if not all(self._held.is_awaited(tournament_id) for tournament_id in missing):
                raise Unprojected
            await self._held.changed(missing)

    async def _read(self, keys: Collection[BoardKey]) -> Mapping[BoardKey, _Read]:
        async with self._database.snapshot() as connection:
            states = await store.read_states(connection, keys)
            found = await self._rosters.of(connection, states.values())
        rosters = {key: found[key.league_id] for key in states if key.league_id is not None}
        for key, roster in rosters.items():
            roster.counted[key.tournament_id] = [part.tournament_id for part in states[key].counted]
        tables = await self._held.tables(states.values())
        whole = [key for key, state in states.items() if not _missing(state, tables)]
        readers = dict[BoardKey, TopReader | None]()
        for begin in range(0, len(whole), _TURN):
            some = whole[begin : begin + _TURN]
            ranked = read_together([states[key] for key in some], [rosters[key] for key in some], tables)
            readers.update(zip(some, ranked, strict=True))
            await asyncio.sleep(0)
        return {key: _Read(state, rosters[key], tables, readers.get(key)) for key, state in states.items()}


_Counted = tuple[tuple[tuple[TournamentId, int], ...], tuple[TournamentId, ...]]
"""Tournaments with the versions that are shown, and those of them in which the score after 90 minutes counts."""


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """How many some members had guessed: the same of any board that counts the same matches."""

    counted: _Counted
    member_ids: Collection[MemberId]
    state: BoardState


class ManyGuessed:
    """How many settled matches members of boards had guessed, for all boards that ask at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: Gathered[_Question, Mapping[MemberId, int]] = Gathered(self._read, most=_COUNTED_AT_ONCE)

    async def of(self, state: BoardState, member_ids: Collection[MemberId]) -> dict[MemberId, int]:
        """Of a present board that is no round's."""
        parts = tuple((part.tournament_id, part.settled_version) for part in state.counted)
        question = _Question((parts, tuple(state.count_regulation)), member_ids, state)
        numbers = (await self._counts.read([question]))[question]
        return {member_id: numbers.get(member_id, 0) for member_id in member_ids}

    async def _read(self, asked: list[_Question]) -> Mapping[_Question, Mapping[MemberId, int]]:
        boards: dict[_Counted, list[_Question]] = {}
        for question in asked:
            boards.setdefault(question.counted, []).append(question)
        found: dict[_Question, Mapping[MemberId, int]] = {}
        async with self._database.read() as connection:
            for questions in boards.values():
                member_ids = {member_id for question in questions for member_id in question.member_ids}
                numbers = await fold.count_guessed(connection, questions[0].state, member_ids)
                found |= dict.fromkeys(questions, numbers)
        return found
