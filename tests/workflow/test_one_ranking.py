"""Whatever happened: every reader shows every member the same row, and SQL window functions rank them alike."""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis
from sqlalchemy import insert

from domain.clock import utc_now
from domain.execution.exports import file_key
from domain.ids import MemberId, new_id
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.export.model import ExportFormat, Wanted
from domain.leaderboard.export.service import export_leaderboard, request_export
from domain.leaderboard.model import BoardKey, BoardSource, RankedRow
from domain.leaderboard.projector import project
from domain.leaderboard.service import Boards
from domain.league.membership.service import leave
from domain.league.model import LeagueRole
from domain.league.store import raise_version
from domain.league.tables import league_members
from domain.member.service import read_members
from domain.tournament.store import raise_versions
from integrations.object_store.folder import FolderStore
from integrations.valkey.projection import ValkeyProjection
from live.boards import BoardFeed, Window
from tests.support.boards import Places, places, ranked_at_version, ranked_by_sql, walk, walk_back
from tests.support.erasure import KEEP, REMOVE, erase
from tests.support.football import (
    MadeTournament,
    join,
    make_league,
    make_member,
    make_members,
    make_tournament,
    pass_lock,
    put_guess,
)
from tests.support.settlement import accept, database_now, settle_queued, void, work

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(600)
SIZES = (1, 2, 7, 50)
STREAMED = 100


class History:
    """Two tournaments, a league that plays both, and chance."""

    def __init__(self, database: "PostgresDatabase", seed: int, files: FolderStore) -> None:
        self.database = database
        self.files = files
        self.chance = random.Random(seed)
        self.made: list[MadeTournament] = []
        self.members: list[MemberId] = []
        self.playing: set[MemberId] = set()

    async def begin(self) -> None:
        """Few scores are guessed, so that many members are level."""
        for ruleset in ("kicktipp", "exact-bonus"):
            self.made.append(await make_tournament(self.database, matches=5, rounds=2, ruleset=ruleset))
        self.members = await make_members(self.database, 12, joins=self.made)
        for made in self.made:
            for match_id in made.matches:
                for member_id in self.members:
                    if self.chance.random() < 0.8:
                        await put_guess(self.database, made, match_id, member_id, *self._score())
            await pass_lock(self.database, *made.matches)
        self.playing = set(self.members[:7])
        founder, *others = self.members[:7]
        self.league = await make_league(
            self.database, "Friends", founder, members=others, viewers=[self.members[7]], plays=self.made
        )

    async def step(self) -> None:
        """A settlement, a correction, a void match, somebody who joins, leaves, or deletes the account."""
        joins = (self._join_tournament, self._join_league)
        happens = self.chance.choices(
            (self._settle, self._void, *joins, self._leave_league, self._erase), (10, 1, 2, 2, 2, 2)
        )[0]
        await happens()

    async def _settle(self) -> None:
        await accept(self.database, self.chance.choice(self._made().matches), *self._score())
        await settle_queued(self.database)

    async def _void(self) -> None:
        await void(self.database, self.chance.choice(self._made().matches))
        await settle_queued(self.database)

    async def _join_tournament(self) -> None:
        self.members.append(await make_member(self.database, f"Late {new_id().hex[-8:]}"))
        for made in self.made:
            await join(self.database, made.id, self.members[-1:])
            async with self.database.begin() as connection:
                await raise_versions(connection, made.id, board=True)

    async def _join_league(self) -> None:
        outside = sorted(set(self.members[8:]) - self.playing)
        if not outside:
            return
        member_id = self.chance.choice(outside)
        values = {"id": new_id(), "league_id": self.league, "member_id": member_id, "role": LeagueRole.MEMBER}
        async with self.database.begin() as connection:
            await connection.execute(insert(league_members).values(values))
            await raise_version(connection, self.league)
        self.playing.add(member_id)

    async def _leave_league(self) -> None:
        inside = sorted(self.playing - {self.members[0]})
        if not inside:
            return
        member_id = self.chance.choice(inside)
        await leave(self.database, member_id, self.league, "test")
        self.playing.discard(member_id)

    async def _erase(self) -> None:
        member_id = self.chance.choice(self.members[1:])
        self.members.remove(member_id)
        self.playing.discard(member_id)
        await erase(self.database, member_id, self.chance.choice((KEEP, REMOVE)), self.files)

    def _made(self) -> MadeTournament:
        return self.chance.choice(self.made)

    def _score(self) -> tuple[int, int]:
        return self.chance.randrange(3), self.chance.randrange(2)


async def expected(history: History, key: BoardKey) -> Places:
    """The board by window functions; of a round or a league in a tournament from guesses and results alone."""
    database = history.database
    if key.league_id is None and key.round_id is None:
        return await ranked_by_sql(database, tournament_id=key.tournament_id)
    if key.tournament_id is None and key.round_id is None:
        return await ranked_by_sql(database, league_id=key.league_id)
    (made,) = (made for made in history.made if made.id == key.tournament_id or key.round_id in made.rounds)
    now = await database_now(database)
    return await ranked_at_version(database, made.id, 10**6, now, league_id=key.league_id, round_id=key.round_id)


def boards_of(history: History) -> list[BoardKey]:
    one, two = history.made
    return [
        BoardKey(tournament_id=one.id),
        BoardKey(league_id=history.league),
        BoardKey(league_id=history.league, tournament_id=two.id),
        BoardKey(round_id=one.rounds[0]),
        BoardKey(league_id=history.league, round_id=two.rounds[1]),
    ]


async def assert_every_reader_agrees(board: OpenBoard, rows: list[RankedRow]) -> None:
    """Pages of all sizes both ways, each member's own row, and those around it."""
    for size in SIZES:
        assert await walk(board, size) == rows
        assert await walk_back(board, size) == rows
    for row in rows:
        assert await board.row_of(row.member_id) == row
        for radius in (1, 3):
            first, last = max(row.position - 1 - radius, 0), row.position + radius
            assert await board.around(row.member_id, radius) == rows[first:last]
    assert await board.row_of(MemberId(new_id())) is None


async def streamed(database: "PostgresDatabase", boards: Boards, key: BoardKey) -> tuple[RankedRow, ...]:
    """The rows of the snapshot that a stream of the board begins with."""
    feed = BoardFeed(database, boards)
    state = await feed.load(Window(key, STREAMED))
    assert state is not None
    return feed.snapshot(state).rows


async def exported(
    database: "PostgresDatabase", boards: Boards, files: FolderStore, member_id: MemberId, board: OpenBoard
) -> list[tuple[object, ...]]:
    """The rows of a file of the board, as an execution writes it: nick name, ranks and scores."""
    wanted = Wanted(member_id, board.head.key, None, settled_only=True, format=ExportFormat.JSON)
    export = await request_export(database, wanted, request_id="test")
    await work(database, lambda run: export_leaderboard(run, boards, files), export.id)
    content = await files.get(file_key(export.id, 1, "json"))
    assert content is not None
    names = (
        "nickName",
        "position",
        "rank",
        "denseRank",
        "tied",
        "points",
        "exactScores",
        "goalDifferences",
        "outcomes",
    )
    return [tuple(row[name] for name in names) for row in json.loads(content)]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_page_own_row_neighbours_export_and_stream_show_one_ranking(
    database: "PostgresDatabase", valkey: Redis, tmp_path: Path, seed: int
) -> None:
    files = FolderStore(tmp_path)
    history = History(database, seed, files)
    await history.begin()
    projection = ValkeyProjection(valkey)
    sources = {
        BoardSource.PROJECTION: Boards(database, projection, utc_now),
        BoardSource.DATABASE: Boards(database, None, utc_now),
    }
    level = 0
    for _ in range(3):
        for _ in range(6):
            await history.step()
        for made in history.made:
            await project(database, projection, made.id)
        for key in boards_of(history):
            wanted = await expected(history, key)
            level += len(wanted) - len({place[2] for place in wanted})
            known = await read_members(database, [place[0] for place in wanted])
            named = [(known[place[0]].nick_name, *place[1:]) for place in wanted]
            for source, boards in sources.items():
                board = await boards.open(key)
                assert board is not None
                assert board.head.source is (BoardSource.DATABASE if key.round_id else source)
                rows = await walk(board, 50)
                assert places(rows) == wanted, (seed, key, source)
                await assert_every_reader_agrees(board, rows)
                assert await streamed(database, boards, key) == tuple(rows)
                assert await exported(database, boards, files, history.members[0], board) == named
    assert level > 10, "many must be level"
