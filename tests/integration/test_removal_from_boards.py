"""Who deletes the account and wishes to go from boards: they are as if the member had never been there, all of them."""

import asyncio
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select, text

from domain.clock import utc_now
from domain.execution.model import Operation, Target
from domain.execution.run import Run
from domain.guess.amendment.store import swap_guesses
from domain.guess.tables import guess_revisions, guesses, tournament_members
from domain.ids import LeagueId, MemberId
from domain.leaderboard.audit.service import verify_projection
from domain.leaderboard.model import AtVersion, BoardKey, BoardSource, Moment, RankedRow
from domain.leaderboard.past import service as past
from domain.leaderboard.projector import project
from domain.leaderboard.service import Boards
from domain.league.membership.service import leave
from domain.member.erasure.service import delete_account
from domain.member.erasure.work import erase_member
from domain.member.model import FORMER_MEMBER
from domain.scoring.model import ScoreBasis
from domain.settlement.judged.store import keep_judged
from domain.settlement.result.service import resettle
from domain.settlement.rules import effect_digest
from domain.settlement.store import read_scorelines
from domain.settlement.tables import judged_guesses, member_scores, settlements
from domain.tournament.model import TournamentMode
from integrations.object_store.folder import FolderStore
from integrations.valkey.projection import ValkeyProjection
from live.events import Delta, Snapshot
from runtime.migrate import downgrade, upgrade
from tasks.relay import raise_boards_once
from tests.support.boards import walk
from tests.support.corrections import assert_proven
from tests.support.crashes import CRASHES, Crash, crash_at
from tests.support.erasure import KEEP, REMOVE, delete, erase, left_to_do
from tests.support.executions import until
from tests.support.football import (
    MadeTournament,
    make_league,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
)
from tests.support.live import api_process, follow, relay
from tests.support.runs import run_now
from tests.support.settlement import accept, claim, finish, in_play, play, settle_queued

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

pytestmark = pytest.mark.timeout(600)

GUESSES = [(2, 1), (1, 0), (1, 2), (0, 2), (2, 1), (3, 1), (1, 2)]
OF_MEMBER = (guesses, guess_revisions, judged_guesses, member_scores, tournament_members)


class Season:
    """Seven members: a result was corrected, a match had its sides turned, one is in play, one is to come.

    The third member goes: still in one league, and gone from another one before.
    """

    def __init__(self, database: "PostgresDatabase", projection: ValkeyProjection, files: FolderStore) -> None:
        self.database = database
        self.projection = projection
        self.files = files
        self.made: MadeTournament
        self.members: list[MemberId]
        self.leagues: list[LeagueId]

    async def begin(self) -> None:
        mode = TournamentMode.REGULAR_SEASON_AND_KNOCKOUT
        self.made = await make_tournament(self.database, matches=4, rounds=2, ruleset="kicktipp", mode=mode)
        self.members = await make_members(self.database, 7, joins=[self.made])
        ana, *others = self.members
        self.leagues = [
            await make_league(self.database, name, ana, members=members, plays=[self.made])
            for name, members in (("Office", others[:4]), ("Family", others[1:5]))
        ]
        given = {
            (match_id, member_id): score
            for match_id in self.made.matches
            for member_id, score in zip(self.members, GUESSES, strict=True)
        }
        given[self.made.matches[0], self.gone] = (0, 4)  # which nobody else guesses
        await put_guesses(self.database, self.made, [(*of, *score) for of, score in given.items()])
        corrected, turned, live, _ = self.made.matches
        await pass_lock(self.database, corrected, turned, live)
        await play(self.database, corrected, 2, 1)
        await leave(self.database, self.gone, self.leagues[1], "test")
        await play(self.database, turned, 2, 1)
        await accept(self.database, corrected, 1, 0, cause="CORRECTION", source="OVERRIDE")
        await settle_queued(self.database)
        async with self.database.begin() as connection:
            await keep_judged(connection, turned)
            await swap_guesses(connection, turned)
            await resettle(connection, [turned], request_id="test")
        await settle_queued(self.database)
        await in_play(self.database, self.made.id, live, 1, 2, home_regulation=1, away_regulation=2)
        await project(self.database, self.projection, self.made.id)

    @property
    def gone(self) -> MemberId:
        return self.members[2]

    def places(self) -> list[tuple[BoardKey, Moment | None]]:
        made, moments = self.made, [None, *(AtVersion(version) for version in range(5))]
        keys = [
            BoardKey(tournament_id=made.id),
            *(BoardKey(league_id=league, tournament_id=made.id) for league in self.leagues),
            *(BoardKey(tournament_id=made.id, round_id=one) for one in made.rounds),
        ]
        return [(key, moment) for key in keys for moment in moments] + [(BoardKey(self.leagues[0]), None)]

    async def rows(self, boards: Boards) -> dict[tuple[BoardKey, Moment | None], list[RankedRow]]:
        found = {}
        for key, moment in self.places():
            board = await boards.open(key, as_of=moment)
            assert board is not None
            found[key, moment] = await walk(board, 3)
        return found

    async def count(self) -> list[int]:
        """Rows of the member that goes, in each of the tables."""
        of_member = [select(func.count()).where(table.c.member_id == self.gone) for table in OF_MEMBER]
        async with self.database.read() as connection:
            return [(await connection.execute(statement)).scalar_one() for statement in of_member]

    async def counters(self) -> tuple[int, ...]:
        statement = text("SELECT settled_version, removals, board_version FROM tournaments")
        async with self.database.read() as connection:
            return tuple((await connection.execute(statement)).one())


def ranked_again(rows: list[RankedRow], gone: MemberId) -> list[RankedRow]:
    """The rows of the others, ranked by hand: once by all that counts, once by what is settled."""

    def is_level(row: RankedRow) -> tuple[int, ...]:
        return row.points, row.exact_scores, row.goal_differences, row.outcomes

    left = [row for row in rows if row.member_id != gone]
    lost = next((row for row in rows if row.member_id == gone), None)
    found: list[RankedRow] = []
    for dense, (_, level) in enumerate(groupby(left, is_level), start=1):
        group, rank = list(level), len(found) + 1
        for row in group:
            was_behind = lost is not None and lost.settled_rank < row.settled_rank
            changed = {"position": len(found) + 1, "rank": rank, "dense_rank": dense, "tied": len(group)}
            found.append(replace(row, **changed, settled_rank=row.settled_rank - was_behind))
    return [replace(row, separated_by=None) for row in found]


@pytest.fixture
async def season(database: "PostgresDatabase", valkey: Redis, tmp_path: Path) -> Season:
    made = Season(database, ValkeyProjection(valkey), FolderStore(tmp_path))
    await made.begin()
    return made


async def test_boards_of_every_moment_are_ranked_again_also_those_that_processes_keep(
    season: Season, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "UNSURE_SECONDS", 0)  # soon after its moment a board is not kept
    processes = [Boards(season.database, projection, utc_now) for projection in (season.projection, None)]
    before = [await season.rows(boards) for boards in processes]
    assert sum(season.gone in {row.member_id for row in rows} for rows in before[0].values()) > 20

    await erase(season.database, season.gone, REMOVE, season.files)
    await project(season.database, season.projection, season.made.id)

    for boards, rows in zip(processes, before, strict=True):
        after = await season.rows(boards)
        for place, found in after.items():
            wanted = ranked_again(rows[place], season.gone)
            assert [replace(row, separated_by=None) for row in found] == wanted, place
        assert after == await season.rows(Boards(season.database, None, utc_now))
    board = await processes[0].open(BoardKey(tournament_id=season.made.id))
    assert board is not None
    assert board.head.source is BoardSource.PROJECTION
    assert await season.count() == [0] * len(OF_MEMBER)


async def test_the_proofs_hold_and_the_removal_is_a_version_of_its_own(season: Season) -> None:
    settled, removals, _ = await season.counters()
    assert await season.count() == [4, 5, 1, 2, 1]

    await erase(season.database, season.gone, REMOVE, season.files)
    await project(season.database, season.projection, season.made.id)

    assert (await season.counters())[:2] == (settled + 1, removals + 1)
    await assert_proven(season.database, season.made.id)
    async with season.database.read() as connection:
        versions = text("SELECT kind, length(digest), settlement_id FROM score_versions ORDER BY version DESC LIMIT 1")
        assert tuple((await connection.execute(versions)).one()) == ("MEMBER_REMOVED", 64, None)
        found = (await connection.execute(select(settlements))).all()
        proofs = await read_scorelines(connection, [row.id for row in found])
    assert len(found) == settled  # superseded ones too
    for row in found:
        lines = proofs[row.id]
        assert row.effect_digest == effect_digest(row.match_id, row.revision, lines)
        assert {sum(line.guesses for line in lines if line.basis is basis) for basis in ScoreBasis} == {row.guesses}
        assert row.guesses == len(season.members) - 1
        assert min(line.guesses for line in lines) == 1

    async def verify(run: Run) -> None:
        await verify_projection(run, season.projection)

    run = await run_now(season.database, Operation.VERIFY_PROJECTION, verify, Target(season.made.id))
    assert (run.progress().counts.failed, run.progress().counts.updated) == (0, 0)
    await play(season.database, season.made.matches[2], 3, 1)
    await accept(season.database, season.made.matches[0], 1, 1, cause="CORRECTION", source="OVERRIDE")
    await settle_queued(season.database)
    await assert_proven(season.database, season.made.id)


async def test_a_removal_outlives_a_downgrade(season: Season, database_url: str) -> None:
    await erase(season.database, season.gone, REMOVE, season.files)
    await downgrade(database_url, "0012")
    await upgrade(database_url)
    assert await season.count() == [0] * len(OF_MEMBER)
    await assert_proven(season.database, season.made.id)
    async with season.database.read() as connection:
        left = text("SELECT count(*) FROM executions WHERE operation = 'ERASE_MEMBER'")
        assert (await connection.execute(left)).scalar_one() == 0


async def test_who_keeps_the_guesses_is_paid_and_ranked_on(season: Season) -> None:
    boards = Boards(season.database, season.projection, utc_now)
    before, counts = await season.rows(boards), await season.count()

    await erase(season.database, season.gone, KEEP, season.files)

    assert await season.rows(boards) == before
    assert await season.count() == counts
    await play(season.database, season.made.matches[2], 1, 2)
    await assert_proven(season.database, season.made.id)
    board = await boards.open(BoardKey(tournament_id=season.made.id))
    assert board is not None
    row = await board.row_of(season.gone)
    assert row is not None
    assert row.exact_scores == 2


async def test_a_board_that_is_watched_moves_on_by_itself(season: Season, valkey: Redis, valkey_url: str) -> None:
    async with api_process(season.database, valkey_url) as process:
        keys = [BoardKey(tournament_id=season.made.id), BoardKey(season.leagues[0])]
        streams = [follow(process, key) for key in keys]
        first = [await anext(stream) for stream in streams]
        assert all(season.gone in {row.member_id for row in event.rows} for event in first)

        await erase(season.database, season.gone, REMOVE, season.files)
        await relay(season.database, valkey)

        for stream in streams:
            async with asyncio.timeout(20):
                while not _tells_of_leaving(await anext(stream), season.gone):
                    pass
            await stream.aclose()  # type: ignore[attr-defined]


async def test_a_board_that_is_watched_shows_the_name_of_former_members(season: Season, valkey_url: str) -> None:
    async with api_process(season.database, valkey_url) as process:
        keys = [BoardKey(tournament_id=season.made.id), BoardKey(season.leagues[0])]
        streams = [follow(process, key) for key in keys]
        for stream in streams:
            assert (await anext(stream)).members[season.gone].nick_name == "Member 2"

        await delete(season.database, season.gone, KEEP)
        await until(partial(raise_boards_once, season.database))  # the relay does, a second later

        for stream in streams:
            async with asyncio.timeout(20):
                while not _tells_of_another_name(await anext(stream), season.gone):
                    pass
            await stream.aclose()  # type: ignore[attr-defined]


def _tells_of_another_name(event: object, gone: MemberId) -> bool:
    named = event.members if isinstance(event, Delta | Snapshot) else {}
    return gone in named and named[gone].nick_name == FORMER_MEMBER


def _tells_of_leaving(event: object, gone: MemberId) -> bool:
    """A delta does; who was slow to read gets a whole board instead."""
    if isinstance(event, Snapshot):
        return gone not in {row.member_id for row in event.rows}
    return isinstance(event, Delta) and gone.bytes in event.left


@pytest.mark.parametrize("kind", Crash)
async def test_wherever_it_is_cut_short_it_ends_the_same(season: Season, kind: Crash) -> None:
    """Each try crashes one statement later than the one before."""
    boards = Boards(season.database, None, utc_now)
    before, (settled, removals, board_version) = await season.rows(boards), await season.counters()
    number = 0
    while True:
        number += 1
        with crash_at(season.database, number, kind):
            try:
                await delete_account(
                    season.database, season.gone, REMOVE, confirm_nick_name="Member 2", request_id="test"
                )
            except CRASHES:
                assert await season.counters() == (settled, removals, board_version)
            else:
                break
    assert number > 10
    run = await claim(season.database, await left_to_do(season.database))
    number, tries = 0, 0
    while True:
        number, tries = number + 1, tries + 1
        with crash_at(season.database, number, kind):
            try:
                await erase_member(Run(run.execution, season.database, utc_now), season.files)
            except CRASHES:
                continue
        break
    await finish(run)

    assert tries > 25
    assert await season.counters() == (settled + 1, removals + 1, board_version + 1)
    assert await season.count() == [0] * len(OF_MEMBER)
    await assert_proven(season.database, season.made.id)
    async with season.database.read() as connection:
        versions = (await connection.execute(text("SELECT board_version FROM leagues ORDER BY name"))).scalars()
        # Family was left, and forgotten; Office had another name, and then a place less.
        assert list(versions) == [2, 2]
    after = await season.rows(boards)
    for place, rows in before.items():
        assert [replace(row, separated_by=None) for row in after[place]] == ranked_again(rows, season.gone)
