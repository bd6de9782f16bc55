"""The audit of boards: what is broken is told, what drifted is repaired, what is in order is left alone."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, insert, select, text, update

from domain.clock import utc_now
from domain.errors import InvariantBroken
from domain.execution.model import Operation, Target
from domain.execution.run import Run
from domain.execution.tables import executions
from domain.guess.amendment.store import swap_guesses
from domain.guess.tables import tournament_members
from domain.ids import LeagueId, TournamentId, new_id
from domain.ingestion.store import read_tournament
from domain.leaderboard.audit.leagues import league_drift
from domain.leaderboard.audit.model import LEDGER_STEP
from domain.leaderboard.audit.service import check, count_breaches, verify_projection
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.loading import load
from domain.leaderboard.model import BoardKey, RankedRow
from domain.leaderboard.ports import ProjectionUnavailable
from domain.leaderboard.projector import project, rebuild_projection, rewrite
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.leaderboard.service import Boards
from domain.league.link.store import follow_tournament
from domain.league.membership.service import leave
from domain.league.tables import league_members
from domain.match.tables import matches
from domain.settlement.judged.store import keep_judged
from domain.settlement.result.service import resettle
from domain.settlement.tables import member_scores, score_versions, settlements
from domain.tournament.model import TournamentMode, TournamentStatus
from domain.tournament.store import raise_versions
from domain.tournament.tables import tournaments
from integrations.valkey.leagues import league_key
from integrations.valkey.projection import ValkeyProjection, key
from integrations.valkey.ticks import BOARDS
from runtime.commands.projection import _rebuild
from runtime.metrics.meters import Metrics
from tests.support.boards import places, ranked_by_sql
from tests.support.football import MadeTournament, make_league, make_members, make_tournament, pass_lock, put_guesses
from tests.support.runs import run_now
from tests.support.settlement import accept, in_play, play, settle_queued
from tests.support.statements import until_one_waits

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from runtime.database import PostgresDatabase


@pytest.fixture
def projection(valkey: Redis) -> ValkeyProjection:
    return ValkeyProjection(valkey)


@pytest.fixture
async def tournament(database: "PostgresDatabase", projection: ValkeyProjection) -> MadeTournament:
    """Three matches, one of them settled, twelve members, and its board projected."""
    made = await make_tournament(database, matches=3, mode=TournamentMode.REGULAR_SEASON_AND_KNOCKOUT)
    members = await make_members(database, 12, joins=[made])
    await put_guesses(
        database, made, [(made.matches[0], member_id, n % 3, n % 2) for n, member_id in enumerate(members)]
    )
    await pass_lock(database, *made.matches)
    await play(database, made.matches[0], 2, 1)
    await project(database, projection, made.id)
    return made


class Audit:
    """Runs the operation, and keeps the run, also when it is refused."""

    def __init__(self, database: "PostgresDatabase", projection: ValkeyProjection) -> None:
        self._database = database
        self._projection = projection
        self.runs: list[Run] = []

    async def __call__(self, tournament_id: TournamentId | None = None) -> Run:
        async def handler(run: Run) -> None:
            self.runs.append(run)
            await verify_projection(run, self._projection)

        await run_now(self._database, Operation.VERIFY_PROJECTION, handler, Target(tournament_id))
        return self.runs[-1]


@pytest.fixture
def audit(database: "PostgresDatabase", projection: ValkeyProjection) -> Audit:
    return Audit(database, projection)


def steps_of(run: Run) -> dict[str, tuple[int, int, int]]:
    """Updated, unchanged and failed of each step."""
    return {
        step.name: (step.counts.updated, step.counts.unchanged, step.counts.failed) for step in run.progress().steps
    }


def rejected_of(run: Run) -> list[str]:
    return [line for lines in run.rejected().values() for line in lines]


async def test_what_is_in_order_is_left_alone(tournament: MadeTournament, audit: Audit, valkey: Redis) -> None:
    before = await valkey.get(key(tournament.id, "stamp"))
    for target in (None, tournament.id):
        run = await audit(target)
        assert steps_of(run) == {
            "Ledger": (0, 1, 0),
            "Delays": (0, 0, 0),
            "Projections": (0, 1, 0),
            "League boards": (0, 0, 0),
        }
    assert await valkey.get(key(tournament.id, "stamp")) == before


async def test_guesses_that_changed_and_are_not_settled_anew_yet_break_nothing(
    database: "PostgresDatabase", tournament: MadeTournament, audit: Audit
) -> None:
    async with database.begin() as connection:
        await keep_judged(connection, tournament.matches[0])
        assert await swap_guesses(connection, tournament.matches[0]) == 12
        await resettle(connection, [tournament.matches[0]], request_id="test")

    assert steps_of(await audit(tournament.id))[LEDGER_STEP] == (0, 1, 0)
    await settle_queued(database)
    assert steps_of(await audit(tournament.id))[LEDGER_STEP] == (0, 1, 0)


# ---------------------------------------------------------------- projections


async def one_point_more(valkey: Redis, tournament_id: TournamentId) -> None:
    name = key(tournament_id, "master_scores")
    (member,) = await valkey.zrange(name, 3, 3)
    await valkey.zincrby(name, -(1 << 33), _bytes(member))


async def a_stranger(valkey: Redis, tournament_id: TournamentId) -> None:
    name = key(tournament_id, "master_scores")
    (member,) = await valkey.zrange(name, 0, 0)
    await valkey.zrem(name, _bytes(member))
    await valkey.zadd(name, {new_id().bytes: 0})


async def facts_of_another(valkey: Redis, tournament_id: TournamentId) -> None:
    name = key(tournament_id, "facts")
    facts = _bytes(await valkey.get(name))
    await valkey.set(name, bytes([facts[0] + 1]) + facts[1:])


async def another_order(valkey: Redis, tournament_id: TournamentId) -> None:
    name = key(tournament_id, "order")
    order = _bytes(await valkey.get(name))
    await valkey.set(name, order[16:] + order[:16])


async def a_score_that_nobody_has(valkey: Redis, tournament_id: TournamentId) -> None:
    await valkey.append(key(tournament_id, "distinct"), bytes(8) + (12).to_bytes(8, "little"))


async def a_key_of_another_type(valkey: Redis, tournament_id: TournamentId) -> None:
    await valkey.unlink(key(tournament_id, "facts"))
    await valkey.sadd(key(tournament_id, "facts"), "x")


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


async def nothing(valkey: Redis, _: TournamentId) -> None:
    await valkey.flushall()


async def a_version_that_never_was(valkey: Redis, tournament_id: TournamentId) -> None:
    epoch, _, *rest = _bytes(await valkey.get(key(tournament_id, "stamp"))).split(b" ")
    await valkey.set(key(tournament_id, "stamp"), b" ".join([epoch, b"999999", *rest]))


DRIFTS: list[tuple[Callable[[Redis, TournamentId], Awaitable[None]], str]] = [
    (one_point_more, "differs in master_scores"),
    (a_stranger, "differs in master_scores"),
    (facts_of_another, "differs in facts"),
    (another_order, "differs in order"),
    (a_score_that_nobody_has, "differs in distinct"),
    (a_key_of_another_type, "differs in facts"),
    (nothing, "is missing"),
    (a_version_that_never_was, "shows version 999999 where "),
]


async def test_a_projection_that_drifted_is_told_and_rebuilt(
    database: "PostgresDatabase", projection: ValkeyProjection, valkey: Redis, tournament: MadeTournament, audit: Audit
) -> None:
    for drift, words in DRIFTS:
        await drift(valkey, tournament.id)

        run = await audit()

        assert steps_of(run)["Projections"] == (1, 0, 0), drift.__name__
        note = run.progress().steps[-2].note
        assert note is not None
        assert note.startswith(f"Tournament {tournament.id}: {words}")
        loaded = await load(database, tournament.id)
        assert loaded is not None
        _, table, ranking = loaded
        assert await projection.differences(tournament.id, table, ranking) == []
        assert steps_of(await audit())["Projections"] == (0, 1, 0)


async def league_of_all(database: "PostgresDatabase", tournament: MadeTournament) -> LeagueId:
    """Of all who have joined the tournament."""
    async with database.read() as connection:
        joined = select(tournament_members.c.member_id).where(tournament_members.c.tournament_id == tournament.id)
        founder, *others = (await connection.execute(joined)).scalars()
    return await make_league(database, "League", founder, members=others, plays=[tournament])


async def no_facts_of_the_first(valkey: Redis, tournament_id: TournamentId) -> None:
    """Boards of leagues that are made of them are wrong."""
    await valkey.setrange(key(tournament_id, "facts"), 0, bytes(10))


@pytest.mark.parametrize("by", ["audit", "operation", "command"])
async def test_what_processes_made_of_a_board_that_drifted_is_made_anew_once_it_is_repaired(
    database: "PostgresDatabase",
    projection: ValkeyProjection,
    valkey: Redis,
    tournament: MadeTournament,
    audit: Audit,
    by: str,
) -> None:
    league = await league_of_all(database, tournament)
    await no_facts_of_the_first(valkey, tournament.id)
    boards, right = Boards(database, projection, utc_now), await ranked_by_sql(database, league_id=league)
    assert places(await _rows(boards, league)) != right

    match by:
        case "audit":
            assert steps_of(await audit())["Projections"] == (1, 0, 0)
        case "operation":
            await rebuild(database, projection, tournament.id)
        case _:
            await _rebuild(database, projection, {tournament.id: "Cup"})

    for reader in (boards, Boards(database, projection, utc_now)):
        assert places(await _rows(reader, league)) == right
    await in_play(database, tournament.id, tournament.matches[1], 1, 0)
    await project(database, projection, tournament.id, held=(await projection.stamps([tournament.id]))[tournament.id])
    assert await _rows(boards, league) == await _rows(Boards(database, None, utc_now), league)


@pytest.mark.parametrize("lost", ["the salt", "all"])
async def test_a_repair_outlives_what_valkey_loses(
    database: "PostgresDatabase", projection: ValkeyProjection, valkey: Redis, tournament: MadeTournament, lost: str
) -> None:
    """A process that has read nothing since would know the digest of what it made of the wrong board."""
    await rewrite(database, projection, tournament.id)
    before = (await projection.stamps([tournament.id]))[tournament.id].digest
    await (valkey.flushall() if lost == "all" else valkey.delete(key(tournament.id, "salt")))
    await in_play(database, tournament.id, tournament.matches[1], 1, 0)
    held = (await projection.stamps([tournament.id])).get(tournament.id)

    await project(database, projection, tournament.id, None, held)

    stamp = (await projection.stamps([tournament.id]))[tournament.id]
    assert stamp.digest.partition(".")[0] == before.partition(".")[0]
    assert stamp.digest != before


async def test_a_repair_that_cannot_look_what_else_is_kept_leaves_the_drift_to_the_next(
    database: "PostgresDatabase",
    projection: ValkeyProjection,
    valkey: Redis,
    tournament: MadeTournament,
    league: LeagueId,  # noqa: ARG001 there is one to look for
    audit: Audit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await one_point_more(valkey, tournament.id)

    async def away(*_: object) -> list[BoardKey]:
        raise ProjectionUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(ValkeyProjection, "kept_leagues", away)
        with pytest.raises(ProjectionUnavailable):
            await rewrite(database, projection, tournament.id)
    assert tournament.id in await projection.stamps([tournament.id]), (
        "a projector would hide it by writing what is missing"
    )
    assert (await check(database, projection, tournament.id)).drifts != ()
    assert steps_of(await audit())["Projections"] == (1, 0, 0)


async def test_a_repair_and_the_end_of_a_tournament_wait_for_each_other(
    database: "PostgresDatabase", projection: ValkeyProjection, tournament: MadeTournament, league: LeagueId
) -> None:
    async with database.begin() as connection:  # as a reading does that finds the last match ended
        await read_tournament(connection, tournament.id, for_update=True)
        repairing = asyncio.create_task(rewrite(database, projection, tournament.id))
        await until_one_waits(database)
        await follow_tournament(connection, tournament.id, TournamentStatus.ACTIVE, TournamentStatus.COMPLETED)
    assert await repairing is not None
    assert await projection.kept_leagues([BoardKey(league)]) == [BoardKey(league)]


async def test_settled_points_of_a_board_that_drifted_are_made_anew_too_while_a_match_is_live(
    database: "PostgresDatabase", projection: ValkeyProjection, valkey: Redis, tournament: MadeTournament
) -> None:
    league = await league_of_all(database, tournament)
    await in_play(database, tournament.id, tournament.matches[1], 1, 0)
    await project(database, projection, tournament.id)
    await no_facts_of_the_first(valkey, tournament.id)
    boards, right = Boards(database, projection, utc_now), await _rows(Boards(database, None, utc_now), league)
    assert await _rows(boards, league) != right

    await rebuild(database, projection, tournament.id)

    assert await _rows(boards, league) == right


class Late(ValkeyProjection):
    """Of a projector of another worker: what it is about to put in place comes when somebody else has written."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.is_about_to, self.may = asyncio.Event(), asyncio.Event()

    async def _replace(self, *given: Any) -> int:
        real, waiting = self._swap, self

        async def swap(**how: Any) -> Any:
            waiting.is_about_to.set()
            await waiting.may.wait()
            return await real(**how)

        self._swap = swap  # type: ignore[assignment]
        try:
            return await super()._replace(*given)
        finally:
            self._swap = real


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_projector_that_writes_at_the_same_time_undoes_no_repair(
    database: "PostgresDatabase",
    projection: ValkeyProjection,
    valkey: Redis,
    tournament: MadeTournament,
    *,
    has_begun: bool,
) -> None:
    league = await league_of_all(database, tournament)
    await no_facts_of_the_first(valkey, tournament.id)
    boards, right = Boards(database, projection, utc_now), await ranked_by_sql(database, league_id=league)
    assert places(await _rows(boards, league)) != right
    late, writing = Late(valkey), None

    async def begin_to_write() -> "asyncio.Task[Any]":
        task = asyncio.create_task(project(database, late, tournament.id))
        await late.is_about_to.wait()
        return task

    @asynccontextmanager
    async def begin() -> "AsyncIterator[AsyncConnection]":
        nonlocal writing
        async with database.begin() as connection:
            yield connection
        if writing is None:
            writing = await begin_to_write()
        else:
            late.may.set()
            await writing
            assert await is_salted(), "what was begun before does not stand in the way"

    async def is_salted() -> bool:
        salt = await valkey.get(key(tournament.id, "salt"))
        return (await projection.stamps([tournament.id]))[tournament.id].digest.endswith(f".{salt.decode()}")

    if has_begun:
        writing = await begin_to_write()
    await rewrite(database, projection, tournament.id, begin)
    late.may.set()
    assert writing is not None
    await writing

    assert await is_salted()
    for reader in (boards, Boards(database, projection, utc_now)):
        assert places(await _rows(reader, league)) == right


async def rebuild(
    database: "PostgresDatabase", projection: ValkeyProjection, tournament_id: TournamentId | None = None
) -> Run:
    async def handler(run: Run) -> None:
        await rebuild_projection(run, projection)

    return await run_now(database, Operation.REBUILD_PROJECTION, handler, Target(tournament_id))


async def _rows(boards: Boards, league: LeagueId) -> list[RankedRow]:
    board = await boards.follow(BoardKey(league_id=league))
    assert board is not None
    return await board.window(50)


# ---------------------------------------------------------------- boards of leagues


@pytest.fixture
async def league(
    database: "PostgresDatabase", projection: ValkeyProjection, valkey: Redis, tournament: MadeTournament
) -> LeagueId:
    """Half of the members, and somebody who watches; its boards are kept in Valkey."""
    async with database.read() as connection:
        joined = select(tournament_members.c.member_id).where(tournament_members.c.tournament_id == tournament.id)
        founder, *others = (await connection.execute(joined.limit(6))).scalars()
    made = await make_league(database, "League", founder, members=others, plays=[tournament])
    for board in await league_boards(projection, database, made, tournament.id):
        assert len(board) == 6
    assert await valkey.exists(league_key(made, "leaderboard"), league_key(made, "leaderboard", tournament.id)) == 2
    return made


async def league_boards(
    projection: ValkeyProjection | None, database: "PostgresDatabase", league_id: LeagueId, tournament_id: TournamentId
) -> list[list[RankedRow]]:
    """Its boards as a process shows them that has read nothing yet."""
    shown = []
    for board_key in (BoardKey(league_id), BoardKey(league_id, tournament_id)):
        board = await Boards(database, projection, utc_now).open(board_key)
        assert board is not None
        shown.append(await board.window(50))
    return shown


async def a_point_more_in_the_total(valkey: Redis, league_id: LeagueId, _: TournamentId) -> None:
    name = league_key(league_id, "leaderboard")
    (member,) = await valkey.zrange(name, 3, 3)
    await valkey.zincrby(name, -(1 << 33), _bytes(member))


async def a_point_more_in_one_tournament(valkey: Redis, league_id: LeagueId, tournament_id: TournamentId) -> None:
    name = league_key(league_id, "leaderboard", tournament_id)
    (member,) = await valkey.zrange(name, 3, 3)
    await valkey.zincrby(name, -(1 << 33), _bytes(member))


async def a_stranger_in_the_total(valkey: Redis, league_id: LeagueId, _: TournamentId) -> None:
    name = league_key(league_id, "leaderboard")
    await valkey.zremrangebyrank(name, 0, 0)
    await valkey.zadd(name, {new_id().bytes: 0})


async def a_stranger_among_the_members(valkey: Redis, league_id: LeagueId, _: TournamentId) -> None:
    name = league_key(league_id, "members")
    await valkey.spop(name)
    await valkey.sadd(name, new_id().bytes)


LEAGUE_DRIFTS: list[tuple[Callable[[Redis, LeagueId, TournamentId], Awaitable[None]], str]] = [
    (a_point_more_in_the_total, ": differs in leaderboard"),
    (a_point_more_in_one_tournament, " in tournament {}: differs in leaderboard"),
    (a_stranger_in_the_total, ": differs in leaderboard"),
    (a_stranger_among_the_members, ": differs in members"),
]


@pytest.mark.parametrize("whole", [True, False])
async def test_a_league_s_board_that_drifted_is_told_and_made_anew(
    database: "PostgresDatabase",
    projection: ValkeyProjection,
    valkey: Redis,
    tournament: MadeTournament,
    league: LeagueId,
    audit: Audit,
    whole: bool,
) -> None:
    for drift, words in LEAGUE_DRIFTS:
        await drift(valkey, league, tournament.id)
        told = await check(database, projection, tournament.id)

        run = await audit(None if whole else tournament.id)

        where = f"League {league}{words.format(tournament.id)}"
        assert told.drifts[0] == where.replace(": ", " ")
        assert steps_of(run)["League boards"] in {(1, 1, 0), (2, 0, 0)}, "the members are those of two boards"
        assert f"{where}; made anew." in str(run.progress().steps[-1].note)
        assert (await check(database, projection, tournament.id)).drifts == ()
        right = await league_boards(None, database, league, tournament.id)
        assert await league_boards(projection, database, league, tournament.id) == right
        assert steps_of(await audit())["League boards"] == (0, 2, 0)


@pytest.mark.parametrize("by", ["operation", "command"])
async def test_what_drifted_of_a_league_is_made_anew_by_a_rebuild_of_its_tournament(
    database: "PostgresDatabase",
    projection: ValkeyProjection,
    valkey: Redis,
    tournament: MadeTournament,
    league: LeagueId,
    by: str,
) -> None:
    right = await league_boards(None, database, league, tournament.id)
    for drift, _ in LEAGUE_DRIFTS:
        await drift(valkey, league, tournament.id)
        assert (await check(database, projection, tournament.id)).drifts != ()

        if by == "operation":
            await rebuild(database, projection, tournament.id)
        else:
            await _rebuild(database, projection, {tournament.id: "Cup"})

        assert await league_boards(projection, database, league, tournament.id) == right
        assert (await check(database, projection, tournament.id)).drifts == ()


async def test_a_rebuild_makes_a_new_version_of_no_league_of_which_nothing_is_kept(
    database: "PostgresDatabase", projection: ValkeyProjection, tournament: MadeTournament, league: LeagueId
) -> None:
    founder = (await make_members(database, 1, joins=[tournament]))[0]
    other = await make_league(database, "Other", founder, members=[], plays=[tournament])
    keys = [BoardKey(league), BoardKey(other)]
    before = await Boards(database, None, utc_now).versions(keys)

    await rebuild(database, projection, tournament.id)

    after = await Boards(database, None, utc_now).versions(keys)
    assert [after[key] - before[key] for key in keys] == [2, 1]


async def test_a_league_s_board_that_is_in_order_or_given_to_nobody_is_left_alone(
    database: "PostgresDatabase",
    projection: ValkeyProjection,
    valkey: Redis,
    tournament: MadeTournament,
    league: LeagueId,
    audit: Audit,
) -> None:
    before = (await Boards(database, None, utc_now).versions([BoardKey(league)]))[BoardKey(league)]
    assert steps_of(await audit())["League boards"] == (0, 2, 0)
    await a_point_more_in_the_total(valkey, league, tournament.id)
    await valkey.zadd(league_key(league, "leaderboard", tournament.id), {new_id().bytes: float("inf")})
    await board_moves(database, tournament.id)
    await project(database, projection, tournament.id)

    assert steps_of(await audit())["League boards"] == (0, 2, 0)
    right = await league_boards(None, database, league, tournament.id)
    assert await league_boards(projection, database, league, tournament.id) == right
    assert await Boards(database, None, utc_now).versions([BoardKey(league)]) == {BoardKey(league): before + 1}


async def test_a_league_s_board_that_moves_while_it_is_checked_has_not_drifted(
    database: "PostgresDatabase", projection: ValkeyProjection, league: LeagueId
) -> None:
    async with database.read() as connection:
        of_league = select(league_members.c.member_id).where(league_members.c.role == "MEMBER")
        some = list((await connection.execute(of_league)).scalars())

    class Moving(Boards):
        async def open(self, *asked: Any, **how: Any) -> OpenBoard | None:
            await leave(database, some.pop(), league, "test")
            return await super().open(*asked, **how)

    assert await league_drift(database, projection, Moving(database, None, utc_now), BoardKey(league)) is None
    assert some


async def test_one_board_that_cannot_be_ranked_leaves_none_of_the_others_unchecked(
    database: "PostgresDatabase", projection: ValkeyProjection, valkey: Redis, audit: Audit
) -> None:
    made = [await make_tournament(database, matches=1) for _ in range(5)]
    members = await make_members(database, 3, joins=made)
    for one in made:
        await project(database, projection, one.id)
        await valkey.set(key(one.id, "order"), bytes(48))
    async with database.begin() as connection:
        most = dict.fromkeys(("outcome", "goal_difference", "exact"), 3_000)
        mine = (member_scores.c.tournament_id == made[2].id, member_scores.c.member_id == members[0])
        await connection.execute(update(member_scores).where(*mine).values(most))

    with pytest.raises(InvariantBroken):
        await audit()
    rebuilt = await rebuild(database, projection)

    assert steps_of(audit.runs[-1])["Projections"] == (4, 0, 1)
    assert steps_of(rebuilt) == {"Rebuild boards": (4, 0, 1)}
    assert rejected_of(rebuilt) == [f"Tournament {made[2].id}: A score of this board cannot be ranked."]


async def test_of_tournaments_that_are_over_a_few_projections_are_checked_by_lot(
    database: "PostgresDatabase", projection: ValkeyProjection, valkey: Redis, audit: Audit
) -> None:
    made = [await make_tournament(database, matches=1, status=TournamentStatus.COMPLETED) for _ in range(12)]
    await make_members(database, 3, joins=made)
    for one in made[1:]:  # of the first there is none, and none is missed
        await project(database, projection, one.id)
        await valkey.set(key(one.id, "order"), bytes(48))

    first = steps_of(await audit())
    for _ in range(60):
        if steps_of(await audit())["Projections"][0]:
            break

    assert (first[LEDGER_STEP], first["Projections"]) == ((0, 0, 0), (10, 0, 0))
    assert steps_of(audit.runs[-1])["Projections"] == (1, 9, 0), "the eleventh had its turn"
    assert await projection.stamps([made[0].id]) == {}


async def test_a_projection_that_is_behind_is_brought_up_to_date(
    database: "PostgresDatabase", projection: ValkeyProjection, tournament: MadeTournament, audit: Audit
) -> None:
    await board_moves(database, tournament.id)

    assert steps_of(await audit(tournament.id))["Projections"] == (1, 0, 0)

    loaded = await load(database, tournament.id)
    assert loaded is not None
    assert (await projection.stamps([tournament.id]))[tournament.id].board_version == loaded.table.stamp.board_version


class BusyProjection(ValkeyProjection):
    """One whose projector catches up when somebody has found the board behind, but that it has moved on by then."""

    def __init__(self, client: Redis, database: "PostgresDatabase", goals: int) -> None:
        """`goals`: how often the board moves on."""
        super().__init__(client)
        self._database = database
        self._of_the_projector = ValkeyProjection(client)
        self._goals = goals
        self.compared = 0

    async def stamps(self, tournament_ids: Sequence[TournamentId]) -> dict[TournamentId, Stamp]:
        found = await super().stamps(tournament_ids)
        for tournament_id in tournament_ids:
            await project(self._database, self._of_the_projector, tournament_id)
            if self._goals:
                self._goals -= 1
                await board_moves(self._database, tournament_id)
        return found

    async def differences(self, tournament_id: TournamentId, table: ScoreTable, ranking: Ranking) -> list[str] | None:
        self.compared += 1
        return await super().differences(tournament_id, table, ranking)


@pytest.mark.parametrize("goals", [0, 5])
async def test_a_projector_that_is_at_work_is_waited_for(
    database: "PostgresDatabase", valkey: Redis, tournament: MadeTournament, goals: int
) -> None:
    await board_moves(database, tournament.id)

    projection = BusyProjection(valkey, database, goals)
    run = await Audit(database, projection)(tournament.id)

    assert steps_of(run)["Projections"] == (0, 1, 0)
    assert projection.compared == 1  # all members are read for that


async def board_moves(database: "PostgresDatabase", tournament_id: TournamentId) -> None:
    async with database.begin() as connection:
        await raise_versions(connection, tournament_id, board=True)


async def test_who_watches_a_board_hears_that_it_was_repaired(
    valkey: Redis, tournament: MadeTournament, audit: Audit
) -> None:
    async with valkey.pubsub() as pubsub:
        await pubsub.subscribe(BOARDS)
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
        await one_point_more(valkey, tournament.id)
        await audit()
        told = json.loads((await pubsub.get_message(timeout=5))["data"])
        assert told["id"] == str(tournament.id)
        await audit()
        assert await pubsub.get_message(timeout=0.1) is None


# ---------------------------------------------------------------- the ledger


async def a_member_with_a_point_more(connection: Any, made: MadeTournament) -> None:
    one = "SELECT member_id FROM member_scores WHERE tournament_id = :id ORDER BY member_id LIMIT 1"
    await connection.execute(
        text(
            "UPDATE member_scores SET outcome = outcome + 1 WHERE tournament_id = :id AND basis = 'AFTER_EXTRA_TIME'"
            f" AND member_id = ({one})"
        ),
        {"id": made.id},
    )


async def points_of_another(connection: Any, made: MadeTournament) -> None:
    """The sums stay right, but two members have each other's facts."""
    swap = (
        "UPDATE member_scores AS s SET outcome = o.outcome, goal_difference = o.goal_difference,"
        " home_goals = o.home_goals, away_goals = o.away_goals, exact = o.exact"
        " FROM member_scores AS o WHERE s.tournament_id = :id AND o.tournament_id = :id"
        " AND s.basis = 'REGULATION' AND o.basis = 'REGULATION' AND o.member_id <> s.member_id"
        " AND (s.member_id, o.member_id) IN (SELECT a, b FROM pair UNION SELECT b, a FROM pair)"
    )
    pair = (
        "WITH pair AS (SELECT a.member_id AS a, b.member_id AS b FROM member_scores a, member_scores b"
        " WHERE a.tournament_id = :id AND b.tournament_id = :id AND a.basis = 'REGULATION' AND b.basis = 'REGULATION'"
        " AND a.exact > b.exact ORDER BY 1, 2 LIMIT 1) "
    )
    await connection.execute(text(pair + swap), {"id": made.id})


async def a_version_too_many(connection: Any, made: MadeTournament) -> None:
    await connection.execute(
        update(tournaments).where(tournaments.c.id == made.id).values(settled_version=tournaments.c.settled_version + 1)
    )


async def a_version_that_is_gone(connection: Any, made: MadeTournament) -> None:
    await connection.execute(score_versions.delete().where(score_versions.c.tournament_id == made.id))


async def a_gap_between_versions(connection: Any, _: MadeTournament) -> None:
    await connection.execute(update(score_versions).values(version=score_versions.c.version + 1))


async def a_version_before_it_that_is_gone(connection: Any, made: MadeTournament) -> None:
    """The highest is the present one."""
    await a_gap_between_versions(connection, made)
    await a_version_too_many(connection, made)


async def a_settlement_that_pays_no_more(connection: Any, made: MadeTournament) -> None:
    await connection.execute(
        update(settlements).where(settlements.c.tournament_id == made.id).values(superseded_version=99)
    )


BREACHES: list[tuple[Callable[[Any, MadeTournament], Awaitable[None]], set[str]]] = [
    (a_member_with_a_point_more, {"LEDGER", "SCORES"}),
    (points_of_another, {"SCORES"}),
    (a_version_too_many, {"VERSIONS"}),
    (a_version_that_is_gone, {"VERSIONS"}),
    (a_gap_between_versions, {"VERSIONS"}),
    (a_version_before_it_that_is_gone, {"VERSIONS"}),
    (a_settlement_that_pays_no_more, {"LEDGER", "SCORES", "ACTIVE"}),
]


@pytest.mark.parametrize(("breach", "invariants"), BREACHES, ids=[breach.__name__ for breach, _ in BREACHES])
async def test_a_broken_ledger_is_told_place_by_place_and_fails(
    database: "PostgresDatabase",
    tournament: MadeTournament,
    audit: Audit,
    caplog: pytest.LogCaptureFixture,
    breach: Callable[[Any, MadeTournament], Awaitable[None]],
    invariants: set[str],
) -> None:
    async with database.begin() as connection:
        await breach(connection, tournament)

    with caplog.at_level(logging.ERROR), pytest.raises(InvariantBroken, match="The ledger of points is broken in"):
        await audit()

    (run,) = audit.runs
    told = rejected_of(run)
    assert {line.split(":")[0] for line in told} == invariants
    assert all(f"tournament {tournament.id}, " in line for line in told)
    logged = [record.getMessage() for record in caplog.records if "invariant_broken" in record.getMessage()]
    assert len(logged) == len(told)
    assert steps_of(run)["Projections"][2] == 0


# ---------------------------------------------------------------- delays


async def long_ago(connection: Any) -> None:
    """Results are of an hour ago. They never change, so the guard steps aside for a moment."""
    await connection.execute(text("ALTER TABLE match_results DISABLE TRIGGER refuse_change"))
    await connection.execute(text("UPDATE match_results SET accepted_at = accepted_at - interval '1 hour'"))
    await connection.execute(text("ALTER TABLE match_results ENABLE TRIGGER refuse_change"))


async def test_a_result_that_is_not_settled_is_told_after_a_while(
    database: "PostgresDatabase", tournament: MadeTournament, audit: Audit
) -> None:
    match_id = tournament.matches[1]
    await accept(database, match_id, 1, 1)
    assert steps_of(await audit(tournament.id))["Delays"] == (0, 0, 0)
    async with database.begin() as connection:
        await long_ago(connection)

    run = await audit(tournament.id)

    assert rejected_of(run) == [f"SETTLED_IN_TIME: match {match_id} of Test League has ended, and is not settled"]


async def test_a_match_without_a_score_is_told_after_a_while(
    database: "PostgresDatabase", tournament: MadeTournament, audit: Audit
) -> None:
    match_id = tournament.matches[1]
    async with database.begin() as connection:
        await connection.execute(
            update(matches)
            .where(matches.c.id == match_id)
            .values(
                status="ENDED",
                result_state="AWAITING_CONFIRMATION",
                kick_off=func.clock_timestamp() - timedelta(hours=4),
            )
        )
    run = await audit(tournament.id)
    assert rejected_of(run) == [f"SETTLED_IN_TIME: match {match_id} of Test League has ended, and is not settled"]


async def test_executions_that_nobody_works_on_are_told_and_counted(
    database: "PostgresDatabase", tournament: MadeTournament, audit: Audit
) -> None:
    waiting, held = new_id(), new_id()
    hour = timedelta(hours=1)
    values = {
        "operation": "SETTLE_PENDING",
        "params": {},
        "trigger": "SYSTEM",
        "request_id": "test",
        "max_attempts": 3,
        "not_before": func.clock_timestamp() - hour,
    }
    async with database.begin() as connection:
        await connection.execute(insert(executions).values(id=waiting, operation_key="one", state="QUEUED", **values))
        await connection.execute(
            insert(executions).values(
                id=held,
                operation_key="two",
                state="IN_PROGRESS",
                lease_until=func.clock_timestamp() - hour,
                fence=1,
                attempt=1,
                **values,
            )
        )
        await accept(database, tournament.matches[1], 1, 1)
        await long_ago(connection)

    run = await audit()

    told = rejected_of(run)
    assert f"EXECUTIONS_MOVE: execution {waiting} (SETTLE_PENDING) is QUEUED, and nobody works on it" in told
    assert f"EXECUTIONS_MOVE: execution {held} (SETTLE_PENDING) is IN_PROGRESS, and nobody works on it" in told
    assert {name.value: number for name, number in (await count_breaches(database)).items()} == {
        "LEDGER": 0,
        "SETTLED_IN_TIME": 1,
        "EXECUTIONS_MOVE": 2,
    }


async def test_breaches_are_a_metric_until_an_audit_finds_none(
    database: "PostgresDatabase", tournament: MadeTournament, audit: Audit
) -> None:
    async def shown() -> str:
        metrics = Metrics()
        await metrics.read(database)
        (line,) = [
            line
            for line in metrics.text().decode().splitlines()
            if line.startswith('palpite_invariant_breaches{invariant="ledger"}')
        ]
        return line.split()[-1]

    assert await shown() == "0.0"
    async with database.begin() as connection:
        await a_version_too_many(connection, tournament)
    for target in (tournament.id, None):
        with pytest.raises(InvariantBroken):
            await audit(target)
    await _ended(database)
    assert await shown() == "1.0"
    async with database.begin() as connection:
        await connection.execute(update(tournaments).values(settled_version=tournaments.c.settled_version - 1))
    await audit()
    await _ended(database)
    assert await shown() == "0.0"


async def _ended(database: "PostgresDatabase") -> None:
    """Runs of tests end as cancelled; of real ones a worker writes how they ended."""
    async with database.begin() as connection:
        await connection.execute(text("ALTER TABLE executions DISABLE TRIGGER refuse_transition"))
        await connection.execute(
            text(
                "UPDATE executions SET state = 'FAILED', error_code = 'INTERNAL' WHERE operation = 'VERIFY_PROJECTION'"
            )
        )
        await connection.execute(text("ALTER TABLE executions ENABLE TRIGGER refuse_transition"))
