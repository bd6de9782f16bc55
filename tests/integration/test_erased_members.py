"""Boards once an account is deleted: its member is a former one on all of them, or on none."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from domain.clock import utc_now
from domain.execution.exports import file_key
from domain.ids import LeagueId, MemberId
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.export.model import ExportFormat, Wanted
from domain.leaderboard.export.service import export_leaderboard, request_export
from domain.leaderboard.model import AfterRound, AtTime, AtVersion, BoardKey, Moment, RankedRow
from domain.leaderboard.projector import project
from domain.leaderboard.service import Boards
from domain.member.erasure.model import ErasureMode
from domain.member.model import FORMER_MEMBER
from domain.member.service import read_members
from domain.member.tables import members
from domain.tournament.store import raise_versions
from domain.tournament.tables import rounds, tournaments
from integrations.object_store.folder import FolderStore
from integrations.valkey.projection import ValkeyProjection
from live.boards import BoardFeed, Window
from tests.support.boards import places, ranked_at_version, ranked_by_sql, walk
from tests.support.erasure import KEEP, REMOVE, erase
from tests.support.football import (
    MadeTournament,
    make_league,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
)
from tests.support.settlement import database_now, play, work

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

SCORES = [(2, 1), (1, 0), (2, 1), (0, 2), (2, 1)]


class Game:
    """A tournament whose second round has begun, and a league of four of its five members. The third one goes."""

    def __init__(self, database: "PostgresDatabase", projection: ValkeyProjection, files: FolderStore) -> None:
        self.database = database
        self.projection = projection
        self.files = files
        self.boards = [Boards(database, projection, utc_now), Boards(database, None, utc_now)]
        self.made: MadeTournament
        self.league: LeagueId
        self.members: list[MemberId]

    async def begin(self) -> None:
        self.made = await make_tournament(self.database, matches=2, rounds=2, ruleset="kicktipp")
        self.members = await make_members(self.database, 5, joins=[self.made])
        founder, *others = self.members[:4]
        self.league = await make_league(self.database, "Office", founder, members=others, plays=[self.made])
        given = [
            (match_id, member_id, *score)
            for match_id in self.made.matches
            for member_id, score in zip(self.members, SCORES, strict=True)
        ]
        await put_guesses(self.database, self.made, given)
        await pass_lock(self.database, *self.made.matches)
        for round_id, match_id in zip(self.made.rounds, self.made.matches, strict=True):
            await self._begin_round(round_id)
            await play(self.database, match_id, 2, 1)
        self.then = await database_now(self.database)
        await project(self.database, self.projection, self.made.id)

    @property
    def gone(self) -> MemberId:
        return self.members[2]

    @property
    def keys(self) -> list[BoardKey]:
        made, league = self.made, self.league
        return [
            BoardKey(tournament_id=made.id),
            BoardKey(league_id=league),
            BoardKey(league_id=league, tournament_id=made.id),
            BoardKey(tournament_id=made.id, round_id=made.rounds[0]),
            BoardKey(league_id=league, tournament_id=made.id, round_id=made.rounds[1]),
        ]

    def moments(self, key: BoardKey) -> list[Moment | None]:
        moments = [None, AtTime(self.then), AfterRound(self.made.rounds[0])]
        return [*moments, AtVersion(1)] if key.tournament_id else moments

    async def erase(self, mode: ErasureMode) -> None:
        """The member deletes the account; a worker does its part, and boards follow."""
        await erase(self.database, self.gone, mode, self.files)
        async with self.database.begin() as connection:  # within a second, names have a version
            await raise_versions(connection, self.made.id, board=True)
        await project(self.database, self.projection, self.made.id)

    async def _begin_round(self, round_id: object) -> None:
        version = select(tournaments.c.settled_version).where(tournaments.c.id == self.made.id).scalar_subquery()
        begun = {"baseline_version": version, "baseline_at": func.clock_timestamp()}
        async with self.database.begin() as connection:
            await connection.execute(update(rounds).where(rounds.c.id == round_id).values(begun))
            current = update(tournaments).where(tournaments.c.id == self.made.id)
            since = {"movement_version": tournaments.c.settled_version, "movement_at": func.clock_timestamp()}
            await connection.execute(current.values(current_round_id=round_id, **since))

    # ------------------------------------------------------------ who reads

    async def open(self, boards: Boards, key: BoardKey, moment: Moment | None = None) -> OpenBoard:
        board = await boards.open(key, as_of=moment)
        assert board is not None
        return board

    async def all_rows(self) -> dict[tuple[int, BoardKey, Moment | None], list[RankedRow]]:
        """Every board of every moment, by those who serve the game, from both sources."""
        return {
            (number, key, moment): await walk(await self.open(boards, key, moment), 2)
            for number, boards in enumerate(self.boards)
            for key in self.keys
            for moment in self.moments(key)
        }

    async def streamed(self, boards: Boards, key: BoardKey) -> dict[MemberId, str]:
        state = await BoardFeed(self.database, boards).load(Window(key, 50))
        assert state is not None
        return state.sheet.nick_names

    async def exported(self, boards: Boards, key: BoardKey, moment: Moment | None) -> dict[int, str]:
        """Names by position."""
        wanted = Wanted(self.members[0], key, moment, settled_only=True, format=ExportFormat.JSON)
        export = await request_export(self.database, wanted, request_id="test")
        await work(self.database, lambda run: export_leaderboard(run, boards, self.files), export.id)
        content = await self.files.get(file_key(export.id, 1, "json"))
        assert content is not None
        return {row["position"]: row["nickName"] for row in json.loads(content)}


@pytest.fixture
async def game(database: "PostgresDatabase", valkey: Redis, tmp_path: Path) -> Game:
    made = Game(database, ValkeyProjection(valkey), FolderStore(tmp_path))
    await made.begin()
    return made


async def test_a_deleted_account_keeps_its_places_under_the_name_of_all_former_members(game: Game) -> None:
    before = await game.all_rows()
    names = [await game.streamed(boards, key) for boards in game.boards for key in game.keys]

    await game.erase(KEEP)

    assert await game.all_rows() == before
    known = {member.id: member.nick_name for member in (await read_members(game.database, game.members)).values()}
    assert known[game.gone] == FORMER_MEMBER
    for place, (boards, key) in enumerate((boards, key) for boards in game.boards for key in game.keys):
        assert names[place][game.gone].startswith("Member ")
        assert await game.streamed(boards, key) == names[place] | {game.gone: FORMER_MEMBER}
        for moment in game.moments(key):
            board = await game.open(boards, key, moment)
            row = await board.row_of(game.gone)
            assert row is not None
            assert row in await board.around(game.members[0], 3)
            assert (await board.page(first=5, search="former")).rows == (row,)
            others = await board.page(first=5, search="Member")
            assert game.gone not in {found.member_id for found in others.rows}
        names_by_position = {row.position: known[row.member_id] for row in before[0, key, None]}
        assert await game.exported(boards, key, None) == names_by_position
    history = await (await game.open(game.boards[1], game.keys[2])).history([game.gone])
    assert [after.points for after in history[game.gone]] == [4, 8]


async def test_who_is_taken_off_the_boards_is_on_none_of_any_moment(game: Game) -> None:
    await game.all_rows()  # which processes keep

    await game.erase(REMOVE)

    for (_, key, moment), rows in (await game.all_rows()).items():
        if key == game.keys[1]:
            wanted = await ranked_by_sql(game.database, league_id=game.league)
            assert moment is not None or places(rows) == wanted
        else:
            version = 1 if isinstance(moment, AtVersion | AfterRound) else 3
            names = {"league_id": key.league_id, "round_id": key.round_id}
            wanted = await ranked_at_version(game.database, game.made.id, version, game.then, **names)
            assert places(rows) == wanted, (key, moment)
        assert len(rows) == len(game.members) - 1 - (key.league_id is not None)
        assert game.gone not in {row.member_id for row in rows}
    for boards in game.boards:
        assert game.gone not in await game.streamed(boards, game.keys[2])
        in_league = await game.open(boards, game.keys[2])
        assert (await in_league.history([game.gone])).get(game.gone, ()) == ()
        assert await in_league.row_of(game.gone) is None
        exported = await game.exported(boards, game.keys[2], AtVersion(1))
        assert FORMER_MEMBER not in exported.values()
        assert len(exported) == 3


async def test_no_erased_account_keeps_its_name(game: Game) -> None:
    erased = update(members).where(members.c.id == game.gone).values(erased_at=func.clock_timestamp(), email=None)
    async with game.database.begin() as connection:
        with pytest.raises(IntegrityError, match="ck_members_erased"):
            await connection.execute(erased)
